"""The gain of one mixture over another: errors that both share do not make it doubtful."""

import numpy as np
import pandas as pd
import pytest

from mixopt import InputError, Objective, RunTable
from mixopt.laws import law
from mixopt.proposers import Surrogate
from mixopt.proposers.bayes import metric_paths
from mixopt.proposers.recommend import Gain, gain
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.testing.worlds import make_world

WORLD = make_world(4, 2, noise=0.02)


def surrogate(name: str = "gp") -> Surrogate:
    rng = np.random.default_rng(0)
    specs = WORLD.space.sample(14, rng)
    frame = {f"w/{d}": specs[:, i] for i, d in enumerate(WORLD.space.names)}
    Y = WORLD.truth(specs)
    frame |= {f"m/{k}": Y[:, j] for j, k in enumerate(WORLD.metrics)}
    runs = RunTable.from_frame(pd.DataFrame(frame))
    return fit_surrogate(runs, WORLD.objective, WORLD.space, law(name), rng=rng)


def test_its_sd_is_that_of_the_difference_of_joint_samples() -> None:
    fitted = surrogate()
    near = np.array([[0.7, 0.1, 0.1, 0.1], [0.69, 0.11, 0.1, 0.1]])
    found = gain(fitted, near[0], near[1])
    seen = fitted.predict(near)
    paths = metric_paths(seen.mean, fitted.joint(near, near), 20_000, np.random.default_rng(1))
    F = paths @ fitted.objective.coefficients(fitted.metrics)
    difference = F[:, 1] - F[:, 0]
    assert found.sd == pytest.approx(difference.std(), rel=0.05)
    assert found.raw == pytest.approx(difference.mean(), abs=4 * difference.std() / 140)
    apart = np.hypot(*fitted.moments(near)[1])
    assert found.sd < 0.5 * apart
    low, high = found.interval
    assert np.mean((difference > low) & (difference < high)) == pytest.approx(0.9, abs=0.02)


def test_a_mixture_gains_nothing_over_itself() -> None:
    w = np.full(4, 0.25)
    itself = gain(surrogate(), w, w)
    assert (itself.raw, itself.shrunk, itself.certain) == (0.0, 0.0, False)
    assert itself.sd < 1e-6


def test_a_law_without_a_joint_posterior_is_refused() -> None:
    w = np.full(4, 0.25)
    with pytest.raises(InputError, match="gives no joint posterior"):
        gain(surrogate("log-linear"), w, np.eye(4)[0])


def test_certain_is_two_sds_after_shrinking() -> None:
    assert Gain(1.0, 0.4, 1.0 - 0.16).certain
    assert not Gain(1.0, 0.45, 1.0 - 0.2025).certain
    assert Gain(1.0, 0.4, 0.84).interval == pytest.approx((1 - 0.658, 1 + 0.658))


def test_the_worst_of_several_metrics_counts_errors_as_independent() -> None:
    fitted = surrogate()
    worst = fitted.seen_through(
        Objective(dict.fromkeys(WORLD.metrics, 1.0), reduce="worst"),
        WORLD.space,
    )
    pair = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]])
    assert gain(worst, *pair).sd == pytest.approx(np.hypot(*worst.moments(pair)[1]))
