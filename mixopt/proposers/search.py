"""Minimising a function of mixtures: a cloud of candidates, then exponentiated gradient.

Notation:
    x: (s, m) points; f: (s,) their values; g: (s, m) gradients
    KL projection keeps every step within the constraints: x <- proj(x exp(-eta g))

References:
    Kivinen & Warmuth 1997 (exponentiated gradient); Beck & Teboulle 2003 (mirror descent)
"""

from collections.abc import Callable

import numpy as np

from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array

Score = Callable[[Array], Array]
"""Values (n,) of mixtures (n, m); lower is better."""
Gradient = Callable[[Array], Array]
"""Gradients (n, m) at mixtures (n, m)."""

_STEPS = np.array([0.1, 0.4, 1.0, 2.5, 6.0])  # tried around the last good step, in one call
_FLAT = 1e-9  # relative improvement below which a point has settled


def minimize(
    score: Score,
    space: MixtureSpace,
    *,
    rng: np.random.Generator,
    starts: Array | None = None,
    gradient: Gradient | None = None,
    candidates: int = 4500,
) -> Array:
    """Local minima of `score` over the space's constraints, best first.

    Scores a cloud of candidates (Dirichlet draws around the prior and the starts, vertices), a
    second cloud around the best, and polishes the best few by exponentiated gradient with
    backtracking. Deterministic given `rng`.

    Args:
        score: the function; called with a few thousand rows at a time.
        space: constraints.
        rng: source of randomness.
        starts: (k, m) mixtures to begin from as well, e.g. those observed.
        gradient: its gradient; finite differences along the simplex where left out.
        candidates: rows of the first cloud.

    Returns:
        (s, m) mixtures within the constraints, best first; the first row is the answer.
    """
    pool = cloud(space, candidates, rng, around=starts)
    values = score(pool)
    for _ in range(2):
        best = _apart(pool, values, 12)
        near = cloud(space, candidates // 10, rng, around=pool[best], local=True)
        pool, values = np.vstack([pool, near]), np.concatenate([values, score(near)])
    best = _apart(pool, values, 6 if space.dim <= 64 else 2)
    # All of them a few steps, the two best to the end: a step costs m values per point.
    near = descend(score, space, pool[best], gradient=gradient, steps=12)
    near = near[np.argsort(score(near), kind="stable")]
    polished = descend(score, space, near[:2], gradient=gradient)
    everything = np.vstack([polished, near[2:], pool[best]])
    order = np.argsort(score(everything), kind="stable")
    return everything[order[: len(best)]]


def descend(
    score: Score,
    space: MixtureSpace,
    x: Array,
    *,
    gradient: Gradient | None = None,
    steps: int = 80,
) -> Array:
    """Exponentiated gradient from every row of x (s, m); no row ever gets worse.

    A weight that ends below 1e-4 is set to zero where that costs nothing.
    """
    gradient = gradient or finite_differences(score)
    inside = space.project(np.full(space.dim, 1.0 / space.dim), metric="kl")
    x = np.atleast_2d(x)
    f = score(x)
    # A weight of zero cannot grow by multiplication, so every point moves a little inside first.
    start, x = x, 0.999 * x + 0.001 * inside
    now = score(x)
    eta = np.full(len(x), np.nan)
    settled = np.zeros(len(x), dtype=int)
    for _ in range(steps):
        live = np.flatnonzero(settled < 3)
        if not len(live):
            break
        g = gradient(x[live])
        g = g - (x[live] * g).sum(axis=1, keepdims=True)
        size = np.abs(g).max(axis=1)
        eta[live] = np.where(np.isnan(eta[live]), 0.5 / np.maximum(size, 1e-300), eta[live])
        power = -(eta[live, None, None] * _STEPS[:, None]) * g[:, None, :]
        tried = x[live, None, :] * np.exp(np.clip(power, -30.0, 30.0))
        flat = space.project(tried.reshape(-1, space.dim), metric="kl")
        values = score(flat).reshape(len(live), -1)
        choice = values.argmin(axis=1)
        reached = values[np.arange(len(live)), choice]
        better = reached < now[live]
        gain = (now[live] - reached) / np.maximum(np.abs(now[live]), 1e-12)
        picked = flat.reshape(len(live), len(_STEPS), -1)[np.arange(len(live)), choice]
        x[live[better]], now[live[better]] = picked[better], reached[better]
        eta[live] *= np.where(better, _STEPS[choice], 0.05)
        settled[live] = np.where(gain > _FLAT, 0, settled[live] + 1)
    x = np.where((now < f)[:, None], x, start)
    return _without_dust(score, space, x)


def finite_differences(score: Score, h: float = 1e-5) -> Gradient:
    """The gradient (up to a constant per row, which the simplex does not feel) by m differences.

    Differences are taken along (1 - h) w + h e_i, which never leaves the simplex.
    """

    def gradient(x: Array) -> Array:
        s, m = x.shape
        moved = (1.0 - h) * x[:, None, :] + h * np.eye(m)
        values = score(moved.reshape(s * m, m)).reshape(s, m)
        return np.asarray((values - score(x)[:, None]) / h)

    return gradient


def cloud(
    space: MixtureSpace,
    n: int,
    rng: np.random.Generator,
    *,
    around: Array | None = None,
    local: bool = False,
) -> Array:
    """About n candidates within the constraints.

    A third are Dirichlet draws around the prior, a third around uniform, a third around the points
    given (all of them with `local`), plus those points and, up to 64 domains, the vertices.
    """
    centres = [] if around is None or not len(around) else [np.atleast_2d(around)]
    points = centres[0] if centres else space.prior[None]
    third = n // 3
    picked = points[rng.integers(len(points), size=n if local else third)]
    concentration = np.exp(rng.uniform(np.log(10.0), np.log(3000.0), size=(len(picked), 1)))
    parts = [simplex.dirichlet(concentration * picked + 0.05, rng), *centres]
    if not local:
        strengths = np.exp(rng.uniform(np.log(0.5), np.log(100.0), size=(third, 1)))
        parts.append(simplex.dirichlet(strengths * space.prior, rng))
        flat = np.exp(rng.uniform(np.log(0.05), np.log(3.0), size=(third, 1)))
        parts.append(simplex.dirichlet(flat * np.ones(space.dim), rng))
        if space.dim <= 64:
            parts.append(np.eye(space.dim))
    W = np.vstack(parts)
    outside = ~space.contains(W, 1e-9)
    if outside.any():
        W[outside] = space.project(W[outside], metric="kl")
    return W


def _apart(W: Array, values: Array, most: int, radius: float = 0.05) -> list[int]:
    """Positions of the best rows that are more than `radius` (Hellinger) from each other."""
    order = np.argsort(values, kind="stable")[:400]
    chosen: list[int] = []
    for i in order:
        near = chosen and simplex.hellinger_distance(W[[i]], W[chosen]).min() < radius
        if not near:
            chosen.append(int(i))
        if len(chosen) == most:
            break
    return chosen


def _without_dust(score: Score, space: MixtureSpace, x: Array, dust: float = 1e-4) -> Array:
    """Each row with its tiny weights at zero, where it stays allowed and does not get worse."""
    clean = space.project(np.where(x < dust, 0.0, x), metric="kl")
    before, after = score(x), score(clean)
    keep = space.contains(clean, 1e-9) & (after <= before + 1e-9 * np.maximum(1, np.abs(before)))
    return np.asarray(np.where(keep[:, None], clean, x))
