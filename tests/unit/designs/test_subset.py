"""The part of many runs that stands for all of them."""

import numpy as np

from mixopt.designs.subset import covering_subset


def test_every_scale_has_its_part_and_small_ones_are_whole() -> None:
    rng = np.random.default_rng(0)
    W = rng.dirichlet(np.ones(4), size=500)
    strata = np.repeat([0, 1, 2], [400, 90, 10])
    picked = covering_subset(W, strata, 100, np.random.default_rng(1))
    assert len(picked) == len(set(picked.tolist())) == 100
    assert np.bincount(strata[picked]).tolist() == [45, 45, 10]
    again = covering_subset(W, strata, 100, np.random.default_rng(1))
    np.testing.assert_array_equal(picked, again)


def test_rare_ends_are_in_the_part() -> None:
    rng = np.random.default_rng(0)
    W = np.vstack([rng.dirichlet(np.full(3, 50.0), size=300), np.eye(3)])
    picked = covering_subset(W, np.zeros(303, dtype=int), 30, np.random.default_rng(2))
    assert {300, 301, 302} <= set(picked.tolist())
