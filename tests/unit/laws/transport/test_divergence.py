"""The Sinkhorn divergence: published values, its limits, and gradients against differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.laws.transport.divergence import Clouds, exchange_gradient

CLOUDS = {"near": [[0.0, 0.0], [1.0, 0.5]], "far": [[4.0, 1.0], [5.0, 3.0], [3.0, 3.0]]}
TARGET = [[0.5, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]]


def test_the_published_example_of_the_gradient() -> None:
    """Points 0, 1, 3 with shares .5, .3, .2 against one point at 0: all mass has one way to go."""
    p = (0.5, 0.3, 0.2)
    clouds = Clouds.of({"a": [[0.0]], "b": [[1.0]], "c": [[3.0]]}, [[0.0]])
    plain = clouds.at(p)  # less what it is from itself
    cost = np.array([0.0, 1.0, 9.0])
    assert np.dot(p, cost) == pytest.approx(2.1)
    assert exchange_gradient(cost, p)[2] == pytest.approx(8.625)
    assert 0 < plain.value < 2.1
    with np.errstate(all="raise"):  # a source that is all there is has no others
        assert exchange_gradient((2, 5), (1, 0)) == pytest.approx([np.nan, 3.0], nan_ok=True)


def test_it_is_nothing_where_mixture_and_target_are_the_same() -> None:
    clouds = Clouds.of({"one": TARGET[:2], "rest": TARGET[2:]}, TARGET)
    assert clouds.at((0.5, 0.5)).value == pytest.approx(0.0, abs=1e-5)
    assert clouds.at((1.0, 0.0)).value > 0.01


def test_with_much_entropy_it_is_the_distance_of_means() -> None:
    clouds = Clouds.of(CLOUDS, TARGET, epsilon=1e4)
    for p in ((0.5, 0.5), (0.9, 0.1), (0.0, 1.0)):
        middle = sum(
            share * np.mean(c, axis=0) for share, c in zip(p, CLOUDS.values(), strict=True)
        )
        apart = float(((middle - np.mean(TARGET, axis=0)) ** 2).sum())
        assert clouds.at(p).value == pytest.approx(apart, rel=1e-3, abs=1e-4)


@given(st.floats(0.05, 0.95), st.sampled_from([0.1, 0.3, 1.0]))
def test_potentials_are_its_gradient(share: float, epsilon: float) -> None:
    clouds, h = Clouds.of(CLOUDS, TARGET, epsilon), 1e-4
    above, below = (clouds.at((share + s, 1 - share - s)).value for s in (h, -h))
    f = clouds.at((share, 1 - share)).potentials
    assert (above - below) / (2 * h) == pytest.approx(f[0] - f[1], rel=1e-3, abs=1e-3)


def test_a_domain_without_a_share_has_no_potential() -> None:
    clouds = Clouds.of(CLOUDS, TARGET, epsilon=0.1)
    told = clouds.at((1.0, 0.0))
    assert np.isnan(told.potentials).tolist() == [False, True]
    assert told.value == pytest.approx(clouds.at((1.0 - 1e-9, 1e-9)).value, rel=1e-3)


def test_far_outliers_stay_numbers() -> None:
    clouds = Clouds.of({**CLOUDS, "lost": [[90.0, 90.0]]}, TARGET)
    told = clouds.at((0.4, 0.3, 0.3))
    assert np.isfinite([told.value, *told.potentials]).all()
    assert told.value > 1000


@pytest.mark.parametrize(
    ("points", "target", "epsilon", "message"),
    [
        ({"a": [[0.0]]}, [[1.0]], 0.1, "a mixture is of two or more"),
        ({"a": [[0.0]], "b": [[1.0, 2.0]]}, [[1.0]], 0.1, "'b' have 2 dimensions"),
        ({"a": [[0.0]], "b": [[np.nan]]}, [[1.0]], 0.1, "point 0 of 'b' has a missing"),
        (
            {"a": [[0.0]], "b": [[0.0], [1.0], [np.inf]]},
            [[1.0]],
            0.1,
            "point 2 of 'b' has a missing",
        ),
        ({"a": [[0.0]], "b": []}, [[1.0]], 0.1, "'b' have the shape"),
        ({"a": [[0.0]], "b": [[1.0]]}, [[1.0]], 0.0, "epsilon is 0"),
        ({"a": [[1.0]], "b": [[1.0]]}, [[1.0]], 0.1, "at no distance from the target"),
    ],
)
def test_points_that_cannot_be_are_refused(points, target, epsilon, message) -> None:
    with pytest.raises(InputError, match=message):
        Clouds.of(points, target, epsilon)
