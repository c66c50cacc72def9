"""Uniform draws from a polytope of mixtures.

Notation:
    u: (n, m') reduced weights (ties substituted), one chain per row; d: (n, m') directions
References:
    hit-and-run: Smith 1984; Lovász & Vempala 2006
"""

import numpy as np

from mixopt.space import simplex
from mixopt.space.constraints import Polytope
from mixopt.space.simplex import Array

_REJECTION = 20


def uniform(polytope: Polytope, n: int, rng: np.random.Generator) -> Array:
    """(n, m) draws, uniform on the polytope.

    Exact where one in 20 uniform draws from the whole simplex falls inside; hit-and-run else, one
    chain per draw, started from projected uniform draws.
    """
    m = polytope.basis.shape[0]
    trial = simplex.dirichlet(np.ones((_REJECTION * n if not polytope.ties else n, m)), rng)
    inside = trial[polytope.excess(trial) <= 1e-12]  # sums are 1 to rounding only
    if len(inside) >= n:
        return inside[:n]
    return _hit_and_run(polytope, n, rng)


def _hit_and_run(polytope: Polytope, n: int, rng: np.random.Generator) -> Array:
    T = polytope.basis
    rows = polytope.tight
    free = rows.upper > rows.lower
    equation = rows.low == rows.high
    B = rows.B[:, free]
    # Directions keep the equations: the part of a random one within their row space is removed.
    _, size, span = np.linalg.svd(B[equation], full_matrices=False)
    span = span[size > 1e-9 * max(float(size.max(initial=0.0)), 1e-300)]
    slack = B[~equation]
    low, high = rows.low[~equation], rows.high[~equation]
    held = rows.B[~equation][:, ~free] @ rows.lower[~free]
    u = _starts(polytope, n, rng)
    steps = min(50 + 10 * int(free.sum()), 300)
    if len(span) >= int(free.sum()):  # a single point: there is no direction to go
        return np.tile(polytope.project(polytope.interior[None], "euclidean"), (n, 1))
    for _ in range(steps):
        d = rng.standard_normal((n, int(free.sum())))
        d = d - (d @ span.T) @ span
        at, along = np.hstack([u[:, free], u[:, free] @ slack.T + held]), d @ slack.T
        move = np.hstack([d, along])
        least = np.concatenate([rows.lower[free], low])
        most = np.concatenate([rows.upper[free], high])
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = (least - at) / move, (most - at) / move
        flat = np.abs(move) < 1e-14
        first = np.where(flat, -np.inf, np.minimum(a, b)).max(axis=1)
        last = np.where(flat, np.inf, np.maximum(a, b)).min(axis=1)
        t = np.where(last > first, first + (last - first) * rng.random(n), 0.0)
        u[:, free] = np.clip(u[:, free] + t[:, None] * d, rows.lower[free], rows.upper[free])
    return polytope.project(u @ T.T, "euclidean")


def _starts(polytope: Polytope, n: int, rng: np.random.Generator) -> Array:
    """Reduced weights of projected draws, a little inside: on the boundary chains would stick."""
    m = polytope.basis.shape[0]
    drawn = polytope.project(simplex.dirichlet(np.ones((n, m)), rng), "kl")
    w = 0.8 * drawn + 0.2 * polytope.interior
    T = polytope.basis
    return np.asarray((w @ T) / (T**2).sum(axis=0))
