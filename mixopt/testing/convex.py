"""The exact optimum of a log-linear law: a barrier method, with a proof of how exact it is.

Notation:
    F(w) = sum_k h_k exp(b_k + a_k.w) + kl KL(w || q), h_k >= 0: convex
    b: (k,); a: (k, m); w: (m,) within the constraints; gap: F(w) - min F is at most this
References:
    Olmix 2602.12237 (the same programme through cvxpy); Boyd & Vandenberghe 2004, chapter 11
"""

from dataclasses import dataclass

import numpy as np

from mixopt.errors import InputError
from mixopt.proposers.search import descend
from mixopt.space import MixtureSpace, simplex
from mixopt.space.rows import Rows
from mixopt.space.simplex import Array

_GROWTH = 15.0
_NEWTON = 40
_DESCENT = 400
_FLOOR = 1e-300


@dataclass(frozen=True, eq=False)
class LogLinearObjective:
    """A weighted sum of exponentials of linear functions, with a pull towards a prior.

    Attributes:
        h: (k,) weights >= 0. b: (k,) offsets. a: (k, m) slopes.
        kl: weight of KL(w || prior); prior: (m,).

    Raises:
        InputError: a weight below zero: the sum would not be convex.
    """

    h: Array
    b: Array
    a: Array
    kl: float = 0.0
    prior: Array | None = None

    def __post_init__(self) -> None:
        if (self.h < 0).any() or self.kl < 0:
            k = int(np.argmax(self.h < 0))
            raise InputError(
                f"weight {k} of the log-linear objective is {self.h[k] if len(self.h) else 0:.3g}: "
                "not convex (a metric that is maximised, or a law that bends down); use `minimize`"
            )

    def value(self, W: Array) -> Array:
        """(n,) F at mixtures W (n, m), without the constants c of the laws."""
        total = np.exp(self.b + W @ self.a.T) @ self.h
        if self.kl and self.prior is not None:
            total = total + self.kl * simplex.kl(W, self.prior)
        return np.asarray(total)

    def gradient(self, W: Array) -> Array:
        """(n, m) gradient of F."""
        g = (self.h * np.exp(self.b + W @ self.a.T)) @ self.a
        if self.kl and self.prior is not None:
            g = g + self.kl * (np.log(np.maximum(W, _FLOOR) / np.maximum(self.prior, 1e-12)) + 1)
        return np.asarray(g)


@dataclass(frozen=True, eq=False)
class Solution:
    """A mixture, F there, and how far above the least F it can be at most."""

    w: Array
    value: float
    gap: float


def solve(
    objective: LogLinearObjective, space: MixtureSpace, *, tolerance: float = 1e-9
) -> Solution:
    """Minimise a log-linear objective over a space, to a proven gap.

    Args:
        objective: F.
        space: constraints.
        tolerance: gap at which to stop, relative to |F|.
    """
    polytope = space.polytope
    rows = polytope.tight
    u = (polytope.interior @ polytope.basis) / (polytope.basis**2).sum(axis=0)
    barrier = _Barrier(objective, rows, polytope.basis)
    if not barrier.inside(u):
        return _without_interior(objective, space, polytope.interior)
    t = barrier.count / max(abs(float(objective.value(polytope.interior[None])[0])), 1e-12)
    for _ in range(60):
        u = barrier.centre(u, t)
        value = float(objective.value((polytope.basis @ u)[None])[0])
        if barrier.count / t <= tolerance * max(abs(value), 1e-12):
            break
        t *= _GROWTH
    w = polytope.basis @ u
    clean = space.project(np.where(w < 1e-8, 0.0, w), metric="kl")
    if objective.value(clean[None])[0] <= value + tolerance * abs(value):
        w = clean
    value = float(objective.value(w[None])[0])
    return Solution(w, value, barrier.count / t)


def _without_interior(objective: LogLinearObjective, space: MixtureSpace, start: Array) -> Solution:
    """Exponentiated gradient where the constraints leave no interior; its gap is not known."""
    w = descend(objective.value, space, start[None], gradient=objective.gradient, steps=_DESCENT)[0]
    return Solution(w, float(objective.value(w[None])[0]), np.inf)


class _Barrier:
    """t F(u) - sum of logs of all slacks, minimised by Newton's method on the equations."""

    def __init__(self, objective: LogLinearObjective, rows: Rows, basis: Array) -> None:
        self.objective, self.basis = objective, basis
        self.free = rows.upper > rows.lower
        self.lower, self.upper = rows.lower[self.free], rows.upper[self.free]
        equation = rows.low == rows.high
        self.E = rows.B[equation][:, self.free]
        self.S = rows.B[~equation][:, self.free]
        held = rows.B[:, ~self.free] @ rows.lower[~self.free]
        self.low, self.high = (rows.low - held)[~equation], (rows.high - held)[~equation]
        self.count = float(2 * self.free.sum() + 2 * len(self.S)) or 1.0

    def inside(self, u: Array) -> bool:
        """Whether u keeps every bound and row with room to spare."""
        return not (np.concatenate(self._slacks(u)) <= 1e-12).any()

    def centre(self, u: Array, t: float) -> Array:
        """The minimum of the barrier function for t, from a strictly feasible u."""
        if not self.free.any():
            return u
        for _ in range(_NEWTON):
            g, H = self._derivatives(u, t)
            step, decrement = self._direction(g, H)
            if decrement < 1e-9:
                break
            now, alpha = self._value(u, t), 1.0
            while alpha > 1e-12:
                tried = u.copy()
                tried[self.free] += alpha * step
                if self._value(tried, t) <= now - 0.25 * alpha * decrement:
                    u = tried
                    break
                alpha *= 0.5
            else:
                break
        return u

    def _slacks(self, u: Array) -> tuple[Array, Array, Array, Array]:
        x = u[self.free]
        at = self.S @ x
        return x - self.lower, self.upper - x, at - self.low, self.high - at

    def _value(self, u: Array, t: float) -> float:
        slacks = np.concatenate(self._slacks(u))
        if (slacks <= 0).any():
            return np.inf
        return t * float(self.objective.value((self.basis @ u)[None])[0]) - float(
            np.log(slacks).sum()
        )

    def _derivatives(self, u: Array, t: float) -> tuple[Array, Array]:
        w = self.basis @ u
        T = self.basis[:, self.free]
        f = self.objective
        A = f.a @ T
        weight = f.h * np.exp(f.b + f.a @ w)
        g = t * (f.gradient(w[None])[0] @ T)
        H = t * (A.T * weight) @ A
        if f.kl:
            H = H + t * f.kl * (T.T / np.maximum(w, _FLOOR)) @ T
        below, above, low, high = self._slacks(u)
        g = g - 1 / below + 1 / above + (1 / high - 1 / low) @ self.S
        H = H + np.diag(below**-2 + above**-2) + (self.S.T * (low**-2 + high**-2)) @ self.S
        return g, H

    def _direction(self, g: Array, H: Array) -> tuple[Array, float]:
        m, e = len(g), len(self.E)
        # Scaled by the diagonal: near the end slacks differ by many orders of magnitude.
        d = 1.0 / np.sqrt(np.diag(H))
        E = self.E * d
        E = E / np.maximum(np.linalg.norm(E, axis=1, keepdims=True), _FLOOR)
        K = np.block([[H * d * d[:, None], E.T], [E, np.zeros((e, e))]])
        right = np.r_[-g * d, np.zeros(e)]
        try:
            step = np.linalg.solve(K, right)[:m]
        except np.linalg.LinAlgError:  # equations that repeat each other
            step = np.linalg.lstsq(K, right)[0][:m]
        step = d * step
        return step, float(-(g @ step))
