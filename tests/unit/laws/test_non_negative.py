"""Non-negative least squares of many targets at once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from mixopt.laws.non_negative import _alone, _together, non_negative


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(0, 1), st.floats(-6, 6))
def test_every_target_gets_the_minimum_that_scipy_gives_it_alone(seed, p, twins, log_unit):
    """Columns in any unit, and columns that say the same as others."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, p)) + rng.standard_normal((40, 1))
    X = np.hstack([X, X[:, :twins] * 2.0]) * 10.0**log_unit
    y = rng.standard_normal((40, 9))
    x = non_negative(X.T @ X, y.T @ X)
    assert (x >= 0).all()
    for target, ours in zip(y.T, x, strict=True):
        theirs, _ = nnls(X, target)
        np.testing.assert_allclose(X @ ours, X @ theirs, atol=1e-6)


def test_few_targets_are_solved_alone_and_many_together_alike():
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((50, 20)), rng.standard_normal((50, 15))
    G, C = X.T @ X, y.T @ X
    np.testing.assert_allclose(_together(G, C), _alone(G, C), atol=1e-9)
    np.testing.assert_allclose(non_negative(G, C)[:2], non_negative(G, C[:2]), atol=1e-9)


def test_exchanges_that_go_in_circles_end():
    """One exchange at a time, and without any that has settled: scipy's answer all the same."""
    rng = np.random.default_rng(1)
    X = np.exp(3.0 * rng.standard_normal((60, 1)) * rng.random((1, 40)))  # nearly one direction
    y = X @ rng.standard_normal((40, 20))
    x = non_negative(X.T @ X, y.T @ X)
    for target, ours in zip(y.T, x, strict=True):
        error = nnls(X, target, maxiter=4000)[1]
        assert np.linalg.norm(X @ ours - target) <= 1.001 * error + 1e-6 * np.linalg.norm(target)
