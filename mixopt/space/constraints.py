"""The constraints of a space as arrays: membership, projection, and a point well inside.

Notation:
    w: (m,) weights; lower, upper: (m,) bounds; A: (r, m) rows with low <= A w <= high
    u: (m',) reduced weights, one per tie and one per untied domain; w = T u, columns of T sum to 1
A tie has one degree of freedom, so it is substituted, never enforced: both divergences stay
separable (weights sum T^2 for the Euclidean, the ratio-weighted geometric mean of q for KL).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mixopt.space import projection, simplex
from mixopt.space.implied import inside, least
from mixopt.space.projection import Metric
from mixopt.space.rows import Rows, tighten
from mixopt.space.simplex import Array

_INSIDE = 1e-10  # rows this close to the constraints are within them: projecting changes nothing
_FEASIBLE = 1e-7  # rows that contradict one another by less were rounded by those who wrote them
_MOST_NUMBERS = 20_000_000


@dataclass(frozen=True, eq=False)
class Polytope:
    """{w >= 0, sum w = 1, lower <= w <= upper, low <= A w <= high, ties}.

    Attributes:
        lower, upper: (m,) bounds.
        A: (r, m) rows; low, high: (r,) their sides.
        ties: positions and ratios (summing to 1) of domains with frozen ratios; disjoint.
    """

    lower: Array
    upper: Array
    A: Array
    low: Array
    high: Array
    ties: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = ()

    @property
    def only_bounds(self) -> bool:
        """Whether bounds are all there is, so that projections have a fast path."""
        return not len(self.A) and not self.ties

    @cached_property
    def basis(self) -> Array:
        """(m, m') the matrix T: what one unit of every reduced weight gives to the domains."""
        m = len(self.lower)
        tied = {i for positions, _ in self.ties for i in positions}
        columns = list(np.eye(m)[[i for i in range(m) if i not in tied]])
        for positions, ratios in self.ties:
            column = np.zeros(m)
            column[list(positions)] = ratios
            columns.append(column)
        return np.array(columns).T

    @cached_property
    def reduced(self) -> Rows:
        """The constraints on u, the sum first."""
        T = self.basis
        held = T > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(held, self.lower[:, None] / T, 0.0).max(axis=0)
            high = np.where(held, self.upper[:, None] / T, np.inf).min(axis=0)
        B = np.vstack([np.ones(T.shape[1]), self.A @ T])
        return Rows(low, np.minimum(high, 1.0), B, np.r_[1.0, self.low], np.r_[1.0, self.high])

    def excess(self, W: Array) -> Array:
        """(n,) how far rows of W (n, m) are outside, as the largest violation; 0 within."""
        of_bounds = np.maximum(W - self.upper, self.lower - W)
        parts = [of_bounds, np.abs(W.sum(axis=1, keepdims=True) - 1.0)]
        if len(self.A):
            at = W @ self.A.T
            parts.append(np.maximum(at - self.high, self.low - at))
        for positions, ratios in self.ties:
            held = W[:, list(positions)]
            parts.append(np.abs(held - held.sum(axis=1, keepdims=True) * np.array(ratios)))
        worst = np.zeros(len(W))
        for part in parts:
            worst = np.maximum(worst, part.max(axis=1))
        return worst

    def project(self, V: Array, metric: Metric) -> Array:
        """(n, m) nearest points of the polytope; rows that are within it are returned as given."""
        if self.only_bounds:
            nearest = simplex.project_kl if metric == "kl" else simplex.project_euclidean
            return nearest(V, self.lower, self.upper)
        X = V.copy()
        outside = np.flatnonzero(~(self.excess(V) <= _INSIDE))
        chunk = max(1, _MOST_NUMBERS // (self.A.shape[1] * (len(self.A) + 1)))
        for i in range(0, len(outside), chunk):
            rows = outside[i : i + chunk]
            X[rows] = self._project(V[rows], metric)
        return X

    def _project(self, V: Array, metric: Metric) -> Array:
        T = self.basis
        if metric == "kl":
            logs = np.log(np.maximum(V, 1e-300))
            entropy = np.where(T > 0, T * np.log(np.where(T > 0, T, 1.0)), 0.0).sum(axis=0)
            data, weights = logs @ T - entropy, np.ones(T.shape[1])
        else:
            weights = (T**2).sum(axis=0)
            data = (V @ T) / weights
        rows = self.reduced
        u = self._without_rows(data, metric)
        if u is None:
            outside = np.ones(len(V), dtype=bool)
            u = data.copy()
        else:  # a projection onto bounds alone that keeps the rows is the answer
            outside = rows.broken(u) > 1e-12
        if outside.any():
            u[outside] = projection.project(data[outside], rows, metric=metric, weights=weights)
            broken = rows.broken(u) > _INSIDE
            if broken.any():  # rows that force one another leave no inside to come from
                u[broken] = projection.project(
                    data[broken], self.tight, metric=metric, weights=weights
                )
        return np.asarray(u @ T.T)

    def _without_rows(self, data: Array, metric: Metric) -> Array | None:
        """Projection onto the reduced bounds and the sum; None where it has no fast form."""
        lower, upper = self.reduced.lower, self.reduced.upper
        if metric == "kl":
            q = np.exp(data - data.max(axis=1, keepdims=True))
            return simplex.project_kl(q, lower, upper)
        return None if self.ties else simplex.project_euclidean(data, lower, upper)

    @property
    def tight(self) -> Rows:
        """The reduced constraints; what can take one value only is held at it."""
        return self._inner[0]

    @cached_property
    def _inner(self) -> tuple[Rows, Array]:
        """The tight rows, and reduced weights u well inside of them."""
        return inside(tighten(self.reduced))

    @cached_property
    def interior(self) -> Array:
        """(m,) a mixture well within: its smallest slack, of bounds and rows, is the largest.

        Coordinates and rows without room (equal sides) count for nothing.
        """
        rows, u = self._inner
        m = len(u)
        # The LP leaves most slacks at the minimum; projecting the centre keeps it balanced.
        centre = projection.project(
            np.log(np.full((1, m), 1.0 / m)), rows, metric="kl", weights=np.ones(m)
        )[0]
        return np.asarray(self.basis @ (0.5 * (u + centre)))

    def restrict(self, lower: Array, upper: Array) -> "Polytope":
        """The same with tighter bounds (not checked to be feasible)."""
        return Polytope(
            np.maximum(self.lower, lower),
            np.minimum(self.upper, upper),
            self.A,
            self.low,
            self.high,
            self.ties,
        )

    @property
    def single(self) -> bool:
        """Whether one mixture alone satisfies every constraint (they are known to be feasible).

        The corners of the simplex are projected: were there a segment of mixtures, corners on both
        of its sides would come to lie apart on it.
        """
        nearest = self.project(np.eye(len(self.lower)), "euclidean")
        return bool(np.ptp(nearest, axis=0).max() < 1e-6)

    @property
    def feasible(self) -> bool:
        """Whether any mixture satisfies every constraint."""
        rows = self.reduced
        if (rows.lower > rows.upper + 1e-12).any():
            return False
        if rows.lower.sum() > 1 + 1e-9 or rows.upper.sum() < 1 - 1e-9:
            return False
        if not len(self.A):
            return True
        return least(np.zeros(rows.B.shape[1]), rows, tolerance=_FEASIBLE) is not None
