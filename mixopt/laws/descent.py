"""Robust least squares with a Gaussian prior, for laws whose formula has a Jacobian.

Notation:
    b problems of q parameters, r residuals each in units of the metric's sd
    theta: (b, q); residuals: (b, r); J: (b, r, q) derivatives of the residuals
"""

from collections.abc import Callable

import numpy as np
from scipy import linalg

from mixopt.laws.base import Ints
from mixopt.space.simplex import Array

PRIOR_SD = 2.0
"""Prior sd of every parameter around its center."""
_PRIOR_NOISE = 0.1  # residual sd, in units of the metric's, at which prior and data are weighed
_HUBER = 3.0  # residuals beyond this many _PRIOR_NOISE count linearly
_WEIGHT = (_PRIOR_NOISE / PRIOR_SD) ** 2
_HOPELESS = 1e8  # damping at which no step is left


def descend(
    residuals: Callable[[Array], tuple[Array, Array]],
    center: Array,
    start: Array,
    *,
    steps: int,
    tolerance: float,
) -> tuple[float, Array]:
    """`descend_many` for one problem: penalised loss and theta (q,).

    Args:
        residuals: theta (q,) to residuals of any shape s, and J, s + (q,).
        center: (q,) of the prior.
        start: (q,) where to begin.
        steps: at most so many.
        tolerance: relative fall of the loss below which it has settled.
    """

    def one(theta: Array, rows: Ints) -> tuple[Array, Array]:
        del rows
        raw, J = residuals(theta[0])
        return raw.reshape(1, -1), J.reshape(1, -1, theta.shape[1])

    loss, theta = descend_many(one, center, start[None], steps=steps, tolerance=tolerance)
    return float(loss[0]), theta[0]


def descend_many(
    residuals: Callable[[Array, Ints], tuple[Array, Array]],
    center: Array,
    start: Array,
    *,
    steps: int,
    tolerance: float,
) -> tuple[Array, Array]:
    """Levenberg-Marquardt of b problems at a time, each on its own: losses (b,) and theta (b, q).

    Args:
        residuals: theta (a, q) of the problems `rows` (a,) to residuals (a, r) and J (a, r, q).
        center: (q,) of the prior.
        start: (b, q) where to begin.
        steps: at most so many.
        tolerance: relative fall of a problem's loss below which it has settled.
    """
    theta, damping = np.array(start), np.full(len(start), 1e-2)
    rows = np.arange(len(start))
    loss, gradient, A = _normal(*residuals(theta, rows), theta - center)
    for _ in range(steps):
        if not rows.size:
            break
        trial = theta[rows] - _damped_steps(A[rows], gradient[rows], damping[rows])
        new, *normal = _normal(*residuals(trial, rows), trial - center)
        gain = loss[rows] - new
        better = gain > 0
        moved = rows[better]
        theta[moved], loss[moved] = trial[better], new[better]
        gradient[moved], A[moved] = (part[better] for part in normal)
        damping[rows] *= np.where(better, 0.25, 6.0)
        settled = better & (gain < tolerance * (gain + new))
        rows = rows[~settled & (damping[rows] <= _HOPELESS)]
    return loss, theta


def _normal(raw: Array, J: Array, off: Array) -> tuple[Array, Array, Array]:
    """Penalised losses (b,), half their gradients (b, q), and J'J (b, q, q); J is overwritten."""
    limit = _HUBER * _PRIOR_NOISE
    size = np.abs(raw)
    beyond = size > limit
    # The square of the root grows linearly beyond the limit.
    root = np.sqrt(np.maximum(2 * limit * size - limit**2, 1e-300))
    r = np.where(beyond, np.sign(raw) * root, raw)
    J *= np.where(beyond, limit / root, 1.0)[..., None]
    turned = J.transpose(0, 2, 1)
    loss = (r * r).sum(axis=1) + _WEIGHT * (off * off).sum(axis=1)
    return loss, (turned @ r[..., None])[..., 0] + _WEIGHT * off, turned @ J


def _damped_steps(A: Array, gradient: Array, damping: Array) -> Array:
    """(b, q) solutions of (A + prior + damping) step = gradient; 0 where there is none."""
    step = np.zeros_like(gradient)
    q = gradient.shape[1]
    diagonal = A.reshape(len(A), -1)[:, :: q + 1]
    diagonal += _WEIGHT + damping[:, None] * (diagonal + _WEIGHT)
    for i in range(len(A)):
        _, x, info = linalg.lapack.dposv(A[i].T, gradient[i], lower=0, overwrite_a=True)
        if info == 0:
            step[i] = x  # a step of 0 is not better: damped more
    return step
