"""Designs of known points: lattice, vertices, leave-one-out, one-at-a-time.

Notation:
    q: (m,) natural mixture; W: (n, m) mixtures
They hold finitely many points: fewer than n come back where they run out, never the same twice.
"""

from itertools import combinations
from math import comb

import numpy as np

from mixopt.designs.base import distinct, farthest, honour
from mixopt.errors import InputError
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array

_MOST_POINTS = 20_000


def vertices(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
) -> Array:
    """Every domain alone; with constraints, as much of it as they allow."""
    del rng  # the same call as every design; these points are known
    return _first(space, np.eye(space.dim), n, existing=existing, constrained=constrained)


def leave_one_out(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
) -> Array:
    """The natural mixture, then the same without each domain in turn."""
    del rng
    q = space.prior
    without = q * (1.0 - np.eye(space.dim))
    some = without.sum(axis=1) > 0
    W = np.vstack([q, without[some] / without[some].sum(axis=1, keepdims=True)])
    return _first(space, W, n, existing=existing, constrained=constrained)


def one_at_a_time(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
    factor: float = 3.0,
) -> Array:
    """2 m + 1 runs: the natural mixture, and each domain's amount times 3 and a third (2407.20177).

    Other amounts stay, so that shares are renormalised.

    Args:
        space: what is allowed.
        n: how many mixtures.
        rng: not used.
        existing: (e, m) mixtures that are there already.
        constrained: move mixtures into the constraints.
        factor: by which each amount is multiplied, and divided.
    """
    del rng
    eye = np.eye(space.dim)
    scale = np.vstack([np.ones(space.dim), 1 + (factor - 1) * eye, 1 + (1 / factor - 1) * eye])
    W = scale * space.prior
    W = W / W.sum(axis=1, keepdims=True)
    return _first(space, W, n, existing=existing, constrained=constrained)


def lattice(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
    degree: int | None = None,
) -> Array:
    """The simplex lattice: all mixtures whose shares are multiples of 1 / degree.

    Args:
        space: the domains.
        n: mixtures wanted; of more, those are taken that lie furthest from each other.
        rng: breaks ties.
        existing: (k, m) mixtures that are there already.
        constrained: leave out lattice points that break a constraint.
        degree: of the lattice; the smallest with n points if left out.

    Raises:
        InputError: no degree of at most 20,000 points has any that the constraints allow.
    """
    fresh = np.empty((0, space.dim))
    for q in [degree] if degree else range(1, 200):
        if comb(space.dim + q - 1, q) > _MOST_POINTS:
            break
        points = _compositions(space.dim, q) / q
        if constrained:
            points = points[space.contains(points, 1e-9)]
        fresh = points[distinct(points, existing)] if len(points) else points
        if len(fresh) >= n:
            break
    if not len(fresh):
        raise InputError(
            f"no simplex lattice of at most {_MOST_POINTS} points over {space.dim} domains has a "
            "point within the constraints; use another design, e.g. 'uniform'"
        )
    return fresh if len(fresh) <= n else fresh[farthest(fresh, n, rng, existing)]


def _first(
    space: MixtureSpace, W: Array, n: int, *, existing: Array | None, constrained: bool
) -> Array:
    W = honour(space, W, constrained=constrained)
    return np.asarray(W[distinct(W, existing)][:n])


def _compositions(m: int, total: int) -> Array:
    """All (comb(m + total - 1, total), m) non-negative integers that sum to `total`."""
    bars = np.array(list(combinations(range(m + total - 1), m - 1)), dtype=int)
    bars = bars.reshape(len(bars), m - 1)
    ends = np.hstack([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), m + total - 1)])
    return np.asarray(np.diff(ends, axis=1) - 1, dtype=float)
