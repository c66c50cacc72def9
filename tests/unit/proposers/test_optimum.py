"""Guarded optima whose answer is known: within bounds, groups and ties, and where none exists."""

from dataclasses import dataclass

import numpy as np
import pytest

from mixopt import Domain, Group, Guard, MixtureSpace, Objective, Tie
from mixopt.laws.base import Prediction
from mixopt.proposers import Surrogate
from mixopt.proposers.optimum import optimum
from mixopt.space.simplex import Array

NAMES = ["a", "b", "c", "d"]
DOMAINS = [Domain(name, prior=0.25) for name in NAMES]
GOAL = np.array([1.0, 2.0, 3.0, 4.0])  # all would go to a
HURT = np.array([4.0, 1.0, 1.0, 1.0])  # which hurts the guarded metric; 1.75 at the natural mixture


@dataclass(frozen=True)
class Linear:
    """A law that knows both metrics exactly."""

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        mean = np.atleast_2d(W) @ np.column_stack([GOAL, HURT])
        return Prediction(mean, np.zeros_like(mean), np.zeros(2))


def answer(space: MixtureSpace, tolerance: float | None) -> Array:
    guards = () if tolerance is None else (Guard("hurt", tolerance),)
    objective = Objective({"goal": 1.0}, guards=guards)
    surrogate = Surrogate.of(Linear(), objective, ("goal", "hurt"), space)
    return optimum(surrogate, space, W=space.prior[None], rng=np.random.default_rng(0))


def test_without_a_guard_it_is_the_best_corner() -> None:
    np.testing.assert_allclose(answer(MixtureSpace(DOMAINS), None), [1, 0, 0, 0], atol=1e-6)


def test_a_guard_is_used_up_and_no_more() -> None:
    """4 a + (1 - a) <= 1.75 keeps a at .25; the rest goes to the next best."""
    w = answer(MixtureSpace(DOMAINS), 0.0)
    np.testing.assert_allclose(w, [0.25, 0.75, 0, 0], atol=1e-6)
    # A fifth more, 2.1, allows a = 1.1 / 3.
    a = 1.1 / 3
    np.testing.assert_allclose(answer(MixtureSpace(DOMAINS), 0.2), [a, 1 - a, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"bounds": {"b": (0.0, 0.4)}}, [0.25, 0.4, 0.35, 0]),
        ({"bounds": {"d": (0.1, 1.0)}}, [0.25, 0.65, 0, 0.1]),
        ({"groups": [Group("g", ("a", "b"), 0.0, 0.6)]}, [0.25, 0.35, 0.4, 0]),
        ({"groups": [Group("g", ("c", "d"), 0.3, 1.0)]}, [0.25, 0.45, 0.3, 0]),
        ({"ties": [Tie("t", {"b": 1, "c": 1, "d": 1})]}, [0.25, 0.25, 0.25, 0.25]),
        ({"ties": [Tie("t", {"b": 3, "d": 1})]}, [0.25, 0.5625, 0, 0.1875]),
    ],
)
def test_guards_and_constraints_hold_together(given: dict, expected: list[float]) -> None:
    """The guard stays at 1.75: the natural mixture does not change with constraints here."""
    space = MixtureSpace(DOMAINS, **given)
    limit = float(space.natural.array @ HURT)
    w = answer(space, 1.75 / limit - 1.0)
    assert space.contains(w[None], 1e-6)[0]
    np.testing.assert_allclose(w, expected, atol=1e-6)


def test_where_nothing_keeps_the_guard_it_is_broken_least() -> None:
    space = MixtureSpace(DOMAINS, {"a": (0.5, 1.0)})
    w = answer(space, -0.9)
    assert w[0] == pytest.approx(0.5, abs=1e-6)
