"""Weights inside and beyond the scales that were seen, each applied where it belongs."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mixopt.laws.base import Prediction
from mixopt.laws.scales.stacking import FittedStacking, _fills_scales, _largest, _weights
from mixopt.space.simplex import Array

W = np.full((3, 2), 0.5)


@dataclass(frozen=True)
class Constant:
    """A fitted law that says the same everywhere."""

    level: float
    sd: float

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        mean = np.full((len(W), 1), self.level)
        return Prediction(mean, np.full_like(mean, self.sd), np.array([self.sd]))

    def to_dict(self) -> dict[str, Any]:
        return {}


def stacked() -> FittedStacking:
    """The first law inside, with intervals two and three times as wide; the second beyond."""
    return FittedStacking(
        (Constant(1.0, 0.1), Constant(5.0, 0.3)),
        np.array([[1e6, 1e8], [1e8, 1e10]]),
        np.array([[[1.0], [0.0]], [[0.0], [1.0]]]),
        factors=np.array([[2.0], [3.0]]),
        farther=np.array([0.5]),
    )


def test_each_scale_gets_the_weights_and_intervals_of_its_side() -> None:
    told = stacked().predict(W, np.array([[1e6, 1e8], [1e8, 1e10], [1e8, 2e10]]))
    np.testing.assert_allclose(told.mean[:, 0], [1, 1, 5])
    np.testing.assert_allclose(told.sd[:, 0], [0.2, 0.3, 0.15])
    np.testing.assert_allclose(told.noise, [0.3])
    np.testing.assert_allclose(stacked().predict(W, np.array([2e6, 1e8])).noise, [0.2])
    larger = stacked().predict(W, np.array([2e8, 1e10]))
    np.testing.assert_allclose(larger.mean[:, 0], [5, 5, 5])
    np.testing.assert_allclose(larger.noise, [0.15])


def test_without_a_scale_the_largest_seen_is_meant_and_means_agree() -> None:
    np.testing.assert_allclose(stacked().predict(W).mean[:, 0], 1)
    scale = np.array([[1e6, 1e8], [1e9, 1e10], [1e8, 2e10]])
    np.testing.assert_allclose(stacked().mean(W, scale), stacked().predict(W, scale).mean)


def test_an_error_of_level_counts_a_tenth_of_one_of_ranking() -> None:
    """Two metrics: of each, one law is off by a constant and the other does not rank."""
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((40, 2))
    off, random = np.array([5.0, -3.0]), rng.standard_normal((40, 2))
    noise = np.array([1.0, 1.0])
    level = Prediction(Y + off + 0.01 * random, np.ones((40, 2)), noise)
    ranks = Prediction(Y + random - random.mean(axis=0), np.ones((40, 2)), noise)
    weights = _weights([level, ranks], SimpleNamespace(Y=Y))
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    # Squared: .5^2 and .3^2 of level against 1 of ranking.
    assert (weights[0] > 0.7).all()
    assert weights[0, 1] > weights[0, 0]


@pytest.mark.parametrize(
    ("scale", "largest"),
    [
        ([[1, 9], [2, 5], [2, 7]], [False, True, True]),
        ([[2, 5], [2, 7], [2, 7]], [False, True, True]),
    ],
)
def test_the_largest_model_and_else_the_longest_run(
    scale: list[list[float]], largest: list[bool]
) -> None:
    assert _largest(np.array(scale, dtype=float)).tolist() == largest


@pytest.mark.parametrize(
    ("mixtures", "filled"),
    [((4, 4, 4), True), ((4, 4, 3), False), ((9, 9), False), ((4, 4, 4, 1), True)],
)
def test_three_scales_of_four_mixtures_are_filled(mixtures: tuple[int, ...], filled: bool) -> None:
    at = np.repeat(np.arange(len(mixtures)), mixtures)
    scale = np.column_stack([10.0 ** (6 + at), np.full(len(at), 1e9)])
    runs = SimpleNamespace(scale=scale, groups=np.concatenate([np.arange(n) for n in mixtures]))
    assert _fills_scales(runs) == filled
    assert not _fills_scales(SimpleNamespace(scale=None, groups=runs.groups))


def test_runs_of_twelve_scales_count_as_filled_and_repeats_of_a_mixture_do_not() -> None:
    scale = np.column_stack([np.geomspace(1e6, 1e9, 12), np.full(12, 1e9)])
    assert _fills_scales(SimpleNamespace(scale=scale, groups=np.arange(12)))
    assert not _fills_scales(SimpleNamespace(scale=scale[:11], groups=np.arange(11)))
    repeated = np.repeat(scale[:3], 5, axis=0)
    assert not _fills_scales(SimpleNamespace(scale=repeated, groups=np.zeros(15)))
