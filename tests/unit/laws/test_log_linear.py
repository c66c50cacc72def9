from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.laws import curved, fitted_law, law


def generator(seed=0):
    return np.random.default_rng(seed)


def planted(n, m=5, noise=0.0, seed=0):
    rng = generator(seed)
    W = rng.dirichlet(np.ones(m), size=n)
    a = np.array([-2.0, -0.5, 0.3, -1.0, 0.8])[:m]
    return W, (1.5 + np.exp(0.2 + W @ a) + noise * rng.standard_normal(n))[:, None], a


def test_planted_coefficients_are_recovered():
    W, Y, a = planted(200)
    c, sign, b, slope = law("log-linear").fit(W, Y, rng=generator()).coefficients()
    assert sign[0] == 1
    # On the simplex a constant may move between b and every slope: compare what is identified.
    np.testing.assert_allclose(slope[0] - slope[0].mean(), a - a.mean(), atol=0.05)
    np.testing.assert_allclose(c[0], 1.5, atol=0.1)
    recovered = c[0] + sign[0] * np.exp(b[0] + W @ slope[0])
    np.testing.assert_allclose(recovered, Y[:, 0], atol=2e-3)


def test_the_optimum_of_a_planted_law_is_found():
    W, Y, a = planted(100, noise=0.01)
    fitted = law("log-linear").fit(W, Y, rng=generator())
    corners = fitted.predict(np.eye(5)).mean[:, 0]
    assert corners.argmin() == a.argmin()


def test_slopes_are_the_derivatives_of_the_curve():
    rng = generator(1)
    Z, theta = rng.standard_normal((6, 3)), rng.standard_normal((2, 5)) * 0.5
    J, h = curved.slopes(Z, theta), 1e-6
    for i in range(5):
        step = np.zeros(5)
        step[i] = h
        change = (curved.curve(Z, theta + step) - curved.curve(Z, theta - step)) / (2 * h)
        np.testing.assert_allclose(J[..., i], change, atol=1e-6)


def test_leave_out_equals_brute_force_where_the_law_is_linear():
    rng = generator(2)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal(12)
    groups = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9])
    A = X.T @ X
    residual = y - X @ np.linalg.solve(A, X.T @ y)
    found, used = curved.leave_out(X[None], A[None], residual[None], groups)
    assert used[0] == pytest.approx(3.0)
    for group in range(10):
        out = groups == group
        beta = np.linalg.lstsq(X[~out], y[~out], rcond=None)[0]
        tolerance = 0.02 if out.sum() > 1 else 1e-9  # groups are damped by .1 %
        np.testing.assert_allclose(found[0, out], y[out] - X[out] @ beta, atol=tolerance)


def test_intervals_cover_new_runs():
    covered = []
    for seed in range(8):
        W, Y, _ = planted(80, noise=0.03, seed=seed)
        fitted = law("log-linear").fit(W[:40], Y[:40], rng=generator())
        told = fitted.predict(W[40:])
        covered.append(np.abs(Y[40:] - told.mean) <= 1.645 * told.total_sd)
    assert 0.82 <= np.mean(covered) <= 0.97


def test_few_runs_do_not_explode_outside_them():
    W, Y, _ = planted(8)
    told = law("log-linear").fit(W, Y, rng=generator()).predict(np.eye(5))
    assert np.abs(told.mean - Y.mean()).max() < 20 * Y.std()


def test_a_metric_that_saturates_upwards_is_bent_the_other_way():
    W, Y, _ = planted(100)
    _, sign, _, _ = law("log-linear").fit(W, -Y, rng=generator()).coefficients()
    assert sign[0] == -1


def test_several_scales_are_refused_with_the_remedy():
    W, Y, _ = planted(20)
    scale = np.tile([1e6, 1e9], (20, 1))
    scale[10:, 0] = 1e7
    with pytest.raises(InputError, match="correction"):
        law("log-linear").fit(W, Y, scale, rng=generator())


def test_unknown_names_list_the_known():
    with pytest.raises(InputError, match="log-linear"):
        law("loglinear")
    with pytest.raises(InputError, match="to_dict"):
        fitted_law({"weights": []})


def test_a_linear_metric_is_written_as_an_exponential_too():
    rng = np.random.default_rng(0)
    W = rng.dirichlet(np.ones(3), size=30)
    fitted = law("log-linear").fit(W, (W @ [1.0, 2.0, 4.0])[:, None], rng=rng)
    theta = fitted.theta.copy()
    theta[:, -1] = 0.0
    straight = replace(fitted, theta=theta)
    c, sign, b, slope = straight.coefficients()
    written = c + sign * np.exp(b + W @ slope.T)
    np.testing.assert_allclose(written, straight.mean(W), atol=1e-4)
