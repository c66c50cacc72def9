"""The next runs: expected improvement over a candidate cloud, aware of what is pending.

Notation:
    W: (n, m) observed mixtures; P: (p, m) pending ones and those already chosen for this batch
    mean, sd: (c,) the law's belief of the objective at c candidates
References:
    LogEI: 2310.20708; kriging believer: Ginsbourger et al. 2010
"""

import numpy as np
from scipy.special import erfcx, log_ndtr

from mixopt.designs.base import GRID, distinct
from mixopt.errors import InputError
from mixopt.proposers.search import cloud, minimize
from mixopt.proposers.surrogate import Surrogate
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array
from mixopt.threads import one_blas_thread

_CANDIDATES = 4500
_NUGGET = 0.01


@one_blas_thread
def propose_batch(
    surrogate: Surrogate,
    space: MixtureSpace,
    n: int,
    *,
    W: Array,
    rng: np.random.Generator,
    pending: Array | None = None,
    explore: float = 0.125,
) -> Array:
    """(n, m) mixtures to train next, best first, within the constraints and on a grid of 2e-4.

    The first is the predicted optimum, unless a run is already there: an answer is trained before
    it is believed. The others maximise log expected improvement (of the law's mean over the best
    mean at any run). Pending runs and those chosen before are taken at their predicted mean
    (kriging believer) and lower the sd around them. A share `explore` of the batch goes where the
    law knows least. No two mixtures, pending ones included, are within Hellinger distance .02.

    Args:
        surrogate: what the runs tell.
        space: constraints.
        n: runs wanted.
        W: (k, m) mixtures observed so far.
        rng: source of randomness; the same state gives the same batch.
        pending: (p, m) mixtures under way.
        explore: share of exploratory runs, 0 to 1.

    Raises:
        InputError: n below 1.
    """
    if n < 1:
        raise InputError(f"{n} proposals were asked for; ask for at least 1")
    pending = np.empty((0, space.dim)) if pending is None else np.atleast_2d(pending)
    observed = np.atleast_2d(W)
    at_runs = surrogate.value(observed)
    starts = observed[np.argsort(at_runs, kind="stable")[:16]]
    optima = minimize(surrogate.value, space, rng=rng, starts=starts, candidates=_CANDIDATES)
    pool = _pool(space, optima, starts, rng)
    pool = pool[distinct(pool, np.vstack([observed, pending]))]
    seen = surrogate.predict(pool)
    _, sd = surrogate.objective.moments(seen.mean, seen.sd, surrogate.metrics)
    mean = surrogate.bare(seen, pool) + surrogate.penalty(seen)
    beliefs = _Beliefs(pool, mean, sd, float(at_runs.min()))
    beliefs.length = _typical_distance(observed if len(observed) > 3 else pool[:200], rng)
    for w in pending:
        beliefs.occupy(w, float(surrogate.value(w[None])[0]))
    exploring = _exploring(n, explore, rng)
    return np.array([beliefs.next(exploring[i], first=i == 0, runs=observed) for i in range(n)])


def log_expected_improvement(mean: Array, sd: Array, best: float) -> Array:
    """(c,) log E[max(best - F, 0)] for F ~ N(mean, sd^2), stable far from the optimum.

    log h(z) with h(z) = phi(z) + z Phi(z), z = (best - mean) / sd; for z << -1 through erfcx
    (2310.20708).

    >>> round(float(np.exp(log_expected_improvement(np.array([0.5]), np.array([1.0]), 0.0))[0]), 4)
    0.1978
    """
    scale = np.maximum(sd, 1e-12)
    z = (best - mean) / scale
    upper = np.maximum(z, -1.0)
    direct = np.log(np.exp(-0.5 * upper**2) / np.sqrt(2 * np.pi) + upper * np.exp(log_ndtr(upper)))
    lower = np.minimum(z, -1.0)
    # h(z) = phi(z) (1 - |z| sqrt(pi/2) erfcx(|z| / sqrt 2)); the bracket tends to 1 / z^2.
    bracket = 1.0 - np.abs(lower) * np.sqrt(np.pi / 2) * erfcx(-lower / np.sqrt(2))
    far = np.log(np.where(lower < -1e4, lower**-2.0, np.maximum(bracket, 1e-300)))
    tail = -0.5 * lower**2 - 0.5 * np.log(2 * np.pi) + far
    return np.asarray(np.where(z > -1.0, direct, tail) + np.log(scale))


class _Beliefs:
    """The pool with means and sds, updated as points are taken."""

    def __init__(self, pool: Array, mean: Array, sd: Array, best: float) -> None:
        self.pool, self.mean, self.sd, self.best = pool, mean, sd, best
        self.length = 0.3
        self.taken = np.empty((0, pool.shape[1]))
        self.distance = np.full(len(pool), np.inf)

    def occupy(self, w: Array, mean: float) -> None:
        """Believe that a run at w returns its mean: less is to be learned near it."""
        away = simplex.hellinger_distance(self.pool, w[None])[:, 0]
        self.distance = np.minimum(self.distance, away)
        self.taken = np.vstack([self.taken, w])
        self.best = min(self.best, mean)

    def shrunk_sd(self) -> Array:
        """(c,) sd given the runs that are under way.

        The law gives variances only, so correlation between mixtures is taken to fall with
        Hellinger distance as exp(-d^2 / 2 length^2), length half the typical distance of runs. A
        run is taken to tell nearly all about its own mixture: counting its noise in made batches
        huddle at the optimum, which taught parametric laws less.
        """
        if not len(self.taken):
            return self.sd
        cross = self._correlation(self.pool, self.taken)
        among = self._correlation(self.taken, self.taken)
        among += _NUGGET * np.eye(len(self.taken))
        explained = (cross * np.linalg.solve(among, cross.T).T).sum(axis=1)
        return np.asarray(self.sd * np.sqrt(np.clip(1.0 - explained, 1e-6, 1.0)))

    def next(self, exploring: bool, *, first: bool, runs: Array) -> Array:
        """Take one more point of the pool."""
        sd = self.shrunk_sd()
        free = self.distance >= 0.02
        while not free.any():  # the space is crowded: accept closer neighbours, farthest first
            free = self.distance >= self.distance.max()
        score = log_expected_improvement(self.mean, sd, self.best)
        if exploring:
            known = sd.max() <= 1e-12
            score = np.minimum(self.distance, 1.0) if known else sd
        elif first:
            top = int(np.where(free, self.mean, np.inf).argmin())
            if simplex.hellinger_distance(self.pool[[top]], runs).min() >= 0.02:
                score = -self.mean
        i = int(np.where(free, score, -np.inf).argmax())
        w: Array = self.pool[i]
        self.occupy(w, float(self.mean[i]))
        return w

    def _correlation(self, A: Array, B: Array) -> Array:
        d = simplex.hellinger_distance(A, B)
        return np.asarray(np.exp(-0.5 * (d / self.length) ** 2))


def _pool(space: MixtureSpace, optima: Array, starts: Array, rng: np.random.Generator) -> Array:
    """Candidates on the grid: far and near, and what lies on the way from runs to the optimum."""
    between = 0.5 * (optima[:1] + starts)
    parts = [
        optima,
        cloud(space, _CANDIDATES, rng, around=optima),
        cloud(space, _CANDIDATES // 2, rng, around=optima, local=True),
        cloud(space, _CANDIDATES // 4, rng, around=between, local=True),
    ]
    pool = space.round(np.vstack(parts), GRID)
    return np.asarray(pool[space.contains(pool, 1e-7)])


def _typical_distance(W: Array, rng: np.random.Generator) -> float:
    """Half the median Hellinger distance between mixtures."""
    some = W[rng.permutation(len(W))[:200]]
    d = simplex.hellinger_distance(some, some)[np.triu_indices(len(some), 1)]
    return max(0.5 * float(np.median(d)), 0.02) if len(d) else 0.3


def _exploring(n: int, share: float, rng: np.random.Generator) -> list[bool]:
    """Which of n runs explore: the last ones, `share` of them on average."""
    count = int(np.floor(n * share) + (rng.random() < (n * share) % 1.0))
    return [i >= n - count for i in range(n)]
