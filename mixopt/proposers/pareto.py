"""Trade-offs between metrics: Pareto fronts by a sweep of weights, and their hypervolume.

Notation:
    F: (n, d) objectives, lower is better; r: (d,) reference point, worse than all of interest
References:
    augmented Chebyshev scalarisation: Steuer & Choo 1983; hypervolume by slicing: While et al.
    2006; two stages, the second from sparse parts of the front: C-MORL, 2410.02236
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.proposers.search import cloud, descend
from mixopt.space import MixtureSpace, html, simplex
from mixopt.space.simplex import Array

_MOST_OBJECTIVES = 8
_SLACK = 0.05  # of an objective's range that the second stage may give up


@dataclass(frozen=True, eq=False)
class Front:
    """Mixtures of which none is better than another in everything.

    Attributes:
        W: (n, m) mixtures, by increasing first objective.
        F: (n, d) their objectives, lower is better.
        reference: (d,) the point against which the hypervolume is taken.
        hypervolume: of what the front dominates, up to the reference.
    """

    W: Array
    F: Array
    reference: Array
    hypervolume: float

    def __repr__(self) -> str:
        many, goals = self.F.shape
        return (
            f"<Front of {many} mixtures in {goals} objectives: hypervolume {self.hypervolume:.4g}>"
        )

    def _repr_html_(self) -> str:
        head = ["", *(f"objective {j}" for j in range(self.F.shape[1])), "largest share"]
        rows: list[list[html.Cell]] = [
            [str(i), *f.tolist(), f"{html.percent(w.max())} of domain {w.argmax()}"]
            for i, (f, w) in enumerate(zip(self.F, self.W, strict=True))
        ]
        several = np.unique(np.linspace(0, len(rows) - 1, html.MOST_ROWS).astype(int))
        shown = f"; {len(several)} of them" if len(several) < len(rows) else ""
        return html.table(head, [rows[i] for i in several], repr(self).strip("<>") + shown)


def pareto_front(
    objectives: Callable[[Array], Array],
    space: MixtureSpace,
    *,
    rng: np.random.Generator,
    weights: int = 16,
    starts: Array | None = None,
    reference: Array | None = None,
    extend: int = 0,
) -> Front:
    """The front of several objectives within the constraints.

    A cloud of candidates gives the ranges and a first front; then, for weights drawn evenly over
    the objectives, the weighted mean and the augmented Chebyshev distance to the ideal point (which
    reaches the concave parts) are minimised from the best candidates. With `extend`, a second
    stage starts from the points in the sparsest parts of that front, and minimises one objective
    at a time while the others may get worse by a twentieth of their range at most.

    Args:
        objectives: (n, d) values of mixtures (n, m), lower is better.
        space: constraints.
        rng: source of randomness.
        weights: draws of weights, besides one per objective alone and equal weights.
        starts: (k, m) mixtures to begin from as well.
        reference: (d,) for the hypervolume; the worst of the first front where left out.
        extend: points that the second stage starts from.

    Raises:
        InputError: fewer than two objectives or more than eight.
    """
    pool = cloud(space, 3000, rng, around=starts)
    F = objectives(pool)
    d = F.shape[1]
    if not 2 <= d <= _MOST_OBJECTIVES:
        raise InputError(
            f"a Pareto front needs 2 to {_MOST_OBJECTIVES} objectives, {d} were given; group "
            "metrics into fewer weighted means"
        )
    first = non_dominated(F)
    ideal, worst = F[first].min(axis=0), F[first].max(axis=0)
    unit = np.where(worst > ideal, worst - ideal, 1.0)
    V = np.vstack(
        [np.eye(d), np.full((1, d), 1 / d), simplex.dirichlet(np.ones((weights, d)), rng)]
    )
    mixtures = [pool[first]]
    for v in V:
        for score in (_mean(objectives, v / unit), _chebyshev(objectives, v, ideal, unit)):
            mixtures.append(descend(score, space, _best(pool, first, score), steps=40))
    W = np.vstack(mixtures)
    F = objectives(W)
    for i in sparsest(F, extend):
        for j in range(d):
            score = _held(objectives, j, F[i] + _SLACK * unit, unit)
            mixtures.append(descend(score, space, W[[i]], steps=40))
    W = np.vstack(mixtures)
    F = objectives(W)
    return front_of(W, F, worst + 0.1 * unit if reference is None else reference)


def front_of(W: Array, F: Array, reference: Array | None = None) -> Front:
    """The front of mixtures W (n, m) with objectives F (n, d).

    The reference is, where left out, a tenth of the front's range beyond its worst.
    """
    best = np.flatnonzero(non_dominated(F))
    best = best[np.argsort(F[best, 0], kind="stable")]
    worst = F[best].max(axis=0)
    unit = np.where(np.ptp(F[best], axis=0) > 0, np.ptp(F[best], axis=0), 1.0)
    limit = worst + 0.1 * unit if reference is None else np.asarray(reference, dtype=float)
    return Front(W[best], F[best], limit, hypervolume(F[best], limit))


def non_dominated(F: Array) -> NDArray[np.bool_]:
    """(n,) rows for which no other is at least as good in all objectives and better in one.

    Of equal rows the first stays.
    """
    keep = np.ones(len(F), dtype=bool)
    for i in np.lexsort(F.T[::-1]):
        if keep[i]:
            beaten = (F[i] <= F).all(axis=1)
            beaten[i] = False
            keep &= ~beaten
    return keep


def sparsest(F: Array, n: int) -> list[int]:
    """Positions of at most n rows of the front of F (r, d) with the most room around them.

    By crowding distance: the sum over objectives of the gap between a point's neighbours, as a
    share of the range; the ends of the front come first.
    """
    front = np.flatnonzero(non_dominated(F))
    room = np.zeros(len(front))
    for values in F[front].T:
        order = np.argsort(values, kind="stable")
        width = max(float(np.ptp(values)), 1e-300)
        gaps = np.full(len(front), np.inf)
        gaps[1:-1] = (values[order[2:]] - values[order[:-2]]) / width
        room[order] += gaps
    return [int(i) for i in front[np.argsort(-room, kind="stable")][:n]]


def spread_out(F: Array, n: int) -> list[int]:
    """Positions of at most n rows of F (r, d), evenly over it, by increasing first objective.

    The best of every objective come first, then always the row that is furthest from all chosen.
    """
    unit = np.where(np.ptp(F, axis=0) > 0, np.ptp(F, axis=0), 1.0)
    Z = F / unit
    chosen = list(dict.fromkeys(int(i) for i in F.argmin(axis=0)))[:n]
    distance = np.min([((Z - Z[i]) ** 2).sum(axis=1) for i in chosen], axis=0)
    while len(chosen) < min(n, len(F)) and distance.max() > 0:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((Z - Z[chosen[-1]]) ** 2).sum(axis=1))
    return sorted(chosen, key=lambda i: float(F[i, 0]))


def hypervolume(F: Array, reference: Array) -> float:
    """The volume that rows of F (n, d) dominate below the reference (d,), exactly, by slicing.

    >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
    3.0
    """
    F = F[(reference > F).all(axis=1)]
    if not len(F):
        return 0.0
    if F.shape[1] == 1:
        return float(reference[0] - F.min())
    F = F[non_dominated(F)]
    F = F[np.argsort(F[:, -1], kind="stable")]
    depths = np.append(F[1:, -1], reference[-1]) - F[:, -1]
    return float(
        sum(
            depth * hypervolume(F[: i + 1, :-1], reference[:-1])
            for i, depth in enumerate(depths)
            if depth > 0
        )
    )


def _best(pool: Array, first: NDArray[np.bool_], score: Callable[[Array], Array]) -> Array:
    """(1, m) the point of the first front that is best for a score."""
    front = pool[first]
    return np.asarray(front[[int(score(front).argmin())]])


def _held(
    objectives: Callable[[Array], Array], j: int, limits: Array, unit: Array
) -> Callable[[Array], Array]:
    """Objective j, with a steep price on every other one beyond its limit."""

    def score(W: Array) -> Array:
        F = objectives(W)
        over = np.maximum(F - limits, 0.0) / unit
        over[:, j] = 0.0
        return np.asarray(F[:, j] / unit[j] + 100.0 * over.sum(axis=1))

    return score


def _mean(objectives: Callable[[Array], Array], weights: Array) -> Callable[[Array], Array]:
    return lambda W: np.asarray(objectives(W) @ weights)


def _chebyshev(
    objectives: Callable[[Array], Array], weights: Array, ideal: Array, unit: Array
) -> Callable[[Array], Array]:
    def score(W: Array) -> Array:
        away = (objectives(W) - ideal) / unit
        return np.asarray((weights * away).max(axis=1) + 0.05 * (weights * away).sum(axis=1))

    return score
