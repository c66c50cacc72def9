"""One process over all scales: right derivatives, the plain process where scales agree, caution."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt import InputError
from mixopt.laws.processes import kernel
from mixopt.laws.processes.gp import GaussianProcess
from mixopt.laws.processes.scale_runs import ScaleRuns
from mixopt.laws.processes.truncated import (
    FittedTruncated,
    Truncated,
    covariance,
    negative_evidence,
)
from mixopt.strategies import Problem, strategy
from mixopt.testing.worlds import LARGE, SMALL, World, make_world

LAW = GaussianProcess(subset=192, iterations=30)


AT = {scale: np.array([scale.params, scale.tokens], dtype=float) for scale in (SMALL, LARGE)}


def runs_of(world: World, small: int, large: int, seed: int = 0) -> list[ScaleRuns]:
    rng, found = np.random.default_rng(seed), []
    for scale, n in ((SMALL, small), (LARGE, large)):
        W = world.space.sample(n, rng) if n else np.empty((0, world.space.dim))
        Y = world.truth(W, scale) if n else np.empty((0, len(world.metrics)))
        found.append(ScaleRuns(W, Y, (scale.params, scale.tokens)))
    return found


def fitted(world: World, small: int = 30, large: int = 6) -> FittedTruncated:
    return Truncated(LAW).fit_scales(runs_of(world, small, large), rng=np.random.default_rng(0))


def test_the_gradient_of_the_evidence_is_right() -> None:
    rng = np.random.default_rng(0)
    Z, s, y = rng.standard_normal((25, 3)), rng.choice([0.0, 0.4, 1.0], 25), rng.standard_normal(25)
    theta = np.array([0.3, 0.8, 1.2, 1.0, 0.5, 0.2, -0.3, -0.7, -2.0])
    exact = negative_evidence(theta, Z, s, y, kernel.Priors())[1]
    steps = 1e-6 * np.eye(len(theta))
    for i, step in enumerate(steps):
        up, down = (
            negative_evidence(theta + sign * step, Z, s, y, kernel.Priors())[0] for sign in (1, -1)
        )
        assert exact[i] == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-6)


def test_it_is_the_normal_that_the_kernel_says() -> None:
    world = make_world(4, 2, seed=1, kind="two-scales")
    model = fitted(world)
    W, process = world.space.sample(5, np.random.default_rng(3)), model.processes[0]
    Z = model.features(W)
    points, places = np.vstack([process.Z, Z]), np.concatenate([process.s, np.ones(5)])
    K = covariance(points, places, points, places, process.theta)
    n = len(process.Z)
    noisy = K[:n, :n] + np.exp(process.theta[-1]) * np.eye(n)
    left = K[n:, n:] - K[n:, :n] @ np.linalg.solve(noisy, K[:n, n:])
    unit = model.standard.spread[0] ** 2
    assert model.joint(W, W)[0] == pytest.approx(left * unit, rel=1e-4, abs=1e-9 * unit)
    assert model.predict(W).sd[:, 0] ** 2 == pytest.approx(np.diag(left) * unit, rel=1e-4)
    small = runs_of(world, 30, 6)[0]
    at_runs = model.mean(small.W, AT[SMALL])
    assert at_runs == pytest.approx(small.Y, abs=0.2 * world.spread)


def test_scales_share_less_than_each_holds() -> None:
    model = fitted(make_world(4, 2, seed=1, kind="two-scales"))
    W = np.full((1, 4), 0.25)
    shared = model.joint(W, W, AT[LARGE], AT[SMALL])[:, 0, 0]
    of = [model.predict(W, AT[s]).sd[0] ** 2 for s in (LARGE, SMALL)]
    assert (shared**2 <= of[0] * of[1] * (1 + 1e-9)).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_proxy_that_follows_helps(seed: int) -> None:
    world = make_world(5, 2, seed=seed, kind="two-scales")
    few = runs_of(world, 0, 6)[1]
    X = world.space.sample(300, np.random.default_rng(9))
    with_proxy = fitted(world, 40, 6)
    without = LAW.fit(few.W, few.Y, rng=np.random.default_rng(0))
    truth = world.truth(X)
    error = [np.abs(m - truth).mean() for m in (with_proxy.mean(X), without.mean(X))]
    assert error[0] < 0.6 * error[1]


def test_one_scale_and_missing_metrics() -> None:
    world = make_world(4, 2, seed=0)
    W = world.space.sample(20, np.random.default_rng(0))
    Y = world.truth(W)
    Y[::4, 1] = np.nan
    model = Truncated(LAW).fit(W, Y, rng=np.random.default_rng(0))
    plain = LAW.fit(W, Y, rng=np.random.default_rng(0))
    X = world.space.sample(50, np.random.default_rng(1))
    assert model.mean(X) == pytest.approx(plain.mean(X), abs=0.3 * world.spread)


@pytest.mark.parametrize("criterion", ["gain", pytest.param("entropy", marks=pytest.mark.slow)])
def test_the_strategy_searches_with_it(criterion: str) -> None:
    world = make_world(4, 2, seed=2, kind="two-scales")
    problem = Problem(
        world.space, world.objective, world.scales, costs={SMALL: 0.1, LARGE: 1.0}, seed=1
    )
    settings = {"design": 6, "runs": 30, "process": "truncated", "criterion": criterion}
    recipe, done = strategy("ladder", **settings), []
    while specs := recipe.next(problem, done, []):
        done += [world.run(s) for s in specs]
    answer = recipe.recommend(problem, done)
    assert (world.value(answer.array[None])[0] - world.best) < 0.5 * world.spread
    assert {o.spec.scale for o in done} == {SMALL, LARGE}
    empty = replace(problem, seed=2)
    assert strategy("ladder", **settings).next(empty, [], [])


def test_an_unknown_relation_of_scales_is_refused() -> None:
    with pytest.raises(InputError, match="known: cokriging, truncated"):
        strategy("ladder", process="linear")
