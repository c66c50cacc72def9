"""Robust least squares with a Gaussian prior, for laws whose formula has a Jacobian.

Notation:
    theta: (q,) parameters; residuals: any shape s, in units of the metric's sd; J: s + (q,)
"""

from collections.abc import Callable

import numpy as np
from scipy import linalg

from mixopt.space.simplex import Array

PRIOR_SD = 2.0
"""Prior sd of every parameter around its center."""
_PRIOR_NOISE = 0.1  # residual sd, in units of the metric's, at which prior and data are weighed
_HUBER = 3.0  # residuals beyond this many _PRIOR_NOISE count linearly


def descend(
    residuals: Callable[[Array], tuple[Array, Array]],
    center: Array,
    start: Array,
    *,
    steps: int,
    tolerance: float,
) -> tuple[float, Array]:
    """Levenberg-Marquardt from a start: penalised loss and theta.

    Args:
        residuals: theta to residuals and J.
        center: of the prior.
        start: where to begin.
        steps: at most so many.
        tolerance: relative fall of the loss below which it has settled.
    """
    weight = (_PRIOR_NOISE / PRIOR_SD) ** 2
    theta, damping = start, 1e-2
    raw, J = residuals(theta)
    loss = _loss(raw) + weight * float((theta - center) @ (theta - center))
    for _ in range(steps):
        r, by_f = _huber(raw)
        scaled = (by_f[..., None] * J).reshape(-1, theta.size)
        gradient = scaled.T @ r.reshape(-1) + weight * (theta - center)
        A = scaled.T @ scaled
        diagonal = A.reshape(-1)[:: theta.size + 1]
        diagonal += weight + damping * (diagonal + weight)
        _, step, info = linalg.lapack.dposv(A, gradient, lower=1)
        trial = theta - step if info == 0 else theta  # not better: damped more
        raw_new, J_new = residuals(trial)
        new = _loss(raw_new) + weight * float((trial - center) @ (trial - center))
        if not new < loss:
            damping *= 6.0
            if damping > 1e8:
                break
            continue
        done = loss - new < tolerance * loss
        theta, raw, J, loss, damping = trial, raw_new, J_new, new, damping / 4.0
        if done:
            break
    return loss, theta


def _huber(r: Array) -> tuple[Array, Array]:
    """A residual whose square grows linearly beyond the limit, and its derivative."""
    limit = _HUBER * _PRIOR_NOISE
    size = np.abs(r)
    beyond = size > limit
    root = np.sqrt(np.maximum(2 * limit * size - limit**2, 1e-300))
    return np.where(beyond, np.sign(r) * root, r), np.where(beyond, limit / root, 1.0)


def _loss(r: Array) -> float:
    root, _ = _huber(r)
    return float(np.vdot(root, root))
