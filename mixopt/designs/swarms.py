"""Random swarms around the natural mixture: RegMix's recipe, Dirichlet draws, Olmix's two levels.

Notation:
    q: (m,) natural mixture; s: strength of a Dirichlet draw Dir(s q), small is sparse
    W: (n, m) mixtures
References:
    RegMix 2407.01492; Olmix 2602.12237; evidence for each choice in docs/guide
"""

import numpy as np

from mixopt.designs.base import GRID, collect, distinct, honour
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array

STRENGTHS = tuple(np.logspace(-1.0, np.log10(5.0), 15).tolist())
"""RegMix's and Olmix's 15 strengths, .1 to 5."""

_MOST_NUMBERS = 20_000_000  # drawn at once: 160 MB


def regmix(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
    tau: float = 0.5,
) -> Array:
    """RegMix's swarm (2407.01492): Dirichlet draws of 15 strengths around the tempered prior.

    100 times as many mixtures as needed are drawn from Dir(s q), q tempered with `tau` and s one
    of 15 strengths at random; those with a weight above min(15 q, 1) are rejected, weights below
    2e-4 set to zero, the rest rounded to multiples of 2e-4; n of the distinct ones are taken at
    random. Where rejection leaves too few (hundreds of domains: 15 q is then small for every
    draw), rejected draws are moved below the cap instead.

    Args:
        space: the domains; their natural mixture is the centre.
        n: mixtures wanted.
        rng: source of randomness.
        existing: (k, m) mixtures that are there already; none is repeated.
        constrained: move every mixture (KL projection) into the space's constraints.
        tau: temperature on the prior.

    Returns:
        (n, m) mixtures.

    Raises:
        InputError: the constraints leave fewer than n distinct mixtures.
    """
    q = simplex.temperature(space.prior, tau)
    cap = np.minimum(15.0 * q, 1.0)

    def draw(count: int) -> Array:
        many = max(count, min(100 * count, _MOST_NUMBERS // space.dim))
        pool = simplex.dirichlet(rng.choice(STRENGTHS, size=(many, 1)) * q, rng)
        allowed = (pool <= cap).all(axis=1)
        kept = pool[allowed]
        if len(kept) < count:
            spare = pool[~allowed][: count - len(kept)]
            kept = np.vstack([kept, simplex.project_kl(spare, upper=cap)])
        kept = _drop_small(kept, GRID)
        kept = kept[rng.permutation(len(kept))[: 2 * count + 50]]
        return kept[distinct(kept)]

    return collect(space, n, draw, existing=existing, constrained=constrained)


def dirichlet(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
    strengths: tuple[float, float] = (0.5, 50.0),
) -> Array:
    """Dirichlet draws around the natural mixture, each with a strength from a log-uniform range.

    Strength s is the Dirichlet's total concentration: below 1 draws are nearly one domain, at 50
    they stay close to the prior.

    Args:
        space: what is allowed.
        n: how many mixtures.
        rng: source of randomness.
        existing: (e, m) mixtures that are there already.
        constrained: move mixtures into the constraints.
        strengths: least and most.
    """
    low, high = np.log(strengths[0]), np.log(strengths[1])

    def draw(count: int) -> Array:
        s = np.exp(rng.uniform(low, high, size=(count, 1)))
        return simplex.dirichlet(s * space.prior, rng)

    return collect(space, n, draw, existing=existing, constrained=constrained)


def olmix(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
    min_weight: float = 0.002,
) -> Array:
    """Olmix's two-level swarm (2602.12237): source weights, then topic weights inside each source.

    Sources are the domains' `parent`s (a domain without one is its own source). Both levels are
    Dirichlet draws around the natural mixture with one of 15 strengths; weights below
    `min_weight` become zero, and mixtures within L2 distance .01 of an earlier one are left out.

    Args:
        space: what is allowed.
        n: how many mixtures.
        rng: source of randomness.
        existing: (e, m) mixtures that are there already.
        constrained: move mixtures into the constraints.
        min_weight: smallest share other than zero.
    """
    sources = [d.parent or d.name for d in space.domains]
    names = list(dict.fromkeys(sources))
    member = np.array([[s == name for s in sources] for name in names], dtype=float)
    total = member @ space.prior
    inner = member * space.prior / np.maximum(total[:, None], 1e-300)

    def draw(count: int) -> Array:
        many = 10 * count
        outer = simplex.dirichlet(rng.choice(STRENGTHS, size=(many, 1)) * total, rng)
        pool = np.zeros((many, space.dim))
        for g in range(len(names)):
            topics = np.flatnonzero(inner[g] > 0)
            if len(topics):
                s = rng.choice(STRENGTHS, size=(many, 1))
                pool[:, topics] = outer[:, [g]] * simplex.dirichlet(s * inner[g, topics], rng)
        pool = _drop_small(pool, min_weight)
        if constrained:  # far-apart rows may be moved together, so distances are taken after it
            pool = honour(space, pool, constrained=True)
        return pool[_far_apart(pool, existing, 0.01, count)]

    return collect(space, n, draw, existing=existing, constrained=constrained)


def _drop_small(W: Array, threshold: float) -> Array:
    """Weights below the threshold set to zero; a row of small weights keeps its largest."""
    limit = np.minimum(threshold, W.max(axis=1, keepdims=True))
    kept = np.where(limit <= W, W, 0.0)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def _far_apart(W: Array, existing: Array | None, radius: float, most: int) -> list[int]:
    """Positions of at most `most` rows, each further than `radius` (L2) from those before it."""
    seen = [] if existing is None else list(existing)
    chosen: list[int] = []
    for i, w in enumerate(W):
        if len(chosen) == most:
            break
        if not seen or np.linalg.norm(np.array(seen) - w, axis=1).min() >= radius:
            chosen.append(i)
            seen.append(w)
    return chosen
