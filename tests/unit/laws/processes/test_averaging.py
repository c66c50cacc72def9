"""Hyperparameters that may be off, and what that does to a process's intervals."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt.laws import fitted_law, law
from mixopt.laws.base import plain
from mixopt.laws.processes import averaging, kernel
from mixopt.laws.processes.gp import FEW, GaussianProcess
from mixopt.testing.worlds import make_world

PRIORS = kernel.Priors()


def runs(n: int, seed: int = 0, noise: float = 0.1):
    """Mixtures of six domains and three metrics, in a world with interactions."""
    world, rng = make_world(6, 3, seed=seed, kind="interactions"), np.random.default_rng(seed)
    W = rng.dirichlet(np.ones(6), n)
    truth = world.truth(W)
    return W, truth + noise * truth.std(axis=0) * rng.standard_normal(truth.shape)


def covers(settings: dict[str, int]) -> float:
    inside = []
    for seed in range(8):
        W, Y = runs(100, seed)
        told = law("gp", **settings).fit(W[:14], Y[:14], rng=np.random.default_rng(1))
        seen = told.predict(W[14:])
        inside.append(np.abs(Y[14:] - seen.mean) <= 1.645 * seen.total_sd)
    return float(np.mean(inside))


def test_intervals_of_few_runs_hold_new_runs() -> None:
    """90 % intervals; by the optimum alone they hold two of three."""
    assert 0.84 < covers({}) < 0.96
    assert covers({"draws": 0}) < 0.75


def test_means_and_noise_stay_and_variances_average_over_the_draws() -> None:
    W, Y = runs(30)
    fitted = law("gp").fit(W[:20], Y[:20], rng=np.random.default_rng(1))
    best = replace(fitted, draws=None)
    seen, certain = fitted.predict(W[20:]), best.predict(W[20:])
    np.testing.assert_array_equal(seen.mean, certain.mean)
    np.testing.assert_array_equal(seen.noise, certain.noise)
    # By hand, for the first metric.
    Z, T = fitted.features(W[20:]), fitted.standard.forward(fitted.Y)[:, 0]
    moments = [
        kernel.Posterior.condition(fitted.features(fitted.W), T, theta).moments(Z)
        for theta in fitted.draws[0]
    ]
    middle = fitted.posteriors[0].mean(Z)
    variance = np.mean([v + (m - middle) ** 2 for m, v in moments], axis=0)
    assert seen.sd[:, 0] == pytest.approx(np.sqrt(variance) * fitted.standard.spread[0])
    joint = fitted.joint(W[20:], W[20:])
    assert pytest.approx(seen.sd**2) == np.diagonal(joint, axis1=1, axis2=2).T
    assert np.linalg.eigvalsh(joint).min() > -1e-9
    again = fitted_law(fitted.to_dict()).predict(W[20:])
    np.testing.assert_allclose(again.sd, seen.sd)


def test_very_many_points_are_widened_as_a_sample_of_them_is() -> None:
    W, Y = runs(5000)
    fitted = law("gp").fit(W[:20], Y[:20], rng=np.random.default_rng(1))
    quick, exact = fitted.predict(W).sd, fitted.predict(W[:100]).sd
    assert np.median(quick[:100] / exact) == pytest.approx(1.0, abs=0.15)


def test_draws_follow_the_curvature_and_stay_within_bounds() -> None:
    rng = np.random.default_rng(2)
    Z = rng.standard_normal((40, 3))
    y = np.sin(2 * Z[:, 0]) + 0.1 * rng.standard_normal(40)
    best = kernel.learn(Z, y, PRIORS, 60)
    drawn = averaging.draw(Z, y, best, PRIORS, 400)
    low, high = np.array(kernel.bounds(PRIORS, 3)).T
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    np.testing.assert_array_equal(drawn, averaging.draw(Z, y, best, PRIORS, 400))
    spread = drawn.std(axis=0)
    # The length of what matters is known; those of the others, and no wider than the prior.
    assert spread[0] < 0.3
    assert (spread[1:3] > 2 * spread[0]).all()
    assert (spread[:3] < 1.1 * averaging.WIDER * PRIORS.lengthscale[1]).all()
    for order in ([2, 0, 1], [1, 2, 0], [2, 1, 0]):
        both = [*order, 3, 4]
        turned = averaging.draw(Z[:, order], y, best[both], PRIORS, 400)
        np.testing.assert_allclose(turned, drawn[:, both], atol=1e-4)
    # Where the curvature says nothing of use the widest prior is left.
    astray = averaging.draw(Z, y, best + 1.0, PRIORS, 400)
    assert (astray.std(axis=0) < 1.1 * averaging.WIDER * PRIORS.spreads(3).max()).all()


def test_laws_that_scale_intervals_themselves_take_the_optimum() -> None:
    assert plain(law("gp")) == GaussianProcess()
    assert plain(law("gp-log")) == GaussianProcess(features="log")
    bimix = law("bimix")
    assert plain(bimix) is bimix
    W, Y = runs(FEW + 1)
    many = law("gp").fit(W, Y[:, :1], rng=np.random.default_rng(1))
    assert many.draws is None
    auto = law("auto", laws=("gp", "bimix")).fit(W[:20], Y[:20], rng=np.random.default_rng(1))
    assert auto.parts[0].draws is None
    # Missing values: every metric has the draws of its own runs.
    Y[3:9, 1] = np.nan
    some = law("gp").fit(W[:20], Y[:20], rng=np.random.default_rng(1))
    assert len(some.drawn[1].Z) == 14
    assert np.isfinite(some.predict(W[20:30]).sd).all()
