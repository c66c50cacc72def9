"""What a run is worth per cost, by BoTorch: against closed forms and against what must hold."""

import numpy as np
import pytest

from mixopt.space.simplex import Array

pytest.importorskip("botorch")

from mixopt.laws.processes.botorch import BoTorchProcess, FittedBoTorch
from mixopt.proposers.batch import log_expected_improvement
from mixopt.proposers.botorch_scales import (
    Options,
    improvement,
    improvement_per_cost,
    information_per_cost,
)

SCALES = np.array([[1e6, 1e8], [1e7, 1e9]])
RNG = np.random.default_rng(3)
W = RNG.dirichlet(np.ones(3), size=14)
AT = SCALES[np.arange(14) % 2]
Y = ((W - [0.6, 0.3, 0.1]) ** 2).sum(axis=1, keepdims=True) + 0.2 * (AT[:, :1] == 1e6)
NEW = np.random.default_rng(4).dirichlet(np.ones(3), size=20)


def fitted(kernel: str, scales: bool = True) -> FittedBoTorch:
    process = BoTorchProcess(kernel, iterations=40)  # type: ignore[arg-type]
    return process.fit(W, Y, AT if scales else None, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def truncated() -> FittedBoTorch:
    return fitted("truncated")


def everywhere(scale: Array, rows: int = len(NEW)) -> Array:
    return np.tile(scale, (rows, 1))


def test_information_is_counted_per_cost(truncated: FittedBoTorch) -> None:
    """At the target a run costs 1; what was run there tells no more than what is new."""
    known, new = (
        information_per_cost(truncated, Options(X, everywhere(SCALES[1], len(X))), seed=1)
        for X in (W[AT[:, 0] == 1e7], NEW)
    )
    assert known.max() < new.max()
    cheap = information_per_cost(truncated, Options(NEW, everywhere(SCALES[0])), seed=1)
    price = truncated.fidelity[0, 0]
    assert price == pytest.approx(0.01)
    assert cheap.max() > new.max()  # a hundredth of the cost, and more than that of the information
    assert (cheap * price).max() < new.max()


def test_a_run_under_way_is_not_asked_for_again(truncated: FittedBoTorch) -> None:
    scores = information_per_cost(truncated, Options(NEW, everywhere(SCALES[1])), seed=1)
    best = int(scores.argmax())
    there = Options(NEW, everywhere(SCALES[1]), NEW[[best]], SCALES[[1]])
    assert information_per_cost(truncated, there, seed=1)[best] < 0.6 * scores[best]
    costs = np.ones(len(NEW))
    decay = fitted("decay")
    free = improvement_per_cost(decay, Options(NEW, everywhere(SCALES[1])), costs, W)
    i = int(free.argmax())
    there = Options(NEW, everywhere(SCALES[1]), NEW[[i]], SCALES[[1]])
    assert improvement_per_cost(decay, there, costs, W)[i] < free[i] - 0.5


def test_improvement_at_one_scale_is_that_of_its_closed_form() -> None:
    """Sampled against the formula: mean, sd and best of one process, the best as it was seen."""
    one = fitted("truncated", scales=False)
    told = one.predict(NEW)
    exact = log_expected_improvement(told.mean[:, 0], told.sd[:, 0], float(Y.min()))
    sampled = improvement(one, Options(NEW), seed=2) + np.log(one.standard.spread[0])
    likely = exact > exact.max() - 2
    assert likely.sum() > 2
    np.testing.assert_allclose(sampled[likely], exact[likely], atol=0.1)
    assert sampled.argmax() == exact.argmax()


def test_one_step_ahead_is_what_fantasies_say() -> None:
    """The closed form against the mean improvement of models conditioned on sampled outcomes."""
    law = fitted("decay")
    options, costs = Options(NEW[:4], everywhere(SCALES[0], 4)), np.full(4, 0.1)
    scores = improvement_per_cost(law, options, costs, W)
    best = float(law.mean(W).min())
    joint = law.joint(NEW[:4], NEW[:4], None, everywhere(SCALES[0], 4))[0]
    told = law.predict(NEW[:4], SCALES[0])
    draws = np.random.default_rng(0).standard_normal(200_000)
    for i in range(4):
        move = joint[i, i] / told.total_sd[i, 0]
        after = law.mean(NEW[[i]])[0, 0] + move * draws
        gain = np.maximum(best - after, 0).mean() / law.standard.spread[0]
        if gain > 1e-4:
            assert scores[i] == pytest.approx(np.log(gain / 0.1), abs=0.1)
    dearer = improvement_per_cost(law, options, 10 * costs, W)
    np.testing.assert_allclose(scores - dearer, np.log(10), rtol=1e-9)
