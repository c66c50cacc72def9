"""What proposers share: distinct rows, constraints on request, additions to an existing set.

Notation:
    W: (n, m) mixtures, rows on the simplex; existing: (k, m) mixtures that are there already
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array

GRID = 2e-4
"""Rounding of proposed weights (RegMix, 2407.01492)."""

Draw = Callable[[int], Array]
"""Draws that many raw mixtures, (n, m)."""

_ROUNDS = 20


class Design(Protocol):
    """A proposer that ignores observations."""

    def __call__(
        self,
        space: MixtureSpace,
        n: int,
        *,
        rng: np.random.Generator,
        existing: Array | None = None,
        constrained: bool = True,
    ) -> Array:
        """(n, m) mixtures, distinct from each other and from `existing`.

        `constrained=False` explores the whole simplex. Designs with finitely many points give
        fewer than n where they run out.
        """
        ...


def distinct(W: Array, existing: Array | None = None, tolerance: float = 1e-5) -> NDArray[np.bool_]:
    """(n,) booleans: rows that repeat no earlier row and none of `existing` (L1 distance)."""
    both = W if existing is None or not len(existing) else np.vstack([existing, W])
    start = len(both) - len(W)
    # Rows on one grid cell are compared exactly; cells are far finer than any grid in use.
    keys = np.round(both / max(tolerance, 1e-12) * 0.5).astype(np.int64)
    _, first = np.unique(keys, axis=0, return_index=True)
    keep = np.zeros(len(both), dtype=bool)
    keep[first] = True
    return keep[start:]


def farthest(
    W: Array, n: int, rng: np.random.Generator, existing: Array | None = None
) -> list[int]:
    """Positions of n rows, each the furthest (Hellinger) from all before it and from `existing`.

    Without existing mixtures the first is drawn at random.
    """
    if existing is not None and len(existing):
        distance = simplex.hellinger_distance(W, np.atleast_2d(existing)).min(axis=1)
    else:
        distance = np.zeros(len(W))
        distance[rng.integers(len(W))] = 1.0
    chosen: list[int] = []
    for _ in range(min(n, len(W))):
        i = int(distance.argmax())
        away = simplex.hellinger_distance(W, W[[i]])[:, 0]
        distance = np.minimum(distance, away) if chosen or existing is not None else away
        chosen.append(i)
        distance[i] = -1.0
    return chosen


def honour(space: MixtureSpace, W: Array, *, constrained: bool, step: float = GRID) -> Array:
    """Mixtures rounded to the grid and, on request, moved (KL) into the constraints."""
    if not constrained:
        return simplex.round_to_grid(W, step)
    outside = ~space.contains(W, 1e-9)
    if outside.any():
        W = W.copy()
        W[outside] = space.project(W[outside], metric="kl")
    return space.round(W, step)


def collect(
    space: MixtureSpace,
    n: int,
    draw: Draw,
    *,
    existing: Array | None = None,
    constrained: bool = True,
    step: float = GRID,
) -> Array:
    """(n, m) distinct mixtures from a source that can be drawn from again and again.

    Raises:
        InputError: n below 1, or the space holds fewer distinct mixtures than were asked for.
    """
    if n < 1:
        raise InputError(f"a design of {n} mixtures was asked for; ask for at least 1")
    mixtures = np.empty((0, space.dim))
    for _ in range(_ROUNDS):
        fresh = honour(space, draw(n - len(mixtures)), constrained=constrained, step=step)
        pool = np.vstack([mixtures, fresh])
        mixtures = pool[distinct(pool, existing)][:n]
        if len(mixtures) == n:
            return mixtures
    raise InputError(
        f"only {len(mixtures)} distinct mixtures were found where {n} were asked for; the "
        "constraints leave too little room (ask for fewer, or loosen them)"
    )
