"""Folds: whole groups, evenly, by the generator."""

import numpy as np
import pytest

from mixopt.laws.folds import group_folds


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_groups_stay_together_and_fill_the_folds_evenly(folds: int) -> None:
    groups = np.repeat(np.arange(11), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2])
    fold = group_folds(groups, folds, np.random.default_rng(0))
    assert fold.shape == groups.shape
    of_group = [set(fold[groups == g]) for g in range(11)]
    assert all(len(held) == 1 for held in of_group)
    sizes = np.bincount([held.pop() for held in of_group], minlength=folds)
    assert len(sizes) == folds
    assert sizes.max() - sizes.min() <= 1


def test_there_are_no_more_folds_than_groups_and_at_least_one() -> None:
    assert set(group_folds(np.array([7, 9]), 5, np.random.default_rng(0))) == {0, 1}
    assert set(group_folds(np.array([7, 9]), 0, np.random.default_rng(0))) == {0}


def test_who_is_held_out_with_whom_is_drawn() -> None:
    drawn = {tuple(group_folds(np.arange(8), 4, np.random.default_rng(s))) for s in range(5)}
    assert len(drawn) > 1
    again = group_folds(np.arange(8), 4, np.random.default_rng(3))
    np.testing.assert_array_equal(again, group_folds(np.arange(8), 4, np.random.default_rng(3)))
