"""A Gaussian process at very many points: single precision, and a cheap variance.

Exact moments cost n^2 per point, which makes 100,000 candidates take half a minute. Here the mean
is exact up to rounding (n per point), and the variance is that of a process which has only seen the
`_PIVOTS` most telling runs, scaled so that it agrees with the exact one on a sample of the points.

Notation:
    Z: (a, p) features of new points; n runs; U: (n, p) features of the runs divided by lengthscales
"""

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mixopt.laws.kernel import MEAN_VARIANCE, Posterior, covariance
from mixopt.simplex import Array

MANY = 4096
"""More points than this take the quick way."""
_BLOCK = 1_000_000  # numbers in one block of covariances: stays in a core's cache
_PIVOTS = 64
_SAMPLE = 256
_TOLERANCE = 2e-3  # of the sd of a metric: rounding beyond this calls for double precision

Single = NDArray[np.float32]


def many_moments(posterior: Posterior, Z: Array) -> tuple[Array, Array]:
    """(a,) mean and (a,) variance of the expected metric, the quick way where points are many."""
    rounding = np.finfo(np.float32).eps * np.exp(posterior.log_theta[-2])
    noisy_enough = 3.0 * rounding * np.linalg.norm(posterior.alpha) < _TOLERANCE
    if len(Z) <= MANY or not noisy_enough:
        return _exact(posterior, Z)
    mean = _means(posterior, Z)
    pivots = _pivots(posterior)
    rough = _exact(pivots, Z, single=True)[1]
    sample = np.linspace(0, len(Z) - 1, _SAMPLE).astype(int)
    exact = posterior.moments(Z[sample])[1]
    scale = exact.mean() / max(rough[sample].mean(), 1e-300)
    return mean, rough * scale


def _exact(posterior: Posterior, Z: Array, *, single: bool = False) -> tuple[Array, Array]:
    """Moments in blocks that bound the memory; `single` trades digits for speed."""
    mean, variance = np.empty((2, len(Z)))
    block = max(1, _BLOCK // len(posterior.Z))
    half = None
    if single:
        inverse = linalg.solve_triangular(posterior.lower, np.eye(len(posterior.lower)), lower=True)
        half = inverse.T.astype(np.float32)
    for i in range(0, len(Z), block):
        part = slice(i, i + block)
        if half is None:
            mean[part], variance[part] = posterior.moments(Z[part])
            continue
        cross = _single_covariance(posterior, Z[part]) + np.float32(MEAN_VARIANCE)
        prior = np.exp(posterior.log_theta[-2]) + MEAN_VARIANCE
        explained = cross @ half
        mean[part] = cross @ posterior.alpha.astype(np.float32)
        variance[part] = np.maximum(prior - np.einsum("an,an->a", explained, explained), 1e-12)
    return mean, variance


def _means(posterior: Posterior, Z: Array) -> Array:
    alpha = posterior.alpha.astype(np.float32)
    constant = MEAN_VARIANCE * posterior.alpha.sum()
    block = max(1, _BLOCK // len(posterior.Z))
    parts = [
        _single_covariance(posterior, Z[i : i + block]) @ alpha for i in range(0, len(Z), block)
    ]
    return np.asarray(np.concatenate(parts).astype(float) + constant)


def _single_covariance(posterior: Posterior, Z: Array) -> Single:
    """(a, n) covariance without the constant; in place, for memory traffic is what costs."""
    scale = np.sqrt(5.0) / np.exp(posterior.log_theta[:-2])
    A, B = Z * scale, posterior.Z * scale
    ones = np.ones((1, 1))
    left = np.hstack([A, (A * A).sum(1)[:, None], np.broadcast_to(ones, (len(A), 1))])
    right = np.hstack([-2.0 * B, np.broadcast_to(ones, (len(B), 1)), (B * B).sum(1)[:, None]])
    k: Single = left.astype(np.float32) @ right.astype(np.float32).T  # r^2
    np.maximum(k, 0.0, out=k)
    r = np.sqrt(k)
    k *= np.float32(1.0 / 3.0)
    k += r
    k += np.float32(1.0)
    np.negative(r, out=r)
    np.exp(r, out=r)
    k *= r
    k *= np.float32(np.exp(posterior.log_theta[-2]))
    return k


def _pivots(posterior: Posterior) -> Posterior:
    """The process that has seen only the runs which greedily explain the most variance."""
    K = covariance(posterior.Z, posterior.Z, posterior.log_theta)
    count = min(_PIVOTS, len(K))
    left = np.diag(K).copy()
    rows, picked = np.zeros((count, len(K))), np.zeros(count, dtype=int)
    for i in range(count):
        picked[i] = int(np.argmax(left))
        row = K[picked[i]] - rows[:i, picked[i]] @ rows[:i]
        rows[i] = row / np.sqrt(max(left[picked[i]], 1e-12))
        left = np.maximum(left - rows[i] ** 2, 0.0)
    return Posterior.condition(posterior.Z[picked], np.zeros(count), posterior.log_theta)
