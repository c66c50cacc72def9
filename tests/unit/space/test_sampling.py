"""Uniform draws: moments of known densities, on both ways to draw them."""

import numpy as np
import pytest

from mixopt import Group, MixtureSpace, Tie
from mixopt.space.sampling import uniform


def draws(space: MixtureSpace, n: int = 4000):
    return uniform(space.polytope, n, np.random.default_rng(0))


def test_the_whole_simplex() -> None:
    W = draws(MixtureSpace(["a", "b", "c"]))
    assert W.shape == (4000, 3)
    np.testing.assert_allclose(W.mean(axis=0), 1 / 3, atol=0.01)
    np.testing.assert_allclose(W.var(axis=0), 2 / 36, atol=0.004)  # (m - 1) / (m^2 (m + 1))


def test_draws_are_of_the_generator() -> None:
    space = MixtureSpace(["a", "b", "c"], {"a": (0.4, 0.45)})
    np.testing.assert_array_equal(draws(space, 5), draws(space, 5))
    other = uniform(space.polytope, 5, np.random.default_rng(1))
    assert np.abs(draws(space, 5) - other).max() > 0.01


def test_a_tie_counts_as_one_coordinate() -> None:
    W = draws(MixtureSpace(["a", "b", "c"], ties=[Tie("t", {"a": 3, "b": 1})]))
    np.testing.assert_allclose(W[:, 0], 3 * W[:, 1], atol=1e-9)
    # u : 1 - u uniform on the line
    np.testing.assert_allclose(W[:, 2].mean(), 0.5, atol=0.02)
    np.testing.assert_allclose(W[:, 2].var(), 1 / 12, atol=0.006)


def test_an_equation_is_kept_and_the_rest_is_uniform() -> None:
    space = MixtureSpace(["a", "b", "c", "d"], groups=[Group("g", ("a", "b"), 0.3, 0.3)])
    W = draws(space)
    np.testing.assert_allclose(W[:, :2].sum(axis=1), 0.3, atol=1e-9)
    for column, length in ((0, 0.3), (1, 0.3), (2, 0.7), (3, 0.7)):
        assert W[:, column].mean() == pytest.approx(length / 2, abs=0.02 * length)
        assert W[:, column].var() == pytest.approx(length**2 / 12, rel=0.1)
    assert abs(np.corrcoef(W[:, 0], W[:, 2])[0, 1]) < 0.06


def test_a_narrow_corner_is_filled_evenly() -> None:
    """{a >= .9, b + c <= .1}: a scaled simplex, which one uniform draw in 100 hits."""
    W = draws(MixtureSpace(["a", "b", "c"], {"a": (0.9, 1.0)}))
    np.testing.assert_allclose(W.mean(axis=0), [0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3], atol=0.001)
    np.testing.assert_allclose(W.var(axis=0), 0.01 * 2 / 36, rtol=0.12)


def test_a_single_point_is_drawn_as_often_as_asked() -> None:
    space = MixtureSpace(["a", "b", "c"], {"a": (0.2, 0.2), "b": (0.3, 0.3)})
    np.testing.assert_allclose(draws(space, 3), np.tile([0.2, 0.3, 0.5], (3, 1)), atol=1e-9)
