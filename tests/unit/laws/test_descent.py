"""Robust least squares of many problems at a time."""

import numpy as np

from mixopt.laws.descent import descend, descend_many

CENTER = np.zeros(2)


def lines(x, Y):
    """Residuals of b lines theta_0 + theta_1 x (n,) from Y (b, n), each known by its row."""

    def residuals(theta, rows):
        f = theta[:, :1] + theta[:, 1:] * x
        J = np.broadcast_to(np.column_stack([np.ones_like(x), x]), (len(rows), x.size, 2))
        return f - Y[rows], np.array(J)

    return residuals


def test_every_problem_settles_where_it_would_alone():
    rng = np.random.default_rng(0)
    x, Y = np.linspace(-1, 1, 20), 0.2 * rng.standard_normal((6, 20))
    Y[3] = 40.0 * x  # one takes many more steps than the others
    start = rng.standard_normal((6, 2))
    loss, theta = descend_many(lines(x, Y), CENTER, start, steps=60, tolerance=1e-9)
    for i in range(6):
        one = lines(x, Y[[i]])
        alone = descend(
            lambda t, one=one: tuple(part[0] for part in one(t[None], np.array([0]))),
            CENTER,
            start[i],
            steps=60,
            tolerance=1e-9,
        )
        np.testing.assert_allclose(loss[i], alone[0], rtol=1e-9)
        np.testing.assert_allclose(theta[i], alone[1], rtol=1e-6, atol=1e-9)


def test_residuals_beyond_three_noises_count_linearly():
    """Of 9 zeros and one far value the mean moves by as much as if that were at the limit."""
    x, Y = np.zeros(10), np.zeros((1, 10))
    at = []
    for far in (5.0, 50.0):
        Y[0, 0] = far
        _, theta = descend_many(lines(x, Y), CENTER, np.zeros((1, 2)), steps=60, tolerance=1e-12)
        at.append(theta[0, 0])
    # 9 theta + prior theta = .3: the slope of Huber's loss beyond 3 x .1.
    np.testing.assert_allclose(at, 0.3 / (9 + (0.1 / 2.0) ** 2), rtol=1e-3)
