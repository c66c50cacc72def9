"""Projection onto {lower <= x <= upper, low <= B x <= high}, many points at once.

Notation:
    x: (n, m) points, one problem per row; B: (r, m) constraint rows, the first of which is the sum
    s = B x: (n, r); y: (n, r) multipliers of the rows; mu: (n,) barrier
    Euclidean distance: x = clip(v + B'y / d, lower, upper), d: (m,) weights of the coordinates
    KL divergence: x = clip(q exp(B'y), lower, upper)
Both divergences are separable, so that one interior-point step costs a diagonal and an r x r solve;
the point that the multipliers give is then polished by Newton's method on the dual.

References:
    Mehrotra 1992 (predictor-corrector); Qi & Sun 1993 (semismooth Newton)
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from mixopt.space.rows import Rows, tighten
from mixopt.space.simplex import Array

_TOLERANCE = 1e-12
_STEPS = 60
_POLISH = 12
_FLOOR = 1e-300

Metric = Literal["euclidean", "kl"]


@dataclass(frozen=True, eq=False)
class _Divergence:
    """What is minimised: `data` is v (Euclidean) or log q (KL), one row per problem."""

    metric: Metric
    data: Array
    weights: Array

    def take(self, rows: NDArray[np.intp]) -> "_Divergence":
        return _Divergence(self.metric, self.data[rows], self.weights)

    def gradient(self, x: Array) -> Array:
        if self.metric == "euclidean":
            return np.asarray(self.weights * (x - self.data))
        return np.asarray(np.log(np.maximum(x, _FLOOR)) - self.data)

    def curvature(self, x: Array) -> Array:
        if self.metric == "euclidean":
            return np.broadcast_to(self.weights, x.shape)
        return np.asarray(1.0 / np.maximum(x, _FLOOR))

    def point(self, pull: Array, rows: Rows) -> Array:
        """The x at which gradient(x) = pull, within the box."""
        if self.metric == "euclidean":
            return np.clip(self.data + pull / self.weights, rows.lower, rows.upper)
        return np.clip(np.exp(np.minimum(self.data + pull, 50.0)), rows.lower, rows.upper)


def project(data: Array, rows: Rows, *, metric: Metric, weights: Array) -> Array:
    """(n, m) the nearest points that satisfy every row and bound.

    Args:
        data: (n, m) the points v, or log q for `metric="kl"`.
        rows: the constraints; they must have a solution.
        metric: minimise sum weights (x - v)^2, or sum x log(x / q) - x.
        weights: (m,) of the coordinates; ones for KL.
    """
    if metric == "kl":
        data = np.maximum(data, np.log(_FLOOR))
    rows = tighten(rows)
    divergence = _Divergence(metric, data, weights)
    x, y = _interior_point(divergence, rows)
    polished = _polish(divergence, rows, y)
    better = rows.broken(polished) <= np.maximum(rows.broken(x), 1e-11)
    x = np.where(better[:, None], polished, np.clip(x, rows.lower, rows.upper))
    return np.where(x < 1e-100, np.maximum(rows.lower, 0.0), x)


@dataclass(eq=False)
class _State:
    """Iterates of the interior-point method; all gaps and duals stay above zero."""

    x: Array
    s: Array
    y: Array
    dual: tuple[Array, Array]  # of lower and upper bounds, (n, m)
    row_dual: tuple[Array, Array]  # of low and high, (n, r); zero on equations

    @property
    def finite(self) -> NDArray[np.bool_]:
        """(n,) which problems have only finite numbers."""
        parts = [self.x, self.s, self.y, *self.dual, *self.row_dual]
        return np.asarray(np.isfinite(np.concatenate(parts, axis=1)).all(axis=1))


def _interior_point(divergence: _Divergence, rows: Rows) -> tuple[Array, Array]:
    """Mehrotra's predictor-corrector on every row of the data; returns x and y.

    Rows that leave no room inside have no inner path. Problems that run away for it come back at
    the lower bounds, without multipliers.
    """
    free = rows.upper > rows.lower
    held = rows.B[:, ~free] @ rows.lower[~free]
    used = _independent(rows, free)
    part = Rows(
        rows.lower[free],
        rows.upper[free],
        rows.B[np.ix_(used, free)],
        (rows.low - held)[used],
        (rows.high - held)[used],
    )
    small = _Divergence(divergence.metric, divergence.data[:, free], divergence.weights[free])
    n = len(small.data)
    x = np.tile(rows.lower, (n, 1))
    y = np.zeros((n, len(rows.B)))
    if not free.any():
        return x, y
    state = _start(small, part, 1.0 - float(rows.lower[~free].sum()))
    live = np.arange(n)
    for _ in range(_STEPS):
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            done = _step(small.take(live), part, state)
        lost = ~state.finite
        ended = done | lost
        if ended.any():
            right = done & ~lost
            x[np.ix_(live[right], free)] = state.x[right]
            y[np.ix_(live[right], used)] = state.y[right]
            live, state = live[~ended], _keep(state, ~ended)
        if not len(live):
            return x, y
    x[np.ix_(live, free)] = state.x
    y[np.ix_(live, used)] = state.y
    return x, y


def _independent(rows: Rows, free: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Positions of the rows that say something of the free weights; of equations, a basis."""
    touching = np.abs(rows.B[:, free]).sum(axis=1) > 1e-12
    equation = rows.low == rows.high
    left = np.flatnonzero(equation & touching)
    if len(left) > 1:
        _, triangle, order = qr(rows.B[np.ix_(left, free)].T, mode="economic", pivoting=True)
        size = np.abs(np.diag(triangle))
        left = left[order[: int((size > 1e-9 * size[0]).sum())]]
    return np.sort(np.concatenate([left, np.flatnonzero(~equation & touching)]))


def _start(divergence: _Divergence, rows: Rows, total: float) -> _State:
    """Well inside the box and the sides of every row; the weights sum to about `total`."""
    width = rows.upper - rows.lower
    n = len(divergence.data)
    fraction = (total - rows.lower.sum()) / max(float(width.sum()), 1e-12)
    x = np.tile(rows.lower + width * np.clip(fraction, 1e-4, 1 - 1e-4), (n, 1))
    gap = rows.high - rows.low
    s = np.clip(x @ rows.B.T, rows.low + 0.1 * gap, rows.high - 0.1 * gap)
    size = np.abs(divergence.gradient(x)).mean(axis=1, keepdims=True) + 1e-3
    mu = 0.1 * size * np.minimum(x - rows.lower, rows.upper - x).mean(axis=1, keepdims=True)
    slack = np.where(gap > 0, 1.0, 0.0)
    return _State(
        x,
        s,
        np.zeros_like(s),
        (mu / (x - rows.lower), mu / (rows.upper - x)),
        (
            slack * mu / np.maximum(s - rows.low, 1e-300),
            slack * mu / np.maximum(rows.high - s, 1e-300),
        ),
    )


def _keep(state: _State, mask: NDArray[np.bool_]) -> _State:
    return _State(
        state.x[mask],
        state.s[mask],
        state.y[mask],
        (state.dual[0][mask], state.dual[1][mask]),
        (state.row_dual[0][mask], state.row_dual[1][mask]),
    )


def _step(divergence: _Divergence, rows: Rows, state: _State) -> NDArray[np.bool_]:
    """One predictor-corrector step in place; returns which problems have converged."""
    system = _System(divergence, rows, state)
    n = len(state.x)
    affine = system.direction(np.zeros((n, 1)), None)
    mu = system.complementarity(state, None, np.ones(n))
    reach = system.reach(affine)
    ahead = system.complementarity(state, affine, reach)
    sigma = np.clip(ahead / np.maximum(mu, 1e-300), 0.0, 1.0) ** 3
    move = system.direction((sigma * mu)[:, None], affine)
    alpha = np.minimum(1.0, 0.995 * system.reach(move))[:, None]
    state.x = state.x + alpha * move.x
    state.s = state.s + alpha * move.s
    state.y = state.y + alpha * move.y
    state.dual = _advance(state.dual, move.dual, alpha)
    state.row_dual = _advance(state.row_dual, move.row_dual, alpha)
    wrong = np.abs(state.x @ rows.B.T - state.s).max(axis=1)
    mu = system.complementarity(state, None, np.ones(n))
    # Below 1e-20 products of gap and dual are rounding; what is still wrong then stays wrong.
    return np.asarray(((wrong < 1e-12) & (mu < 1e-15)) | (mu < 1e-20))


def _advance(
    dual: tuple[Array, Array], move: tuple[Array, Array], alpha: Array
) -> tuple[Array, Array]:
    return dual[0] + alpha * move[0], dual[1] + alpha * move[1]


class _System:
    """The linear system of one step, reduced to the rows' multipliers."""

    def __init__(self, divergence: _Divergence, rows: Rows, state: _State) -> None:
        self.rows, self.state = rows, state
        self.slack = rows.high > rows.low
        tiny = 1e-30
        self.gaps = (
            np.maximum(state.x - rows.lower, tiny),
            np.maximum(rows.upper - state.x, tiny),
        )
        self.row_gaps = (
            np.where(self.slack, np.maximum(state.s - rows.low, tiny), 1.0),
            np.where(self.slack, np.maximum(rows.high - state.s, tiny), 1.0),
        )
        self.slope = divergence.gradient(state.x) - state.y @ rows.B
        bend = divergence.curvature(state.x)
        self.inverse = 1.0 / (bend + state.dual[0] / self.gaps[0] + state.dual[1] / self.gaps[1])
        stiff = state.row_dual[0] / self.row_gaps[0] + state.row_dual[1] / self.row_gaps[1]
        self.give = np.where(self.slack, 1.0 / np.maximum(stiff, tiny), 0.0)
        H = (self.inverse[:, None, :] * rows.B) @ rows.B.T
        r = len(rows.B)
        diagonal = np.einsum("nii->ni", H) + self.give
        H = H + self.give[:, :, None] * np.eye(r)
        self.H = H + (1e-13 * diagonal + 1e-200)[:, :, None] * np.eye(r)

    def direction(self, mu: Array, affine: "_State | None") -> _State:
        """Newton's direction towards barrier mu; `affine` brings the second-order correction."""
        rows, state = self.rows, self.state
        target = [mu + np.zeros_like(g) for g in self.gaps]
        row_target = [mu + np.zeros_like(g) for g in self.row_gaps]
        if affine is not None:
            target[0] = target[0] - affine.x * affine.dual[0]
            target[1] = target[1] + affine.x * affine.dual[1]
            row_target[0] = row_target[0] - affine.s * affine.row_dual[0]
            row_target[1] = row_target[1] + affine.s * affine.row_dual[1]
        push = target[0] / self.gaps[0] - target[1] / self.gaps[1]
        row_push = row_target[0] / self.row_gaps[0] - row_target[1] / self.row_gaps[1]
        r1 = push - self.slope
        r2 = np.where(self.slack, row_push - state.y, 0.0)
        r3 = np.where(self.slack, state.s, rows.low) - state.x @ rows.B.T
        right = r3 - (self.inverse * r1) @ rows.B.T + self.give * r2
        y = _solve_stack(self.H, right)
        x = self.inverse * (r1 + y @ rows.B)
        s = self.give * (r2 - y)
        dual = (
            (target[0] - state.dual[0] * x) / self.gaps[0] - state.dual[0],
            (target[1] + state.dual[1] * x) / self.gaps[1] - state.dual[1],
        )
        row_dual = (
            self.slack * ((row_target[0] - state.row_dual[0] * s) / self.row_gaps[0])
            - state.row_dual[0],
            self.slack * ((row_target[1] + state.row_dual[1] * s) / self.row_gaps[1])
            - state.row_dual[1],
        )
        return _State(x, s, y, dual, row_dual)

    def reach(self, move: _State) -> Array:
        """(n,) largest step at which every gap and dual stays above zero."""
        pairs = [
            (self.gaps[0], move.x),
            (self.gaps[1], -move.x),
            (self.state.dual[0], move.dual[0]),
            (self.state.dual[1], move.dual[1]),
            (self.row_gaps[0], np.where(self.slack, move.s, 0.0)),
            (self.row_gaps[1], np.where(self.slack, -move.s, 0.0)),
            (self.state.row_dual[0], np.where(self.slack, move.row_dual[0], 0.0)),
            (self.state.row_dual[1], np.where(self.slack, move.row_dual[1], 0.0)),
        ]
        reach = np.full(len(move.x), 1.0)
        for value, change in pairs:
            ratio = np.where(change < 0, -value / np.where(change < 0, change, -1.0), np.inf)
            reach = np.minimum(reach, ratio.min(axis=1))
        return reach

    def complementarity(self, state: _State, move: "_State | None", alpha: Array) -> Array:
        """(n,) mean product of gap and dual, after a step if one is given."""
        a = alpha[:, None]
        x, s, dual, row_dual = state.x, state.s, state.dual, state.row_dual
        if move is not None:
            x, s = x + a * move.x, s + a * move.s
            dual, row_dual = _advance(dual, move.dual, a), _advance(row_dual, move.row_dual, a)
        rows = self.rows
        products = [(x - rows.lower) * dual[0], (rows.upper - x) * dual[1]]
        products += [(s - rows.low) * row_dual[0], (rows.high - s) * row_dual[1]]
        count = 2 * x.shape[1] + 2 * int(self.slack.sum())
        return np.asarray(sum(p.sum(axis=1) for p in products) / count)


def _polish(divergence: _Divergence, rows: Rows, y: Array) -> Array:
    """Newton's method on the dual from multipliers that are nearly right."""
    x = divergence.point(y @ rows.B, rows)
    for _ in range(_POLISH):
        at = x @ rows.B.T
        # Rows with a multiplier are held at their side; others only if they are broken.
        equation = rows.low == rows.high
        g = np.where(y > 0, rows.low - at, np.where(y < 0, rows.high - at, 0.0))
        idle = np.maximum(rows.low - at, 0.0) + np.minimum(rows.high - at, 0.0)
        g = np.where(equation | (np.abs(y) < 1e-9), idle, g)
        if np.abs(g).max() <= _TOLERANCE:
            break
        inside = (x > rows.lower) & (x < rows.upper)
        scaled = np.where(inside, 1.0 / divergence.curvature(x), 0.0)[:, None, :] * rows.B
        H = scaled @ rows.B.T
        move = g != 0
        H = np.where(move[:, :, None] & move[:, None, :], H, 0.0)
        scale = np.einsum("nii->ni", H).max(axis=1)[:, None, None]
        H = H + (1e-12 * scale + 1e-200 + ~move[:, :, None]) * np.eye(len(rows.B))
        tried = y + np.nan_to_num(_solve_stack(H, g))
        points = divergence.point(tried @ rows.B, rows)
        better = rows.broken(points) < rows.broken(x)
        y, x = np.where(better[:, None], tried, y), np.where(better[:, None], points, x)
        if not better.any():
            break
    return x


def _solve_stack(H: Array, g: Array) -> Array:
    try:
        return np.asarray(np.linalg.solve(H, g[..., None])[..., 0])
    except np.linalg.LinAlgError:
        return np.asarray((np.linalg.pinv(H) @ g[..., None])[..., 0])
