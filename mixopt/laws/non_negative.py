"""Non-negative least squares for many targets that share their columns.

Block principal pivoting (Kim and Park, SIAM J. Sci. Comput. 33, 2011): every target holds a set of
amplitudes that may differ from zero, solves for those, and exchanges all that have the wrong sign.
The targets' systems are solved together, from one matrix of products.

Notation:
    G: (p, p) products of the columns; C: (k, p) products of the k targets with them
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from mixopt.space.simplex import Array

_PATIENCE = 3  # whole exchanges that may make nothing better, before one at a time
_STEPS = 100
_JITTER = 1e-10  # of a column's own product: of columns that say the same, any will do
_TOLERANCE = 1e-10
_FEW = 7000  # targets times (100 + p^2) up to which one at a time is quicker


def non_negative(G: Array, C: Array) -> Array:
    """(k, p) the minima of x'Gx / 2 - Cx over x >= 0.

    Args:
        G: (p, p) positive semi-definite.
        C: (k, p).
    """
    unit = np.sqrt(np.maximum(np.diag(G), 1e-300))
    G = G / np.outer(unit, unit) + _JITTER * np.eye(len(G))
    C = C / unit
    x = _alone(G, C) if len(C) * (100 + len(G) ** 2) < _FEW else _together(G, C)
    return np.asarray(np.maximum(x, 0.0) / unit)


def _alone(G: Array, C: Array) -> Array:
    """(k, p) the minima, one target after the other."""
    lower = np.linalg.cholesky(G)
    targets = np.linalg.solve(lower, C.T).T
    return np.array([nnls(lower.T, target)[0] for target in targets])


def _together(G: Array, C: Array) -> Array:
    """(k, p) the minima, all targets at a time."""
    slack = _TOLERANCE * np.abs(C).max(axis=1, keepdims=True)
    x, free = np.zeros(C.shape), np.zeros(C.shape, dtype=bool)
    least, patience = np.full(len(C), C.shape[1] + 1), np.full(len(C), _PATIENCE)
    rows = np.arange(len(C))
    for _ in range(_STEPS):
        signs = np.where(free[rows], x[rows], x[rows] @ G - C[rows])
        wrong = signs < -slack[rows]
        count = wrong.sum(axis=1)
        rows, wrong, count = (part[count > 0] for part in (rows, wrong, count))
        if not rows.size:
            break
        fewer = count < least[rows]
        patience[rows] = np.where(fewer, _PATIENCE, patience[rows] - 1)
        least[rows] = np.minimum(least[rows], count)
        stuck = patience[rows] < 0
        # One at a time, the last one first, always ends.
        wrong[stuck] &= np.cumsum(wrong[stuck], axis=1) == count[stuck, None]
        free[rows] ^= wrong
        x[rows] = _among(G, C[rows], free[rows])
    if rows.size:  # has not settled
        x[rows] = _alone(G, C[rows])
    return x


def _among(G: Array, C: Array, free: NDArray[np.bool_]) -> Array:
    """(k, p) the minima over the free amplitudes, the others 0."""
    most = int(free.sum(axis=1).max())
    order = np.argsort(~free, axis=1, kind="stable")[:, :most]
    taken = np.take_along_axis(free, order, axis=1)
    among = G[order[:, :, None], order[:, None, :]]
    among = np.where(taken[:, :, None] & taken[:, None, :], among, np.eye(most))
    targets = np.where(taken, np.take_along_axis(C, order, axis=1), 0.0)
    x = np.zeros(C.shape)
    np.put_along_axis(x, order, np.linalg.solve(among, targets[..., None])[..., 0], axis=1)
    return x
