"""The search: candidates, descent, differences, and what it does with tiny weights."""

import numpy as np
import pytest

from mixopt import MixtureSpace
from mixopt.proposers.search import _apart, cloud, descend, finite_differences, minimize
from mixopt.space.simplex import Array, hellinger_distance

SPACE = MixtureSpace(["a", "b", "c", "d"])
TARGET = np.array([0.4, 0.3, 0.2, 0.1])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def square(W: Array) -> Array:
    return ((W - TARGET) ** 2).sum(axis=1)


def test_differences_are_the_gradient_along_the_simplex() -> None:
    """Of c w the slope towards domain i is c_i - c w, exactly."""
    c = np.array([1.0, -2.0, 0.5, 3.0])
    x = np.array([TARGET, [0.7, 0.1, 0.1, 0.1]])
    got = finite_differences(lambda W: W @ c)(x)
    np.testing.assert_allclose(got, c - (x @ c)[:, None], atol=1e-8)


@pytest.mark.parametrize("local", [False, True])
def test_the_cloud_keeps_the_constraints_and_holds_the_points_given(local: bool) -> None:
    space = SPACE.replace(bounds={"a": (0.2, 0.6)})
    points = np.array([[0.25, 0.25, 0.25, 0.25], [0.3, 0.1, 0.3, 0.3]])
    W = cloud(space, 300, rng(), around=points, local=local)
    assert len(W) == (302 if local else 306)  # with the points, and the vertices
    assert space.contains(W, 1e-8).all()
    assert hellinger_distance(points, W).min(axis=1).max() < 1e-6


def test_a_local_cloud_lies_around_its_points_and_a_wide_one_reaches_the_corners() -> None:
    near = cloud(SPACE, 300, rng(), around=TARGET[None], local=True)
    wide = cloud(SPACE, 300, rng(), around=TARGET[None])
    there, away = (np.median(hellinger_distance(TARGET[None], W)) for W in (near, wide))
    assert there < 0.1
    assert away > 2 * there
    for corner in np.eye(4):
        assert (wide == corner).all(axis=1).any()
    assert len(cloud(SPACE, 300, rng())) == 304  # around the prior where no points are given


def test_descent_finds_the_minimum_of_a_bowl_from_anywhere() -> None:
    starts = np.vstack([np.eye(4)[0], np.full(4, 0.25)])
    np.testing.assert_allclose(descend(square, SPACE, starts), [TARGET, TARGET], atol=1e-4)


def test_no_row_gets_worse_and_an_optimum_is_left_where_it_is() -> None:
    def rugged(W: Array) -> Array:
        return np.sin(40 * W[:, 0]) + np.cos(25 * W[:, 1])

    starts = rng().dirichlet(np.ones(4), 20)
    assert (rugged(descend(rugged, SPACE, starts)) <= rugged(starts) + 1e-9).all()
    np.testing.assert_allclose(descend(square, SPACE, TARGET[None]), TARGET[None], atol=1e-9)


def test_a_given_gradient_is_used() -> None:
    calls = []

    def gradient(x: Array) -> Array:
        calls.append(len(x))
        return 2 * (x - TARGET)

    found = descend(square, SPACE, np.full((1, 4), 0.25), gradient=gradient, steps=30)
    assert calls
    np.testing.assert_allclose(found[0], TARGET, atol=1e-4)


def test_dust_goes_where_it_costs_nothing_and_stays_where_it_is_worth_something() -> None:
    dusty = np.array([[0.5, 0.3, 0.2 - 5e-5, 5e-5]])
    only_a = descend(lambda W: W @ [1.0, 2.0, 3.0, 4.0], SPACE, dusty)
    np.testing.assert_allclose(only_a, [[1, 0, 0, 0]], atol=1e-12)
    # A dust of d is worth more than all else, and what d costs keeps it dust.
    rare = descend(lambda W: W[:, 3] * 1e3 - np.minimum(W[:, 3], 5e-5) * 1e5, SPACE, dusty, steps=0)
    assert rare[0, 3] > 4e-5


def test_points_apart_are_the_best_of_their_neighbourhoods() -> None:
    W = np.array([[1.0, 0.0], [0.999, 0.001], [0.5, 0.5], [0.0, 1.0]])
    assert _apart(W, np.array([2.0, 1.0, 3.0, 0.0]), 4) == [3, 1, 2]
    assert _apart(W, np.array([2.0, 1.0, 3.0, 0.0]), 2) == [3, 1]


def test_minima_come_best_first() -> None:
    def two_wells(W: Array) -> Array:
        a, b = (((W - c) ** 2).sum(axis=1) for c in (TARGET, TARGET[::-1]))
        return np.minimum(a, b + 0.01)

    found = minimize(two_wells, SPACE, rng=rng())
    assert 1 < len(found) <= 6
    assert (np.diff(two_wells(found)) >= 0).all()
    np.testing.assert_allclose(found[0], TARGET, atol=1e-3)


def test_starts_are_looked_at() -> None:
    """A needle that no cloud would hit."""
    needle = np.array([0.123, 0.377, 0.251, 0.249])

    def score(W: Array) -> Array:
        return np.where(np.abs(W - needle).max(axis=1) < 1e-6, -1.0, square(W))

    found = minimize(score, SPACE, rng=rng(), starts=needle[None])
    np.testing.assert_allclose(found[0], needle)
