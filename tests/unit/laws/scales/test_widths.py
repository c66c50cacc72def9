"""Factors of intervals per scale and metric, from held-out errors of known size."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mixopt.laws.base import Prediction, Runs, check_runs
from mixopt.laws.scales.widths import nearest, scale_factors
from mixopt.space.simplex import Array

_ONE = np.ones((1, 3))


@dataclass(frozen=True)
class Wide:
    """A fitted law that claims the same sd of everything and knows no noise."""

    sd: float

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        mean = np.zeros((len(W), 3))
        return Prediction(mean, np.full_like(mean, self.sd), np.zeros(3))

    def to_dict(self) -> dict[str, Any]:
        return {}


def runs_off_by(sizes: Array, counts: tuple[int, ...]) -> Runs:
    """Runs of three metrics around 0, off by sizes (s, 3), half of them above and half below."""
    rng = np.random.default_rng(0)
    at = np.repeat(np.arange(len(counts)), counts)
    sign = np.where(np.arange(len(at)) % 2, 1.0, -1.0)
    scale = np.column_stack([10.0 ** (6 + at), np.full(len(at), 1e9)])
    return check_runs(rng.dirichlet(np.ones(4), len(at)), sign[:, None] * sizes[at], scale)


def factors(runs: Runs, *, claimed: float = 1.0, asked: float = 1.0) -> Array:
    held = Prediction(np.zeros_like(runs.Y), np.full_like(runs.Y, claimed), np.zeros(3))
    told = scale_factors(runs, [held], _ONE, [Wide(claimed)], [Wide(asked)])
    np.testing.assert_array_equal(told[0], np.unique(runs.scale, axis=0))
    return told[1]


def test_of_many_runs_every_scale_and_metric_has_its_own() -> None:
    sizes = np.array([[0.5, 1.0, 2.0], [1.5, 3.0, 0.75]])
    np.testing.assert_allclose(factors(runs_off_by(sizes, (4000, 4000))), sizes, rtol=0.01)


def test_few_runs_are_drawn_to_their_scale_and_a_scale_to_all() -> None:
    sizes = np.array([[2.0, 2.0, 2.0], [0.5, 0.5, 1.0]])
    told = factors(runs_off_by(sizes, (4000, 8)))
    own, others = told[1, 2], told[1, :2]
    assert 1.0 < own < 2.0  # eight runs beside thousands that err by 2
    assert (others > 0.5).all()
    assert (others < own).all()
    np.testing.assert_allclose(told[0], 2.0, rtol=0.02)


def test_one_scale_says_nothing_of_one_with_many_runs() -> None:
    quiet = factors(runs_off_by(np.array([[0.5] * 3, [1.0] * 3]), (400, 400)))
    loud = factors(runs_off_by(np.array([[2.0] * 3, [1.0] * 3]), (400, 400)))
    np.testing.assert_allclose(quiet[1], loud[1], rtol=0.05)


def test_quick_laws_that_are_wider_than_the_asked_ones_ask_for_more() -> None:
    runs = runs_off_by(np.full((2, 3), 0.6), (400, 400))
    same = factors(runs, claimed=0.6, asked=0.6)
    np.testing.assert_allclose(same, 1.0)
    # The quick law is right with .6; the other claims half of that, so it needs twice as much.
    np.testing.assert_allclose(factors(runs, claimed=0.6, asked=0.3), 2.0, rtol=0.06)


def test_scales_of_few_mixtures_have_their_factor_together() -> None:
    sizes = np.array([[1.0] * 3, *[[3.0] * 3] * 20])
    told = factors(runs_off_by(sizes, (400, *[1] * 20)))
    np.testing.assert_allclose(told[1:], told[1, 0])
    assert told[1, 0] > 2.0
    assert abs(told[0, 0] - 1.0) < 0.05


def test_a_metric_without_held_out_runs_gets_what_the_others_have() -> None:
    runs = runs_off_by(np.full((2, 3), 2.0), (40, 40))
    runs.Y[:, 1] = np.nan
    told = factors(runs)
    assert np.isfinite(told).all()
    assert (told[:, 1] > 1.5).all()


def test_runs_that_are_met_exactly_or_missed_by_far_stay_within_bounds() -> None:
    assert (factors(runs_off_by(np.zeros((2, 3)), (9, 9))) == 1.0).all()
    far = factors(runs_off_by(np.full((2, 3), 1e200), (900, 900)))
    np.testing.assert_allclose(far, 4.0)


@pytest.mark.parametrize(
    ("asked", "number"), [((1e6, 1e9), 0), ((2e6, 1e9), 0), ((6e6, 1e9), 1), ((1e9, 9e9), 1)]
)
def test_the_nearest_scale_is_so_in_logarithms(asked: tuple[float, float], number: int) -> None:
    assert nearest(np.array([[1e6, 1e9], [1e7, 1e9]]), np.array([asked])).tolist() == [number]
