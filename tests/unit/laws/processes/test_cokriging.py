"""Co-kriging over scales: equal to one Gaussian process over everything, at any depth."""

import time

import numpy as np
import pytest

from mixopt.laws.processes import kernel
from mixopt.laws.processes.cokriging import FittedCoKriging, Level, fit_cokriging
from mixopt.laws.processes.gp import GaussianProcess
from mixopt.space.simplex import Array
from mixopt.testing.worlds import make_world

WORLD = make_world(4, 2)


def levels(counts: tuple[int, ...], seed: int = 0) -> list[tuple[Array, Array]]:
    """Runs whose metrics are a + b f(w), other numbers at every scale, a little noise."""
    rng, found = np.random.default_rng(seed), []
    for level, n in enumerate(counts):
        W = WORLD.space.sample(n, rng) if n else np.empty((0, 4))
        Y = WORLD.truth(W) if n else np.empty((0, 2))
        Y = (1.0 - 0.1 * level) * Y + 0.3 * level + 0.01 * rng.standard_normal(Y.shape)
        found.append((W, Y))
    return found


def fitted(counts: tuple[int, ...]) -> tuple[FittedCoKriging, list[tuple[Array, Array]]]:
    runs = levels(counts)
    return fit_cokriging(runs, GaussianProcess(), rng=np.random.default_rng(0)), runs


def exact(
    model: FittedCoKriging,
    runs: list[tuple[Array, Array]],
    metric: int,
    points: list[tuple[Array, int]],
) -> tuple[Array, Array]:
    """Mean and covariance at (mixtures, level) by conditioning one big normal on all runs."""
    processes = [model.base.posteriors[metric], *(level[metric] for level in model.levels)]
    standard = model.base.standard
    unit = standard.spread[metric]

    def cov(A: Array, i: int, B: Array, j: int) -> Array:
        """Prior covariance of f_i(A) with f_j(B): what both have of every d below."""
        total = np.zeros((len(A), len(B)))
        for k in range(min(i, j) + 1):
            slopes = [
                float(np.prod([p.slope for p in processes[k + 1 : top + 1]])) for top in (i, j)
            ]
            total += slopes[0] * slopes[1] * kernel.covariance(A, B, processes[k].log_theta)
        return total

    def start(i: int) -> float:
        return 0.0 if i == 0 else processes[i].center + processes[i].slope * start(i - 1)

    known = [(model.base.features(W), i) for i, (W, _) in enumerate(runs) if len(W)]
    y = np.concatenate(
        [(Y[:, metric] - standard.center[metric]) / unit - start(i)
         for i, (W, Y) in enumerate(runs) if len(W)]
    )  # fmt: skip
    noise = np.concatenate(
        [np.full(len(Z), np.exp(processes[i].log_theta[-1]) + 1e-10) for Z, i in known]
    )
    asked = [(model.base.features(W), i) for W, i in points]
    K = np.block([[cov(A, i, B, j) for B, j in known] for A, i in known]) + np.diag(noise)
    to = np.block([[cov(A, i, B, j) for B, j in known] for A, i in asked])
    own = np.block([[cov(A, i, B, j) for B, j in asked] for A, i in asked])
    begin = np.concatenate([np.full(len(Z), start(i)) for Z, i in asked])
    mean = begin + to @ np.linalg.solve(K, y)
    variance = own - to @ np.linalg.solve(K, to.T)
    return standard.center[metric] + unit * mean, unit**2 * variance


@pytest.mark.parametrize("counts", [(12, 5), (14, 6, 3), (12, 0, 4), (10, 4, 0), (9, 4, 3, 2)])
def test_it_is_the_normal_of_all_runs_together(counts: tuple[int, ...]) -> None:
    model, runs = fitted(counts)
    A = WORLD.space.sample(5, np.random.default_rng(5))
    B = WORLD.space.sample(3, np.random.default_rng(6))
    top = len(counts) - 1
    seen = model.predict(A)
    for metric in range(2):
        for below in range(len(counts)):
            mean, cov = exact(model, runs, metric, [(A, top), (B, top - below)])
            np.testing.assert_allclose(seen.mean[:, metric], mean[:5], rtol=1e-5)
            sd = np.sqrt(cov.diagonal()[:5])
            np.testing.assert_allclose(seen.sd[:, metric], sd, rtol=1e-3)
            joint = model.joint(A, B, below)[metric]
            np.testing.assert_allclose(joint, cov[:5, 5:], atol=1e-3 * cov.diagonal().max())
    np.testing.assert_allclose(model.mean(A), seen.mean, rtol=1e-9)


def test_many_scales_cost_no_more_than_their_number() -> None:
    def seconds(scales: int) -> float:
        model, _ = fitted((12, *([4] * (scales - 1))))
        A = WORLD.space.sample(50, np.random.default_rng(1))
        before = time.process_time()
        for _ in range(5):
            model.joint(A, A)
        return time.process_time() - before

    assert seconds(24) < 60 * seconds(3) + 0.5  # where 3^24 would not end
    assert isinstance(fitted((6, 3))[0].levels[0][0], Level)
