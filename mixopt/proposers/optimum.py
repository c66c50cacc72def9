"""The optimum of a surrogate within constraints and guards.

Notation:
    F: what is minimised; g: (c,) guards, kept where g <= 0; w: (m,) mixture
References:
    sequential quadratic programming (SLSQP): Kraft 1988
"""

import numpy as np
import scipy

from mixopt.proposers.search import minimize
from mixopt.proposers.surrogate import Surrogate
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array

_KEPT = 1e-6  # relative violation of a guard that counts as kept
_STEP = 1e-5  # of finite differences
_MOST_DOMAINS = 100


def optimum(
    surrogate: Surrogate, space: MixtureSpace, *, W: Array, rng: np.random.Generator
) -> Array:
    """(m,) the mixture with the least predicted objective that keeps constraints and guards.

    Guards enter the search as a steep penalty; up to 100 domains the kink that it makes is then
    resolved by sequential quadratic programming. Where no mixture keeps every guard, the one that
    breaks them least.

    Args:
        surrogate: what the runs tell.
        space: constraints.
        W: (k, m) observed mixtures; the search begins at the best of them as well.
        rng: source of randomness.
    """
    observed = np.atleast_2d(W)
    starts = observed[np.argsort(surrogate.value(observed), kind="stable")[:16]]
    minima = minimize(surrogate.value, space, rng=rng, starts=starts)
    if not surrogate.limits:
        return np.asarray(minima[0])
    everything = minima
    if space.dim <= _MOST_DOMAINS:
        problem = _Guarded(surrogate, space)
        sharp = [problem.solve(start) for start in (*minima[:3], space.natural.array)]
        everything = np.vstack([minima, space.project(np.array(sharp), metric="kl")])
    seen = surrogate.predict(everything)
    worst = np.maximum(surrogate.over(seen).max(axis=1), 0.0)
    kept = worst <= max(_KEPT, float(worst.min()))
    return np.asarray(everything[np.where(kept, surrogate.bare(seen, everything), np.inf).argmin()])


class _Guarded:
    """Objective and guards as SLSQP wants them; the last point's values are kept.

    What it is given is a copy: SciPy's SLSQP works in the arrays that it gets.
    """

    def __init__(self, surrogate: Surrogate, space: MixtureSpace) -> None:
        self.surrogate, self.space = surrogate, space
        self.at = np.full(space.dim, np.nan)
        self.values, self.slopes = np.empty(0), np.empty((0, 0))
        rules = [r for r in space.rules if len(r.rows) == 1 and np.count_nonzero(r.rows) > 1]
        self.rows = np.array([r.rows[0] for r in rules]).reshape(len(rules), space.dim)
        self.limits = np.array([r.limits[0] for r in rules])
        ties = [r.rows[: len(r.rows) // 2] for r in space.rules if len(r.rows) > 1]
        # One equation of each tie follows from the others.
        self.equations = np.vstack([np.ones(space.dim), *[rows[1:] for rows in ties]])
        self.sides = np.r_[1.0, np.zeros(len(self.equations) - 1)]

    def solve(self, start: Array) -> Array:
        """The local optimum from a start."""
        constraints: list[scipy.optimize.LinearConstraint | scipy.optimize.NonlinearConstraint] = [
            scipy.optimize.LinearConstraint(self.equations, self.sides, self.sides),
            scipy.optimize.NonlinearConstraint(
                self._guards, -np.inf, 0.0, jac=lambda w: self._look(w)[1][1:].copy()
            ),
        ]
        if len(self.rows):
            constraints.append(scipy.optimize.LinearConstraint(self.rows, -np.inf, self.limits))
        solution = scipy.optimize.minimize(
            self._objective,
            start,
            jac=self._slope,
            method="SLSQP",
            bounds=scipy.optimize.Bounds(self.space.lower, self.space.upper),
            constraints=constraints,
            tol=1e-10,
        )
        w = np.clip(np.nan_to_num(solution.x), 0.0, None)
        return np.asarray(w / w.sum() if w.sum() > 0 else start)

    def _objective(self, w: Array) -> float:
        return float(self._look(w)[0][0])

    def _slope(self, w: Array) -> Array:
        return np.array(self._look(w)[1][0])

    def _tilts(self, w: Array) -> Array:
        return self._look(w)[1][1:].copy()

    def _guards(self, w: Array) -> Array:
        return self._look(w)[0][1:].copy()

    def _look(self, w: Array) -> tuple[Array, Array]:
        """(1 + c,) objective and guards, and their (1 + c, m) slopes along the simplex."""
        if not np.array_equal(w, self.at):
            inside = np.clip(w, 0.0, None)
            inside = inside / max(float(inside.sum()), 1e-12)
            W = np.vstack([inside, (1 - _STEP) * inside + _STEP * np.eye(len(w))])
            seen = self.surrogate.predict(W)
            values = np.column_stack([self.surrogate.bare(seen, W), self.surrogate.over(seen)])
            self.at = w.copy()
            self.values, self.slopes = values[0], (values[1:] - values[0]).T / _STEP
        return self.values, self.slopes
