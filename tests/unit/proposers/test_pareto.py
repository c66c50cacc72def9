"""Pareto fronts and hypervolumes with known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import InputError, MixtureSpace
from mixopt.proposers import pareto_front
from mixopt.proposers.pareto import hypervolume, non_dominated
from mixopt.testing.strategies import generators


def test_front_of_two_opposed_objectives_is_the_whole_edge() -> None:
    """F = ((1 - a)^2 + c, (1 - b)^2 + c): the front is c = 0, of hypervolume 5/6 below (1, 1)."""
    space = MixtureSpace(["a", "b", "c"])
    front = pareto_front(
        lambda W: np.column_stack([(1 - W[:, 0]) ** 2 + W[:, 2], (1 - W[:, 1]) ** 2 + W[:, 2]]),
        space,
        rng=np.random.default_rng(0),
        reference=np.array([1.0, 1.0]),
    )
    assert front.W[:, 2].max() < 0.02
    assert (np.diff(front.F[:, 0]) >= 0).all()
    assert non_dominated(front.F).all()
    # area above sqrt(f1) + sqrt(f2) = 1 in the unit square: 1 - 1/6
    assert front.hypervolume == pytest.approx(5 / 6, abs=0.02)
    assert front.hypervolume <= 5 / 6 + 1e-9


def test_front_honours_constraints() -> None:
    space = MixtureSpace(["a", "b", "c"], {"a": (0.2, 0.4)})
    front = pareto_front(lambda W: 1 - W[:, :2], space, rng=np.random.default_rng(0))
    assert space.contains(front.W, 1e-8).all()


def test_one_objective_is_no_front() -> None:
    with pytest.raises(InputError, match="needs 2 to 8 objectives, 1 were given"):
        pareto_front(lambda W: W[:, :1], MixtureSpace(["a", "b"]), rng=np.random.default_rng(0))


def test_hypervolume_golden() -> None:
    assert hypervolume(np.array([[1.0, 2, 3], [3, 2, 1], [2, 2, 2]]), np.full(3, 4.0)) == 12
    assert hypervolume(np.array([[5.0, 5.0]]), np.full(2, 4.0)) == 0
    assert hypervolume(np.zeros((1, 4)), np.full(4, 2.0)) == 16


@settings(max_examples=25, deadline=None)
@given(generators(), st.integers(2, 4))
def test_hypervolume_against_sampling(rng: np.random.Generator, d: int) -> None:
    F = rng.random((6, d))
    U = rng.random((20_000, d))
    dominated = (F[None] <= U[:, None]).all(axis=2).any(axis=1)
    assert hypervolume(F, np.ones(d)) == pytest.approx(dominated.mean(), abs=0.02)
    more = np.vstack([F, rng.random((1, d))])
    assert hypervolume(more, np.ones(d)) >= hypervolume(F, np.ones(d)) - 1e-12


def test_equal_rows_stay_once() -> None:
    assert non_dominated(np.array([[1.0, 2], [1, 2], [2, 1], [2, 2]])).tolist() == [
        True, False, True, False,
    ]  # fmt: skip
