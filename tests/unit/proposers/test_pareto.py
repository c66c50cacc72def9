"""Pareto fronts and hypervolumes with known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import InputError, MixtureSpace
from mixopt.proposers import pareto_front
from mixopt.proposers.pareto import (
    front_of,
    hypervolume,
    non_dominated,
    sparsest,
    spread_out,
)
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


def test_a_front_is_sorted_with_its_reference_a_tenth_beyond() -> None:
    W = np.eye(4)
    F = np.array([[3.0, 1.0], [1.0, 11.0], [2.0, 3.0], [3.0, 12.0]])
    front = front_of(W, F)
    np.testing.assert_array_equal(front.F, [[1, 11], [2, 3], [3, 1]])
    np.testing.assert_array_equal(front.W, W[[1, 2, 0]])
    # Worst (3, 11), ranges 2 and 10: reference (3.2, 12); slices 1, 1 and .2 wide.
    assert front.hypervolume == pytest.approx(1 * 1 + 1 * 9 + 0.2 * 11)
    given = front_of(W, F, np.array([3.0, 12.0]))
    assert given.hypervolume == pytest.approx(1 * 1 + 1 * 9)
    flat = front_of(W[:1], F[:1])  # no range: one unit stands for it
    assert flat.hypervolume == pytest.approx(0.1 * 0.1)


def test_rows_spread_out_are_the_ends_and_then_always_the_furthest() -> None:
    t = np.array([0.0, 0.1, 0.45, 0.5, 0.9, 1.0])
    F = np.column_stack([t, 1000 * (1 - t)])  # units do not matter
    assert spread_out(F, 2) == [0, 5]
    assert spread_out(F, 3) == [0, 3, 5]
    assert spread_out(F, 4) in ([0, 1, 3, 5], [0, 3, 4, 5])  # .4 on both sides, up to rounding
    assert spread_out(F, 5) == [0, 1, 3, 4, 5]
    assert spread_out(F, 9) == list(range(6))
    assert spread_out(F[[0, 0, 5]], 3) == [0, 2]  # a copy is no other point
    assert spread_out(F[:, :1] * [1.0, 1.0], 1) == [0]


def test_the_sparsest_rows_have_the_widest_gaps() -> None:
    F = np.array([[0.0, 10], [1, 9], [2, 8], [6, 4], [10, 0], [9, 9]])
    # Ends first; gaps in shares of the range, of both objectives: 1: .4, 2: 1, 3: 1.6.
    assert sparsest(F, 5) == [0, 4, 3, 2, 1]
    assert sparsest(F, 3) == [0, 4, 3]
