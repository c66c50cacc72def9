"""Ridge regression: coefficients, what is not penalised, leave-one-out by group, uncertainty."""

import json

import numpy as np
import pytest

from mixopt.laws.linear import LinearFit, fit_linear


def data(n: int = 30, noise: float = 0.1):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((n, 2))
    return Z, 5.0 + Z @ [2.0, -1.0] + noise * rng.standard_normal(n)


def test_without_a_penalty_it_is_least_squares_with_its_textbook_errors() -> None:
    Z, y = data()
    fit = fit_linear(Z, y, (0.0,), np.arange(30))
    X = np.column_stack([np.ones(30), Z])
    best, rss, _, _ = np.linalg.lstsq(X, y, rcond=None)
    np.testing.assert_allclose(fit.coefficients, best, atol=1e-7)
    assert fit.noise == pytest.approx(np.sqrt(rss[0] / 27), rel=1e-6)
    np.testing.assert_allclose(
        fit.covariance, np.linalg.inv(X.T @ X) * rss[0] / 27, rtol=1e-5, atol=1e-12
    )
    mean, variance = fit.moments(np.array([[1.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose(mean, [best.sum(), best[0]], atol=1e-7)
    np.testing.assert_allclose(variance, [fit.covariance.sum(), fit.covariance[0, 0]], rtol=1e-5)


def test_the_intercept_is_not_penalised_and_slopes_are() -> None:
    Z, y = data()
    Z = Z - Z.mean(axis=0)
    strong = fit_linear(Z, y, (1e9,), np.arange(30))
    assert strong.coefficients[0] == pytest.approx(y.mean())
    np.testing.assert_allclose(strong.coefficients[1:], 0, atol=1e-6)


def test_the_penalty_of_least_leave_one_out_error_is_taken() -> None:
    Z, y = data()
    for ridges in ((0.1, 1e4), (1e4, 0.1)):
        chosen = fit_linear(Z, y, ridges, np.arange(30))
        np.testing.assert_array_equal(
            chosen.coefficients, fit_linear(Z, y, (0.1,), np.arange(30)).coefficients
        )


def test_replicates_are_held_out_together() -> None:
    """The residual of each row of a group from the fit without the group (up to its .001)."""
    Z, y = data(12)
    groups = np.arange(12)
    groups[[3, 7, 8]] = 3
    fit = fit_linear(Z, y, (0.5,), groups)
    rest = groups != 3
    X = np.column_stack([np.ones(12), Z])
    penalty = np.diag([0, 0.5, 0.5])
    without = np.linalg.solve(X[rest].T @ X[rest] + penalty, X[rest].T @ y[rest])
    np.testing.assert_allclose(fit.loo[~rest], (y - X @ without)[~rest], rtol=0.01)


def test_it_survives_json() -> None:
    Z, y = data()
    before = fit_linear(Z, y, (1.0,), np.arange(30))
    after = LinearFit.read(json.loads(json.dumps(before.to_dict())))
    for ours, theirs in zip(after.moments(Z), before.moments(Z), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert after.noise == before.noise
