"""RegMix's proposer: many simulated mixtures, the mean of the best.

Notation:
    W: (c, m) candidates; a mean of mixtures within convex constraints is within them
References:
    RegMix 2407.01492 (100,000 candidates, mean of the best 100); Olmix 2602.12237
"""

import numpy as np

from mixopt.proposers.search import Score
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array

_CHUNK = 20_000


def simulate(
    score: Score,
    space: MixtureSpace,
    *,
    rng: np.random.Generator,
    candidates: int = 100_000,
    top: int = 100,
    strength: tuple[float, float] = (1.0, 1.0),
) -> Array:
    """(m,) the mean of the best `top` of many Dirichlet draws around the natural mixture.

    For laws that are constant in pieces (trees), where a single best candidate is noise and a
    gradient says nothing.

    Args:
        score: what is minimised, for rows of mixtures.
        space: draws outside its constraints are moved (KL) inside.
        rng: source of randomness.
        candidates: draws.
        top: of them, averaged.
        strength: range of the Dirichlet's concentration, log-uniform; RegMix's notebook has 1.
    """
    best, values = np.empty((0, space.dim)), np.empty(0)
    low, high = np.log(strength[0]), np.log(strength[1])
    for start in range(0, candidates, _CHUNK):
        n = min(_CHUNK, candidates - start)
        s = np.exp(rng.uniform(low, high, size=(n, 1)))
        W = simplex.dirichlet(s * space.prior, rng)
        outside = ~space.contains(W, 1e-9)
        if outside.any():
            W[outside] = space.project(W[outside], metric="kl")
        best, values = np.vstack([best, W]), np.concatenate([values, score(W)])
        order = np.argsort(values, kind="stable")[:top]
        best, values = best[order], values[order]
    return np.asarray(best.mean(axis=0))
