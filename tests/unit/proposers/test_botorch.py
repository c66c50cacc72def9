"""Our laws as BoTorch's models: posteriors, gradients, conditioning, and acquisitions on them."""

from pathlib import Path

import numpy as np
import pytest

from mixopt import Group, Guard, InputError, MixtureSpace, Objective, Order, RunSpec, Study, Tie
from mixopt.runs import UNSTATED
from mixopt.space.simplex import Array

torch = pytest.importorskip("torch")
pytest.importorskip("botorch")

from botorch.acquisition import (  # noqa: E402
    LogExpectedImprovement,
    qKnowledgeGradient,
    qLogNoisyExpectedImprovement,
)
from botorch.acquisition.multi_objective.logei import (  # noqa: E402
    qLogNoisyExpectedHypervolumeImprovement,
)
from botorch.optim import optimize_acqf  # noqa: E402
from botorch.sampling.normal import SobolQMCNormalSampler  # noqa: E402

from mixopt.adapters import botorch as laws  # noqa: E402
from mixopt.proposers.botorch import LawModel  # noqa: E402

SPACE = MixtureSpace(
    {"web": 8e9, "code": 1e9, "math": 1e9, "books": 2e9},
    bounds={"web": (0.1, 0.9)},
    groups=[Group("hard", ("code", "math"), 0.1, 0.7)],
)


def made(law: str = "gp", **objective: object) -> Study:
    rng = np.random.default_rng(0)

    def train(spec: RunSpec) -> dict[str, float]:
        a, b, c, _ = spec.mixture.weights
        first = 2 + (a - 0.5) ** 2 + (b - 0.3) ** 2
        return {
            "loss": first + rng.normal() * 0.01,
            "score": 1 - (a - 0.2) ** 2 - c + rng.normal() * 0.01,
        }

    goal = Objective.of({"loss": 1.0}, {"score": 0.5})
    fields = {"weights": goal.weights, "maximize": goal.maximize} | objective
    study = Study(SPACE, Objective(**fields), law=law)  # type: ignore[arg-type]
    for w in SPACE.sample(16, rng):
        spec = RunSpec(SPACE.mixture(w), UNSTATED)
        study.tell(spec, train(spec))
    return study


@pytest.fixture(scope="module")
def study() -> Study:
    return made()


def points(*shape: int) -> "torch.Tensor":
    W = SPACE.sample(int(np.prod(shape)), np.random.default_rng(5))
    return torch.tensor(W).reshape(*shape, SPACE.dim)


def difference(function: object, X: "torch.Tensor", step: float = 1e-5) -> Array:
    """The gradient of a function by differences, one coordinate at a time."""
    out = np.zeros(X.shape)
    for place in np.ndindex(*X.shape):
        ends = []
        for side in (step, -step):
            moved = X.detach().clone()
            moved[place] += side
            with torch.no_grad():
                ends.append(float(function(moved)))  # type: ignore[operator]
        out[place] = (ends[0] - ends[1]) / (2 * step)
    return out


def test_the_posterior_is_the_laws_negated_objective(study: Study) -> None:
    X = points(2, 3)
    seen = laws.model(study).posterior(X)
    mean, sd = study.surrogate.moments(X.reshape(6, 4).numpy())
    assert seen.mean.shape == (2, 3, 1)
    np.testing.assert_allclose(seen.mean.reshape(-1), -mean, rtol=1e-9)
    np.testing.assert_allclose(seen.variance.reshape(-1), sd**2, rtol=1e-6)
    assert seen.rsample(torch.Size([5])).shape == (5, 2, 3, 1)
    noisy = laws.model(study).posterior(X, observation_noise=True)
    assert bool((noisy.variance > seen.variance).all())


def test_metrics_are_outputs_of_which_higher_is_better(study: Study) -> None:
    X = points(3)
    seen = laws.model(study, ["loss", "score"]).posterior(X)
    of_law = study.surrogate.predict(X.numpy()).mean
    np.testing.assert_allclose(seen.mean[:, 0], -of_law[:, study.surrogate.metrics.index("loss")])
    np.testing.assert_allclose(seen.mean[:, 1], of_law[:, study.surrogate.metrics.index("score")])
    second = laws.model(study, ["loss", "score"]).subset_output([1]).posterior(X)
    np.testing.assert_allclose(second.mean[:, 0], seen.mean[:, 1])
    with pytest.raises(InputError, match="unknown metric 'nll'"):
        laws.model(study, ["nll"])


@pytest.mark.parametrize("law", ["gp", "log-linear"])
@pytest.mark.parametrize("q", [1, 3])
def test_gradients_are_those_of_mean_and_covariance(law: str, q: int) -> None:
    model = laws.model(made(law))

    def function(X: "torch.Tensor") -> "torch.Tensor":
        seen = model.posterior(X)
        spread = seen.distribution.covariance_matrix
        return seen.mean.sum() + 100 * spread.pow(2).sum() + 10 * seen.variance[..., 0, 0].sum()

    X = points(2, q).requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(X), X)
    np.testing.assert_allclose(gradient, difference(function, X), atol=1e-6)


def test_conditioning_is_that_of_a_gaussian_process(study: Study) -> None:
    model, X, R = laws.model(study), points(2), points(5)[2:]
    values = np.array([-2.4, -2.5, -2.6])
    Y = torch.tensor(values)[:, None]
    noise = torch.full((3, 1), 1e-3, dtype=torch.double)
    after = model.condition_on_observations(R, Y, noise=noise).posterior(X)
    both = np.vstack([X, R])
    mean = -study.surrogate.moments(both)[0]
    c = study.surrogate.objective.coefficients(study.surrogate.metrics)
    K = np.einsum("k,kab->ab", c**2, study.surrogate.joint(both, both))
    gain = K[:2, 2:] @ np.linalg.inv(K[2:, 2:] + 1e-3 * np.eye(3))
    np.testing.assert_allclose(after.mean[:, 0], mean[:2] + gain @ (values - mean[2:]), rtol=1e-6)
    expected = K[:2, :2] - gain @ K[2:, :2]
    np.testing.assert_allclose(after.distribution.covariance_matrix, expected, atol=1e-8)
    twice = model.condition_on_observations(R[:1], Y[:1], noise=noise[:1])
    twice = twice.condition_on_observations(R[1:], Y[1:], noise=noise[1:])
    np.testing.assert_allclose(twice.posterior(X).mean, after.mean, rtol=1e-8)


def test_fantasies_have_a_batch_of_their_own(study: Study) -> None:
    sampler = SobolQMCNormalSampler(torch.Size([4]), seed=0)
    fantasy = laws.model(study).fantasize(points(2, 1), sampler)
    assert fantasy.posterior(points(2, 3)).mean.shape == (4, 2, 3, 1)


def test_acquisitions_find_mixtures_of_the_space(study: Study) -> None:
    torch.manual_seed(0)
    model = laws.model(study)
    acquisitions = {
        "one": (LogExpectedImprovement(model, best_f=-study.best.value), 1, 1),
        "two": (qLogNoisyExpectedImprovement(model, laws.told(study), cache_root=False), 2, 2),
        "ahead": (qKnowledgeGradient(model, num_fantasies=2), 1, 3),
    }
    for name, (acquisition, q, size) in acquisitions.items():
        search = laws.search(study, 2, size)
        start = float(acquisition(search["batch_initial_conditions"]).max())
        X, value = optimize_acqf(acquisition, q=q, options={"maxiter": 8}, **search)
        assert SPACE.contains(X.numpy(), 1e-5).all(), name
        assert float(value) >= start - 1e-9, name


@pytest.mark.slow
def test_a_hypervolume_acquisition_keeps_the_guards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # BoTorch would compile a kernel for it, and wait for ever for one whose making was killed.
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setenv("CXX", "/bin/false")
    guarded = made(guards=(Guard("score", 0.02),))
    model = laws.model(guarded, ["loss", "score"])
    limits = laws.outcome_constraints(guarded.surrogate, ["loss", "score"])
    acquisition = qLogNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=[-3.0, 0.0],
        X_baseline=laws.told(guarded),
        constraints=limits,
        cache_root=False,
        sampler=SobolQMCNormalSampler(torch.Size([16]), seed=0),
    )
    assert bool(torch.isfinite(acquisition(points(3, 1))).all())
    at_natural = torch.tensor(guarded.surrogate.predict(SPACE.prior[None]).mean)
    natural = at_natural[:, [guarded.surrogate.metrics.index(k) for k in ("loss", "score")]]
    signed = natural * torch.tensor([-1.0, 1.0])
    assert float(limits[0](signed)) == pytest.approx(-0.02 * abs(float(natural[0, 1])), rel=1e-6)
    with pytest.raises(InputError, match="guard on 'score'"):
        laws.outcome_constraints(guarded.surrogate, ["loss"])


def test_ties_are_constraints_too() -> None:
    space = MixtureSpace(["a", "b", "c"], ties=[Tie("pair", {"a": 3.0, "b": 1.0})])
    weights = space.sample(1, np.random.default_rng(0))[0]
    for places, coefficients, side in laws.arguments(space)["equality_constraints"]:
        left = float(coefficients @ torch.tensor(weights)[places])
        assert left == pytest.approx(float(side), abs=1e-9)
    assert len(laws.arguments(space)["equality_constraints"]) == 2


def test_an_order_is_one_too() -> None:
    space = MixtureSpace({"a": 1e9, "b": 3e9, "c": 1e9}, ties=[Order("tiers", ("a", "b"))])
    ((places, coefficients, side),) = laws.arguments(space)["inequality_constraints"]
    weights = torch.tensor([[0.2, 0.6, 0.2], [0.25, 0.5, 0.25], [0.1, 0.6, 0.3]]).double()
    room = weights[:, places] @ coefficients - side
    assert [round(float(r), 6) for r in room] == [0.0, 0.0625, -0.075]


def test_the_worst_of_several_metrics_is_no_gaussian(study: Study) -> None:
    worst = study.surrogate.seen_through(
        Objective({"loss": 1.0, "score": 1.0}, reduce="worst"), SPACE
    )
    with pytest.raises(InputError, match="no Gaussian; name the metrics"):
        LawModel(worst)
