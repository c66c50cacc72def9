"""RegMix's proposer: the mean of the best of many draws around the natural mixture."""

import inspect

import numpy as np

from mixopt import Domain, MixtureSpace
from mixopt.proposers.simulate import simulate
from mixopt.space.simplex import Array

SPACE = MixtureSpace([Domain("a", prior=3), Domain("b", prior=1)])


def first(W: Array) -> Array:
    return W[:, 0]


def test_the_published_numbers_are_the_defaults() -> None:
    given = inspect.signature(simulate).parameters
    assert given["candidates"].default == 100_000
    assert given["top"].default == 100
    assert given["strength"].default == (1.0, 1.0)


def test_the_best_are_those_of_all_draws() -> None:
    """Draws come in blocks of 20,000; the mean is of the best over all of them."""
    seen: list[Array] = []

    def score(W: Array) -> Array:
        seen.append(W)
        return first(W)

    w = simulate(score, SPACE, rng=np.random.default_rng(0), candidates=45_000, top=7)
    drawn = np.vstack(seen)
    assert [len(block) for block in seen] == [20_000, 20_000, 5_000]
    np.testing.assert_allclose(w, drawn[np.argsort(drawn[:, 0], kind="stable")[:7]].mean(axis=0))


def test_all_draws_together_have_the_natural_mixture_as_mean() -> None:
    w = simulate(first, SPACE, rng=np.random.default_rng(0), candidates=4000, top=4000)
    np.testing.assert_allclose(w, [0.75, 0.25], atol=0.02)


def test_strength_says_how_near_draws_stay() -> None:
    near, far = (
        simulate(
            first, SPACE, rng=np.random.default_rng(0), candidates=500, top=5, strength=(s, s)
        )[0]
        for s in (100.0, 1.0)
    )
    assert far < 0.05
    assert 0.5 < near < 0.72


def test_draws_outside_the_constraints_are_moved_inside() -> None:
    space = SPACE.replace(bounds={"a": (0.6, 1.0)})
    w = simulate(first, space, rng=np.random.default_rng(0), candidates=500, top=50)
    np.testing.assert_allclose(w, [0.6, 0.4], atol=1e-9)
