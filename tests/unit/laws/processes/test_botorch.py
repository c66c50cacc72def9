"""BoTorch's processes as laws: kernels in closed form, fidelities, how they are stored."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mixopt import InputError
from mixopt.errors import MissingDependencyError
from mixopt.laws import fitted_law, law
from mixopt.strategies import strategy
from mixopt.testing import law_contract
from mixopt.testing.law_worlds import ALIKE, SCALES, fresh

pytest.importorskip("botorch")

from mixopt.laws.processes.botorch import BoTorchProcess, FittedBoTorch

Array = NDArray[np.float64]
W, Y, AT = ALIKE.planted_scales(n=8)
QUICK = 25  # iterations: the closed forms hold for any hyperparameters


def fitted(kernel: str, **settings: object) -> FittedBoTorch:
    process = BoTorchProcess(kernel, iterations=QUICK, **settings)  # type: ignore[arg-type]
    return process.fit(W, Y[:, :1], AT, rng=np.random.default_rng(0))


@pytest.fixture(scope="module", params=["truncated", "decay"])
def made(request: pytest.FixtureRequest) -> FittedBoTorch:
    return fitted(request.param)


def positive(raw: object) -> Array:
    """BoTorch keeps what must be positive as its softplus' inverse, lengths as their logs."""
    return np.log1p(np.exp(np.asarray(raw, dtype=float)))


def matern(A: Array, B: Array, length: Array) -> Array:
    r = np.sqrt(5.0) * np.sqrt((((A[:, None] - B) / length) ** 2).sum(axis=2))
    return (1.0 + r + r**2 / 3.0) * np.exp(-r)


def truncated(A: Array, B: Array, theta: dict[str, Array]) -> Array:
    """k0 + (1 - s)(1 - u)(1 + s u)^p k1 (METHODS 4.1), times one variance."""
    s, u = A[:, -1:], B[:, -1]
    bias = (1 - s) * (1 - u) * (1 + s * u) ** theta["raw_power"]
    k0, k1 = (
        matern(A[:, :-1], B[:, :-1], theta[f"covar_module_{name}.raw_lengthscale"])
        for name in ("unbiased", "biased")
    )
    return theta["raw_outputscale"] * (k0 + bias * k1)


def test_the_truncated_kernel_predicts_as_its_formula_says() -> None:
    law_, new = fitted("truncated"), fresh()
    theta = {
        name.removeprefix("covar_module.").removeprefix("base_kernel.kernels.0."): positive(value)
        for name, value in law_.learned[0].items()
    }
    share = AT.prod(axis=1) / AT.prod(axis=1).max()
    X, goal = np.column_stack([W, share]), np.column_stack([new, np.ones(len(new))])
    noise = law_.models[0].likelihood.noise.item()
    level = float(np.asarray(law_.learned[0]["mean_module.raw_constant"]))
    y = (Y[:, 0] - Y[:, 0].mean()) / Y[:, 0].std()
    K = truncated(X, X, theta) + noise * np.eye(len(X))
    cross = truncated(goal, X, theta)
    mean = level + cross @ np.linalg.solve(K, y - level)
    variance = np.diag(truncated(goal, goal, theta) - cross @ np.linalg.solve(K, cross.T))
    told = law_.predict(new)
    unit = Y[:, 0].std()
    np.testing.assert_allclose(told.mean[:, 0], Y[:, 0].mean() + unit * mean, rtol=1e-6)
    np.testing.assert_allclose(told.sd[:, 0], unit * np.sqrt(variance), rtol=1e-4)
    np.testing.assert_allclose(told.noise, unit * np.sqrt(noise))


def test_a_fidelity_is_the_share_of_the_targets_cost() -> None:
    pairs = [tuple(s) for s in SCALES]
    assert fitted("truncated").fidelity[:, 0] == pytest.approx([0.01, 0.09, 1.0])
    priced = fitted("truncated", scales=pairs, costs=[1.0, 3.0, 12.0])
    assert priced.fidelity[:, 0] == pytest.approx([1 / 12, 0.25, 1.0])
    decay = fitted("decay").fidelity
    assert decay == pytest.approx(SCALES / SCALES[-1])


def test_a_scale_without_runs_is_predicted_and_an_unknown_one_refused() -> None:
    few = (SCALES[-1] != AT).all(axis=1)
    process = BoTorchProcess(scales=[tuple(SCALES[-1])], iterations=QUICK)
    ahead = process.fit(W[few], Y[few], AT[few], rng=np.random.default_rng(0))
    assert ahead.fidelity[:, 0] == pytest.approx([0.01, 0.09, 1.0])
    assert ahead.predict(W[:3]).sd.min() > ahead.predict(W[few][:3], AT[few][:3]).sd.max()
    with pytest.raises(InputError, match="knows the scales"):
        ahead.predict(W[:3], np.array([5e7, 1e9]))


@pytest.mark.parametrize(
    "check",
    [law_contract.predicts_every_scale, law_contract.survives_json_with_scales,
     law_contract.has_a_joint_posterior_of_any_points],
)  # fmt: skip
def test_the_decay_kernel_keeps_the_contract(check: law_contract.Check) -> None:
    check(BoTorchProcess("decay", iterations=QUICK))


def test_a_process_that_has_begun_knows_one_run(made: FittedBoTorch) -> None:
    process = BoTorchProcess(made.kernel)
    with pytest.raises(InputError, match="two or more different mixtures"):
        process.fit(W[:1], Y[:1], rng=np.random.default_rng(0))
    (model,) = process.begin(W[:1], Y[:1, :1], AT[:1]).models
    near, far = process.begin(W[:1], Y[:1, :1]).inputs(np.vstack([W[:1], 1 - W[:1]]) / [[1], [3]])
    sd = [model.posterior(x[None]).variance.item() for x in (near, far)]
    assert sd[0] < 0.5 * sd[1]


def test_what_another_version_stored_is_refused(made: FittedBoTorch) -> None:
    values = json.loads(json.dumps(made.to_dict()))
    values["learned"][0]["raw_warp"] = values["learned"][0].pop("mean_module.raw_constant")
    with pytest.raises(InputError, match=r"another version of BoTorch.*raw_warp"):
        fitted_law(values)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="2 costs for 1 scales"):
        BoTorchProcess(scales=[(1e6, 1e8)], costs=[1.0, 2.0])
    with pytest.raises(InputError, match="has runs and no cost"):
        fitted("truncated", scales=[tuple(SCALES[0])], costs=[1.0])
    with pytest.raises(InputError, match="kernel"):
        law("botorch", kernel="periodic")


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "botorch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "botorch", None)
    monkeypatch.delitem(sys.modules, "mixopt.laws.processes.botorch")
    with pytest.raises(MissingDependencyError, match=r"pip install 'mixopt\[botorch\]'"):
        law("botorch")
    with pytest.raises(MissingDependencyError, match=r"pip install 'mixopt\[botorch\]'"):
        strategy("admire")


def test_a_flat_metric_costs_no_fit() -> None:
    flat = BoTorchProcess().fit(W, np.full((len(W), 1), 2.0), AT, rng=np.random.default_rng(0))
    assert flat.learned == ({},)
    assert flat.predict(W[:4]).mean == pytest.approx(2.0)
    again = replace(flat, learned=({},))
    assert again.predict(W[:4]).sd == pytest.approx(0.0)
