"""Co-kriging over scales: equal to one Gaussian process over everything, at any scale."""

import json
import time

import numpy as np
import pytest

from mixopt import InputError
from mixopt.laws import fitted_law, law
from mixopt.laws.processes import kernel
from mixopt.laws.processes.cokriging import CoKriging, FittedCoKriging
from mixopt.laws.processes.recursion import Level
from mixopt.laws.processes.scale_runs import ScaleRuns
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
    given = [ScaleRuns(W, Y, scale(level)) for level, (W, Y) in enumerate(runs)]
    return CoKriging().fit_scales(given, rng=np.random.default_rng(0)), runs


def scale(level: int) -> tuple[float, float]:
    return 1e6 * 4**level, 1e8 * 3**level


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
    for i in range(len(counts)):
        at_A = np.array(scale(i))
        seen = model.predict(A, at_A)
        np.testing.assert_allclose(model.mean(A, at_A), seen.mean, rtol=1e-9)
        for j in range(len(counts)):
            joint = model.joint(A, B, at_A, np.array(scale(j)))
            for metric in range(2):
                mean, cov = exact(model, runs, metric, [(A, i), (B, j)])
                np.testing.assert_allclose(seen.mean[:, metric], mean[:5], rtol=1e-5)
                sd = np.sqrt(cov.diagonal()[:5])
                np.testing.assert_allclose(seen.sd[:, metric], sd, rtol=2e-3)
                tolerance = 1e-3 * cov.diagonal().max()
                np.testing.assert_allclose(joint[metric], cov[:5, 5:], atol=tolerance)
    top = model.predict(A, np.array(scale(len(counts) - 1)))
    np.testing.assert_array_equal(model.predict(A).mean, top.mean)


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


def test_runs_of_a_larger_scale_teach_the_smaller_one() -> None:
    few, _ = fitted((8, 0))
    more, _ = fitted((8, 20))
    W, small = WORLD.space.sample(40, np.random.default_rng(3)), np.array(scale(0))
    assert (more.predict(W, small).sd < few.predict(W, small).sd).mean() > 0.9


def test_json_keeps_scales_without_runs_and_runs_of_earlier_studies() -> None:
    runs = levels((9, 12, 0))
    scales = (None, scale(0), scale(1))
    given = [ScaleRuns(W, Y, at) for (W, Y), at in zip(runs, scales, strict=True)]
    model = CoKriging().fit_scales(given, rng=np.random.default_rng(0))
    again = fitted_law(json.loads(json.dumps(model.to_dict(), allow_nan=False)))
    W = WORLD.space.sample(7, np.random.default_rng(3))
    for at in (None, np.array(scale(0)), np.array(scale(1))):
        ours, theirs = model.predict(W, at), again.predict(W, at)
        np.testing.assert_array_equal(ours.mean, theirs.mean)
        np.testing.assert_array_equal(ours.sd, theirs.sd)
        np.testing.assert_array_equal(model.joint(W, W, at), again.joint(W, W, at))


def test_a_scale_that_nobody_ran_is_refused_with_those_that_are_known() -> None:
    model, _ = fitted((9, 4))
    W = np.full((2, 4), 0.25)
    with pytest.raises(InputError, match=r"4e\+06 x 3e\+08 .* not 5e\+08 x 3e\+08"):
        model.predict(W, np.array([5e8, 3e8]))
    with pytest.raises(InputError, match="use 'stacking'"):
        model.joint(W, W, scale_B=np.array([[1e6, 1e8], [1e6, 2e8]]))


@pytest.mark.parametrize("name", ["cokriging", "truncated"])
def test_the_smallest_scale_must_be_able_to_teach(name: str) -> None:
    (W, Y), (V, Z) = levels((9, 4))
    at = np.repeat([scale(0), scale(1)], [9, 4], axis=0)
    rng = np.random.default_rng(0)
    X, T = np.vstack([W, V]), np.vstack([Y, Z])
    with pytest.raises(InputError, match=r"runs at 1 different mixtures.*'correction'"):
        law(name).fit(X[8:], T[8:], at[8:], rng=rng)
    T[:9, 1] = np.nan
    with pytest.raises(InputError, match=r"has metric 1.*leave out that metric"):
        law(name).fit(X, T, at, rng=rng)
    with pytest.raises(InputError, match="given twice"):
        law(name).fit_scales([ScaleRuns(W, Y, scale(0)), ScaleRuns(V, Z, scale(0))], rng=rng)


@pytest.mark.parametrize("name", ["cokriging", "truncated"])
def test_a_metric_that_is_flat_at_the_small_scale_is_learned_above_it(name: str) -> None:
    """A benchmark that small models all fail says nothing there, and something at the large one."""
    rng = np.random.default_rng(0)
    W, V = WORLD.space.sample(12, rng), WORLD.space.sample(14, rng)
    Y = np.column_stack([WORLD.truth(W)[:, 0], np.zeros(12)])
    Z = np.column_stack([WORLD.truth(V)[:, 0], 0.2 + 0.3 * V[:, 1]])
    at = np.repeat([scale(0), scale(1)], [12, 14], axis=0)
    model = law(name).fit(np.vstack([W, V]), np.vstack([Y, Z]), at, rng=rng)
    X = WORLD.space.sample(30, rng)
    truth = 0.2 + 0.3 * X[:, 1]
    told = model.predict(X)
    assert np.abs(told.mean[:, 1] - truth).mean() < 0.3 * truth.std()
    assert (told.total_sd[:, 1] > 0).all()


@pytest.mark.parametrize("name", ["cokriging", "truncated"])
def test_a_scale_may_be_named_before_it_has_runs(name: str) -> None:
    ((W, Y),) = levels((12,))
    at = np.tile(scale(1), (12, 1))
    model = law(name, scales=(scale(2), scale(0))).fit(W, Y, at, rng=np.random.default_rng(0))
    near, far = model.predict(W, np.array(scale(1))), model.predict(W, np.array(scale(2)))
    assert (far.sd > near.sd).all()
    np.testing.assert_array_equal(model.predict(W).mean, far.mean)
    with pytest.raises(InputError, match="name it in the law's `scales`"):
        model.predict(W, np.array(scale(0)))  # smaller than all runs: nothing teaches it
