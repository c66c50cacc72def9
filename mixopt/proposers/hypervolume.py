"""Which runs to make next for several objectives at once: expected growth of the Pareto front.

For every joint sample of all objectives, the front of what was run (and is under way, and was just
chosen) is known; a candidate is worth the volume that it adds to what the front dominates, averaged
over the samples. Up to four objectives the volume is exact, by slicing what the front leaves open
into boxes; with more, every run of a batch has random weights of its own and is worth what it adds
to their augmented Chebyshev mean. Where a sample breaks a guard, all its objectives are worse by
the surrogate's penalty, so that it adds nothing to what holds them.

Notation:
    X: (c, m) candidates; d: objectives, lower is better; F: (S, a, d) samples at a points
    r: (d,) reference point, worse than all of interest
References:
    noisy expected hypervolume improvement: Daulton et al. 2105.08195; the log of an average
    with an order among hopeless candidates: 2310.20708; random scalarisation: Knowles 2006
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.designs.base import GRID, distinct
from mixopt.errors import InputError
from mixopt.proposers.bayes import APART, metric_paths
from mixopt.proposers.pareto import non_dominated
from mixopt.proposers.search import cloud
from mixopt.proposers.surrogate import Surrogate
from mixopt.runs.objective import Objective
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array
from mixopt.threads import one_blas_thread

EXACT = 4
"""Objectives up to which the volume is exact."""
MOST = 8
"""Objectives that are taken at all."""

_PATHS = 64
_REFERENCES = 24
_CANDIDATES = 600


def matrix_of(objectives: Sequence[Objective], metrics: Sequence[str]) -> Array:
    """(d, k) signed weight of every metric in every objective.

    Raises:
        InputError: fewer than two objectives or more than eight, an objective that is no weighted
            mean, or an unknown metric.
    """
    if not 2 <= len(objectives) <= MOST:
        raise InputError(
            f"a Pareto search needs 2 to {MOST} objectives, {len(objectives)} were given; group "
            "metrics into fewer weighted means"
        )
    if any(o.reduce != "mean" for o in objectives):
        raise InputError("a Pareto search trades weighted means; leave 'reduce: worst' out")
    return np.array([o.coefficients(metrics) for o in objectives])


def guarded(surrogate: Surrogate, C: Array, Y: Array) -> Array:
    """(..., d) objectives of metrics Y (..., k), all of them worse where a guard is broken.

    Args:
        surrogate: whose guards count.
        C: (d, k) see `matrix_of`.
        Y: expected or sampled metrics.
    """
    broken = surrogate.violation(Y.reshape(-1, Y.shape[-1])).reshape(Y.shape[:-1])
    return np.asarray(Y @ C.T + broken[..., None])


@one_blas_thread
def choose_front(
    surrogate: Surrogate,
    objectives: Sequence[Objective],
    X: Array,
    n: int,
    *,
    runs: Array,
    rng: np.random.Generator,
    pending: Array | None = None,
) -> list[int]:
    """Positions of up to n candidates, best first, each chosen with those before it as pending.

    Args:
        surrogate: a fitted law with a joint posterior; its guards hold.
        objectives: weighted means of its metrics.
        X: (c, m) candidates; near-duplicates of each other and of pending runs come last.
        n: how many.
        runs: (r, m) mixtures that have been run.
        rng: source of randomness.
        pending: (p, m) mixtures under way.

    Raises:
        InputError: see `matrix_of`; or a law without a joint posterior.
    """
    view = _View.of(surrogate, objectives, X, runs, pending, rng)
    chosen: list[int] = []
    while len(chosen) < min(n, len(X)):
        score = view.score(rng)
        i = int(np.where(view.free if view.free.any() else ~view.taken, score, -np.inf).argmax())
        view.take(i)
        chosen.append(i)
    return chosen


@one_blas_thread
def propose_front(
    surrogate: Surrogate,
    objectives: Sequence[Objective],
    space: MixtureSpace,
    n: int,
    *,
    runs: Array,
    rng: np.random.Generator,
    pending: Array | None = None,
) -> Array:
    """(n, m) mixtures to train next: `front_candidates`, of which `choose_front` picks.

    Raises:
        InputError: n below 1, or the constraints leave fewer new mixtures.
    """
    if n < 1:
        raise InputError(f"{n} proposals were asked for; ask for at least 1")
    pool = front_candidates(surrogate, objectives, space, runs=runs, rng=rng, pending=pending)
    if len(pool) < n:
        raise InputError(
            f"only {len(pool)} new mixtures are left within the constraints where {n} were asked "
            "for; loosen them, or ask for fewer"
        )
    picked = choose_front(surrogate, objectives, pool, n, runs=runs, rng=rng, pending=pending)
    return np.asarray(pool[picked])


def front_candidates(
    surrogate: Surrogate,
    objectives: Sequence[Objective],
    space: MixtureSpace,
    *,
    runs: Array,
    rng: np.random.Generator,
    pending: Array | None = None,
) -> Array:
    """(c, m) mixtures that may be worth a run, within the constraints and on a grid of 2e-4.

    A cloud of candidates around the front of the runs is thinned to those of most expected growth,
    and refined around them. See `choose_front` for the arguments.
    """
    C = matrix_of(objectives, surrogate.metrics)
    at_runs = guarded(surrogate, C, surrogate.expected(runs).mean)
    starts = runs[_near_front(at_runs, _reference(at_runs)[1])]
    known = runs if pending is None else np.vstack([runs, pending])
    pool = cloud(space, _CANDIDATES, rng, around=starts)
    for _ in range(2):
        pool = _fresh(space, pool, known)
        view = _View.of(surrogate, objectives, pool, runs, pending, rng)
        top = np.argsort(-view.score(rng), kind="stable")[:8]
        near = cloud(space, _CANDIDATES // 2, rng, around=pool[top], local=True)
        pool = np.vstack([pool[top], near])
    return _fresh(space, pool, known)


@dataclass
class _View:
    """Joint samples of all objectives at candidates and at what is known; grows by what is chosen.

    Attributes:
        F: (S, c + r, d) samples, candidates first. seen: positions of what is known.
        reference, unit: (d,) each. near: (c, c + r) pairs that count as duplicates.
        free, taken: (c,) candidates that are no near-duplicate of a run under way; those chosen.
    """

    F: Array
    seen: list[int]
    reference: Array
    unit: Array
    near: NDArray[np.bool_]
    free: NDArray[np.bool_]
    taken: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        surrogate: Surrogate,
        objectives: Sequence[Objective],
        X: Array,
        runs: Array,
        pending: Array | None,
        rng: np.random.Generator,
    ) -> "_View":
        C = matrix_of(objectives, surrogate.metrics)
        at_runs = guarded(surrogate, C, surrogate.expected(runs).mean)
        reference, unit = _reference(at_runs)
        best = _near_front(at_runs, unit)
        under_way = np.empty((0, X.shape[1])) if pending is None else pending
        P = np.vstack([X, runs[best], under_way])
        paths = metric_paths(surrogate.predict(P).mean, surrogate.joint(P, P), _PATHS, rng)
        near = simplex.hellinger_distance(X, P) < APART
        return cls(
            F=guarded(surrogate, C, paths),
            seen=list(range(len(X), len(P))),
            reference=reference,
            unit=unit,
            near=near,
            free=np.asarray(~near[:, len(X) + len(best) :].any(axis=1)),
            taken=np.zeros(len(X), dtype=bool),
        )

    def score(self, rng: np.random.Generator) -> Array:
        """(c,) what a run at each candidate is expected to add to the front, in logs."""
        at, seen = self.F[:, : len(self.taken)], self.F[:, self.seen]
        if len(self.unit) <= EXACT:
            return expected_improvement(at, seen, self.reference, self.unit)
        return _scalarised(at, seen, self.reference - self.unit, self.unit, rng)

    def take(self, i: int) -> None:
        """A run at candidate i is now under way."""
        self.seen.append(i)
        self.taken[i] = True
        self.free &= ~self.near[:, i]
        self.free[i] = False


def expected_improvement(at: Array, seen: Array, reference: Array, unit: Array) -> Array:
    """(c,) log of the mean hypervolume improvement of each candidate.

    Where no sample improves, the mean shortfall (in units) orders the candidates, far below.

    Args:
        at: (S, c, d) samples at the candidates.
        seen: (S, p, d) the same samples at what is known.
        reference: (d,) worse than all of interest.
        unit: (d,) what counts as one unit of each objective.
    """
    total, short = np.zeros(at.shape[1]), np.zeros(at.shape[1])
    for candidates, known in zip(at / unit, seen / unit, strict=True):
        front = known[non_dominated(known)]
        limit = reference / unit
        # What it would take to add something: to go below the reference, and from there below
        # every point of the front in some objective.
        behind = np.maximum(candidates - limit, 0.0).sum(axis=1)
        beaten = (np.minimum(candidates, limit)[:, None] - front).min(axis=2).max(axis=1)
        short += behind + np.maximum(beaten, 0.0)
        adds = (candidates < limit).all(axis=1) & (beaten < 0)
        if adds.any():
            lower, upper = open_boxes(front, limit)
            side = upper - np.maximum(lower, candidates[adds, None])  # (adding, boxes, d)
            total[adds] += np.maximum(side, 0.0).prod(axis=2).sum(axis=1)
    mean = total / len(at)
    hopeless = -1e3 - short / len(at)
    return np.where(mean > 0, np.log(np.maximum(mean, 1e-300)), hopeless)


def open_boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """(b, d) lower and upper corners of disjoint boxes that fill what `front` (p, d) leaves open.

    Together they are all points below the reference that no row of the front dominates; lower
    corners may be -inf. By slicing along the last objective, recursively.

    >>> lower, upper = open_boxes(np.array([[1.0, 1.0]]), np.array([2.0, 2.0]))
    >>> upper.tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """
    front = front[(front < reference).all(axis=1)]
    if front.shape[1] == 1:
        top = front.min() if len(front) else reference[0]
        return np.array([[-np.inf]]), np.array([[top]])
    front = front[non_dominated(front)]
    front = front[np.argsort(front[:, -1], kind="stable")]
    edges = np.concatenate([[-np.inf], front[:, -1], reference[-1:]])
    lowers, uppers = [], []
    for k in range(len(front) + 1):
        if edges[k + 1] > edges[k]:
            low, high = open_boxes(front[:k, :-1], reference[:-1])
            slab = np.ones((len(low), 1))
            lowers.append(np.hstack([low, edges[k] * slab]))
            uppers.append(np.hstack([high, edges[k + 1] * slab]))
    return np.vstack(lowers), np.vstack(uppers)


def _scalarised(
    at: Array, seen: Array, ideal: Array, unit: Array, rng: np.random.Generator
) -> Array:
    """(c,) mean improvement of an augmented Chebyshev mean with random weights."""
    weights = simplex.dirichlet(np.ones((1, len(unit))), rng)[0]

    def scalar(F: Array) -> Array:
        away = weights * (F - ideal) / unit
        return np.asarray(away.max(axis=-1) + 0.05 * away.sum(axis=-1))

    gain = scalar(seen).min(axis=1, keepdims=True) - scalar(at)
    mean = np.maximum(gain, 0.0).mean(axis=0)
    hopeless = -1e3 + gain.mean(axis=0)
    return np.asarray(np.where(mean > 0, np.log(np.maximum(mean, 1e-300)), hopeless))


def _reference(at_runs: Array) -> tuple[Array, Array]:
    """(d,) a tenth of the front's range beyond its worst, and (d,) that range."""
    front = at_runs[non_dominated(at_runs)]
    # by quartiles: runs that break a guard lie far off
    spread = np.maximum(0.74 * np.ptp(np.quantile(at_runs, (0.25, 0.75), axis=0), axis=0), 1e-12)
    unit = np.maximum(np.ptp(front, axis=0), spread)
    return np.asarray(front.max(axis=0) + 0.1 * unit), np.asarray(unit)


def _near_front(at_runs: Array, unit: Array) -> NDArray[np.intp]:
    """Positions of the runs that may be on the front: its runs, then those nearest to it."""
    front = at_runs[non_dominated(at_runs)]
    behind = ((at_runs[:, None] - front) / unit).max(axis=2).min(axis=1)
    return np.argsort(behind, kind="stable")[:_REFERENCES]


def _fresh(space: MixtureSpace, pool: Array, known: Array) -> Array:
    """The pool on the grid, within the constraints, without what is known."""
    pool = space.round(pool, GRID)
    pool = pool[space.contains(pool, 1e-7)]
    return np.asarray(pool[distinct(pool, known)][:_CANDIDATES])
