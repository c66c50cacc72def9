"""Designs that cover the space: uniform draws, and the greedy maximin design.

Notation:
    W: (n, m) mixtures; distances are Hellinger's
"""

import numpy as np

from mixopt.designs.base import collect, distinct, farthest, honour
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array


def uniform(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
) -> Array:
    """Uniform draws from the constraints' polytope; from the whole simplex without them."""

    def draw(count: int) -> Array:
        if constrained:
            return space.sample(count, rng)
        return simplex.dirichlet(np.ones((count, space.dim)), rng)

    return collect(space, n, draw, existing=existing, constrained=constrained)


def maximin(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
    pool: int = 4000,
) -> Array:
    """Space filling: one mixture after the other, each furthest from all before it.

    Chosen from a pool of Dirichlet draws of many strengths (sparse and dense), the natural and the
    uniform mixture and, up to 64 domains, the single domains. Runs in `existing` count as covered.

    Args:
        space: what is allowed.
        n: how many mixtures.
        rng: source of randomness.
        existing: (e, m) mixtures that are there already.
        constrained: move mixtures into the constraints.
        pool: candidates to choose from, at least; ten times what is asked where that is more.
    """

    def draw(count: int) -> Array:
        many = max(pool, 10 * count)
        s = np.exp(rng.uniform(np.log(0.05), np.log(3.0), size=(many, 1)))
        W = np.vstack([space.prior, np.full(space.dim, 1 / space.dim)])
        W = np.vstack([W, simplex.dirichlet(s * np.ones(space.dim), rng)])
        if space.dim <= 64:
            W = np.vstack([W, np.eye(space.dim)])
        W = honour(space, W, constrained=constrained)
        W = W[distinct(W, existing)]
        return np.asarray(W[farthest(W, count, rng, existing)])

    return collect(space, n, draw, existing=existing, constrained=constrained)
