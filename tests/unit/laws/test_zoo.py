import json

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.laws import fitted_law, law
from mixopt.laws.autoscale import next_amounts
from mixopt.laws.bimix import bimix
from mixopt.laws.curves import fit_curve
from mixopt.laws.linear import fit_linear
from mixopt.laws.parametric import Inputs
from mixopt.laws.repetition import data_constrained, effective


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", ["shukor-additive", "shukor-joint", "bimix", "autoscale"])
def test_derivatives_of_formulas_are_right(name):
    rng = generator(1)
    formula = law(name).formula
    at = Inputs(
        rng.dirichlet(np.ones(3), 7), rng.normal(size=7), rng.normal(size=7), (True, True), 1
    )
    theta = formula.center(at) + 0.2 * rng.standard_normal(formula.center(at).size)
    _, J = formula.evaluate(theta, at)
    for i in range(theta.size):
        step = np.zeros(theta.size)
        step[i] = 1e-6
        high, low = (formula.evaluate(theta + s, at)[0] for s in (step, -step))
        np.testing.assert_allclose(J[:, i], (high - low) / 2e-6, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["shukor-additive", "shukor-joint", "bimix", "autoscale"])
def test_metrics_fitted_together_are_those_fitted_alone(name):
    """Rows that a metric lacks, another own domain and the other direction change no neighbour."""
    rng = generator(11)
    W, scale = rng.dirichlet(np.ones(4), 24), np.repeat([[1e6, 2e7], [4e6, 8e7]], 12, axis=0)
    Y = np.exp(-2.0 * np.sqrt(W)) * [1.0, 1.0, -1.0, 1.0] + 0.01 * rng.standard_normal((24, 4))
    Y[[0, 1, 12, 13], 1] = np.nan  # as many at either scale: the reference stays
    together = law(name).fit(W, Y, scale, rng=generator())
    again = law(name).refit(together, W, Y, scale, rng=generator())
    for j in range(4):
        has = np.isfinite(Y[:, j])
        alone = law(name).fit(W[has], Y[has, j : j + 1], scale[has], rng=generator())
        assert (alone.own[0], alone.signs[0]) == (together.own[j], together.signs[j])
        told, theirs = together.predict(W, scale), alone.predict(W, scale)
        np.testing.assert_allclose(told.mean[:, j], theirs.mean[:, 0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(told.sd[:, j], theirs.sd[:, 0], rtol=1e-2)
        np.testing.assert_allclose(
            together.held_out.mean[has, j], alone.held_out.mean[:, 0], rtol=1e-2, atol=1e-3
        )
    np.testing.assert_allclose(again.mean(W, scale), together.mean(W, scale), atol=2e-3)


def test_bimix_recovers_an_own_domain_power_law():
    W = generator(2).dirichlet(np.ones(4), size=60)
    Y = (1.0 + 0.5 * (W[:, [2]] + 0.003) ** -0.3) + 0.002 * generator(3).standard_normal((60, 1))
    fitted = bimix().fit(W, Y, rng=generator())
    assert fitted.own[0] == 2
    assert np.exp(fitted.theta[0, 2]) == pytest.approx(0.3, abs=0.07)


def test_scheffe_keeps_the_planted_interaction():
    W = generator(4).dirichlet(np.ones(6), size=150)
    y = W @ np.arange(6.0) + 8.0 * W[:, 1] * W[:, 4] + 0.01 * generator(5).standard_normal(150)
    fitted = law("scheffe").fit(W, y[:, None], rng=generator())
    first, second = np.triu_indices(6, 1)
    pairs = {(int(first[t]), int(second[t])) for t in fitted.kept[0]}
    assert (1, 4) in pairs
    np.testing.assert_allclose(fitted.predict(W).mean[:, 0], y, atol=0.1)


def test_ridge_leave_one_out_equals_brute_force():
    rng = generator(6)
    Z, y = rng.standard_normal((14, 3)), rng.standard_normal(14)
    fit = fit_linear(Z, y, (1.0,), np.arange(14))
    for i in range(14):
        rest = np.arange(14) != i
        other = fit_linear(Z[rest], y[rest], (1.0,), np.arange(13))
        assert fit.loo[i] == pytest.approx(y[i] - other.moments(Z[[i]])[0][0], abs=1e-6)


def test_repeating_is_nearly_free_at_first_and_worthless_at_last():
    assert effective(0.5e9, 1e9) == 0.5e9
    assert effective(4e9, 1e9) > 0.9 * 4e9
    assert effective(1e15, 1e9) == pytest.approx(1e9 * (1 + 15.387756))
    assert effective(3e9, np.nan) == 3e9
    with pytest.raises(InputError, match="above 0"):
        effective(1.0, 0.0)


@pytest.mark.parametrize(
    ("params", "tokens", "loss"),
    [(6.34e9, 242e9, 2.2256440889984477), (8.67e9, 178e9, 2.2269634075087867)],
)
def test_the_published_data_constrained_losses(params, tokens, loss):
    assert data_constrained(params, tokens, 25e9) == pytest.approx(loss, abs=1e-9)


def test_a_law_sees_that_a_repeated_domain_wears_out():
    rng = generator(7)
    W = rng.dirichlet(np.ones(3), size=80)
    worth = effective(W * 1e9, np.array([1e6, 1e12, 1e12]))
    Y = 2 + np.exp(-2 * worth[:, [0]] / worth.sum(axis=1, keepdims=True))
    scale = np.tile([1e6, 1e9], (80, 1))
    wise = law("repeated", base="log-linear", tokens=(1e6, 1e12, 1e12))
    blind = law("log-linear")
    errors = [
        np.abs(x.fit(W[:60], Y[:60], scale[:60], rng=rng).predict(W[60:], scale[60:]).mean - Y[60:])
        for x in (wise, blind)
    ]
    assert errors[0].mean() < 0.5 * errors[1].mean() + 1e-4


def test_autoscale_goes_on_geometrically():
    np.testing.assert_allclose(next_amounts([1.0, 2.0], [2.0, 2.0]), [4.0, 2.0])
    with pytest.raises(InputError, match="above 0"):
        next_amounts([0.0, 1.0], [1.0, 1.0])


def test_a_learning_curve_is_foreseen():
    D = np.linspace(1e8, 1e9, 12)
    y = 2.0 + 1.0 * (D / 1e9) ** -0.4
    mean, sd = fit_curve(D, y).predict([1e9, 4e9])
    truth = 2.0 + np.array([1.0, 4.0]) ** -0.4
    np.testing.assert_allclose(mean, truth, atol=0.01)
    assert sd[1] >= sd[0]
    with pytest.raises(InputError, match="4 or more"):
        fit_curve(D[:3], y[:3])


def test_bootstrap_and_conformal_make_narrow_intervals_honest():
    rng = generator(8)
    W = rng.dirichlet(np.ones(4), size=160)
    Y = np.sin(6 * W[:, [0]]) + 0.05 * rng.standard_normal((160, 1))
    for name in ("conformal", "bootstrap"):
        fitted = law(name, base="linear").fit(W[:80], Y[:80], rng=rng)
        told = fitted.predict(W[80:])
        assert (np.abs(told.mean - Y[80:]) <= 1.645 * told.total_sd).mean() > 0.8, name
        again = fitted_law(json.loads(json.dumps(fitted.to_dict())))
        np.testing.assert_allclose(again.predict(W).sd, fitted.predict(W).sd)


def test_trees_learn_from_few_runs():
    """LightGBM's own default is constant below 40 runs."""
    rng = generator(9)
    W = rng.dirichlet(np.ones(3), size=60)
    Y = 3.0 - 2.0 * W[:, [0]]
    told = law("lightgbm", rounds=200, noise_rounds=50).fit(W[:25], Y[:25], rng=rng)
    assert np.corrcoef(told.predict(W[25:]).mean[:, 0], Y[25:, 0])[0, 1] > 0.85


def test_a_process_on_residuals_beats_its_law():
    rng = generator(10)
    W = rng.dirichlet(np.ones(3), size=100)
    Y = 2.0 + np.exp(-2 * W[:, [0]]) + 0.3 * np.sin(8 * W[:, [1]])
    errors = [
        np.abs(law(n).fit(W[:60], Y[:60], rng=rng).predict(W[60:]).mean - Y[60:]).mean()
        for n in ("gp-residual", "log-linear-sqrt")
    ]
    assert errors[0] < 0.5 * errors[1]
