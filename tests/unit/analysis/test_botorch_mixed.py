"""Mixture and knobs as one BoTorch model, and its alternating optimiser on it."""

import numpy as np
import pandas as pd
import pytest

from mixopt import MixtureSpace, Objective
from mixopt.proposers.surrogate import Surrogate, fit_surrogate
from mixopt.runs.knobs import Choice, Continuous, SearchSpace
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array
from mixopt.strategies.ladder import quick_process

torch = pytest.importorskip("torch")
pytest.importorskip("botorch")

from analysis.botorch_mixed import MixedModel, propose_mixed  # noqa: E402
from mixopt.proposers.botorch import LawModel  # noqa: E402

JOINT = SearchSpace(
    MixtureSpace(["a", "b", "c"], bounds={"a": (0.1, 0.8)}),
    (Continuous("lr", 1e-3, 1e-1, log=True), Choice("act", ("relu", "silu", "gelu"))),
)


@pytest.fixture(scope="module")
def fitted() -> tuple[Surrogate, Array]:
    """Loss is least at a = .4, lr = .01 and silu."""
    rng = np.random.default_rng(0)
    W, values = JOINT.space.sample(20, rng), JOINT.spread(20, rng)
    P = JOINT.join(W, values)
    Y = [(w[0] - 0.4) ** 2 + 0.3 * np.log10(float(v["lr"]) / 0.01) ** 2
         + 0.2 * (v["act"] != "silu") for w, v in zip(W, values, strict=True)]  # fmt: skip
    table = RunTable(
        JOINT.simplex.names, ("loss",), P, np.array(Y)[:, None], pd.DataFrame(index=range(20))
    )
    objective = Objective.of("loss")
    return fit_surrogate(table, objective, JOINT.simplex, quick_process(), rng=rng), P


def test_points_are_those_of_the_joint_simplex_and_have_gradients(
    fitted: tuple[Surrogate, Array],
) -> None:
    surrogate, _ = fitted
    model = MixedModel(LawModel(surrogate), JOINT)
    X = torch.tensor([[0.5, 0.3, 0.2, 0.5, 1.0], [0.2, 0.2, 0.6, 1.0, 2.0]], dtype=torch.double)
    values = [{"lr": 0.01, "act": "silu"}, {"lr": 0.1, "act": "gelu"}]
    P = JOINT.join(X[:, :3].numpy(), values)
    assert model.points(X).numpy() == pytest.approx(P)
    mean = model.posterior(X[:, None]).mean
    assert mean.reshape(-1).numpy() == pytest.approx(-surrogate.moments(P)[0])
    X = X[:1, None].clone().requires_grad_()
    model.posterior(X).mean.sum().backward()
    step = torch.zeros(5, dtype=torch.double)
    step[3] = 1e-4
    ahead, behind = (model.posterior(X.detach() + s * step).mean.item() for s in (1, -1))
    assert X.grad[0, 0, 3].item() == pytest.approx((ahead - behind) / 2e-4, rel=1e-3)
    assert X.grad[0, 0, 4].item() == 0  # a choice has none


def test_what_is_under_way_is_no_longer_uncertain(fitted: tuple[Surrogate, Array]) -> None:
    model = MixedModel(LawModel(fitted[0]), JOINT)
    X = torch.tensor([[0.1, 0.8, 0.1, 0.0, 2.0]], dtype=torch.double)
    before, after = (m.posterior(X[:, None]) for m in (model, model.believing(X)))
    assert after.mean.item() == pytest.approx(before.mean.item(), abs=1e-6)
    assert after.variance.item() < 0.5 * before.variance.item()
    assert model.believing(X[:0]) is model


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Failed to extract X_baseline")
def test_proposals_keep_the_constraints_and_the_options(fitted: tuple[Surrogate, Array]) -> None:
    surrogate, P = fitted
    few = {"raw_samples": 8, "num_restarts": 1, "maxiter_alternating": 3}
    rng = np.random.default_rng(1)
    picked = propose_mixed(surrogate, JOINT, 2, runs=P, rng=rng, options=few)
    W, values = np.array([w for w, _ in picked]), [v for _, v in picked]
    assert JOINT.space.contains(W, 1e-7).all()
    assert {v["act"] for v in values} <= {"relu", "silu", "gelu"}
    assert all(1e-3 <= float(v["lr"]) <= 1e-1 for v in values)
    # Better than all but a few of the runs, by the law.
    expected = surrogate.moments(JOINT.join(W, values))[0]
    assert expected.min() < np.quantile(surrogate.moments(P)[0], 0.2)
    again = propose_mixed(surrogate, JOINT, 2, runs=P, rng=np.random.default_rng(1), options=few)
    assert again[0][1] == picked[0][1]
