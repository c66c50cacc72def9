"""A Gaussian process at very many points: single precision, and a cheap variance.

Exact moments cost n^2 per point, which makes 100,000 candidates take half a minute. Here the mean
is exact up to rounding (n per point), and the variance is that of a process which has only seen the
`_PIVOTS` most telling runs, scaled so that it agrees with the exact one on a sample of the points.

Notation:
    Z: (a, p) features of new points; n runs; U: (n, p) features of the runs divided by lengthscales
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mixopt.laws.processes.kernel import MEAN_VARIANCE, Posterior, covariance
from mixopt.space.simplex import Array

MANY = 4096
"""More points than this take the quick way."""
_BLOCK = 1_000_000  # numbers in one block of covariances: bounds the memory
_CACHED = 1 << 17  # the same for single precision: stays in a core's cache
_PIVOTS = 64
_SAMPLE = 256
_TOLERANCE = 2e-3  # of the sd of a metric: rounding beyond this calls for double precision

Single = NDArray[np.float32]


def many_moments(posterior: Posterior, Z: Array) -> tuple[Array, Array]:
    """(a,) mean and (a,) variance of the expected metric, the quick way where points are many."""
    if len(Z) <= MANY or not _rounds_well(posterior):
        return _exact(posterior, Z)
    mean = _means(posterior, Z)
    rough = _single_variances(_pivots(posterior), Z)
    sample = np.linspace(0, len(Z) - 1, _SAMPLE).astype(int)
    exact = posterior.moments(Z[sample])[1]
    scale = exact.mean() / max(rough[sample].mean(), 1e-300)
    return mean, rough * scale


def _exact(posterior: Posterior, Z: Array) -> tuple[Array, Array]:
    """Moments in blocks that bound the memory."""
    mean, variance = np.empty((2, len(Z)))
    block = max(1, _BLOCK // len(posterior.Z))
    for i in range(0, len(Z), block):
        part = slice(i, i + block)
        mean[part], variance[part] = posterior.moments(Z[part])
    return mean, variance


def many_means(posterior: Posterior, Z: Array) -> Array:
    """(a,) mean of the expected metric: that of `many_moments`, and nothing else."""
    if len(Z) > MANY and _rounds_well(posterior):
        return _means(posterior, Z)
    block = max(1, _BLOCK // len(posterior.Z))
    return np.concatenate(
        [posterior.mean(Z[i : i + block]) for i in range(0, max(len(Z), 1), block)]
    )


def _rounds_well(posterior: Posterior) -> bool:
    """Whether rounding to single precision stays far below the sd of the metric."""
    rounding = np.finfo(np.float32).eps * np.exp(posterior.log_theta[-2])
    return bool(3.0 * rounding * np.linalg.norm(posterior.alpha) < _TOLERANCE)


def _means(posterior: Posterior, Z: Array) -> Array:
    weights = (posterior.alpha * np.exp(posterior.log_theta[-2])).astype(np.float32)
    mean = np.empty(len(Z))
    for part, k in _single_correlations(posterior, Z):
        mean[part] = k @ weights
    mean += MEAN_VARIANCE * posterior.alpha.sum()
    return mean


def _single_variances(posterior: Posterior, Z: Array) -> Array:
    """(a,) variance of the expected metric in single precision."""
    inverse = linalg.solve_triangular(posterior.lower, np.eye(len(posterior.lower)), lower=True)
    half = inverse.T.astype(np.float32)
    signal, variance = np.exp(posterior.log_theta[-2]), np.empty(len(Z))
    constant = np.float32(MEAN_VARIANCE) * half.sum(axis=0)
    half *= np.float32(signal)
    for part, k in _single_correlations(posterior, Z):
        explained = k @ half
        explained += constant
        variance[part] = np.einsum("an,an->a", explained, explained)
    return np.asarray(np.maximum(signal + MEAN_VARIANCE - variance, 1e-12))


def _single_correlations(posterior: Posterior, Z: Array) -> Iterator[tuple[slice, Single]]:
    """Blocks of rows, and their (b, n) correlations with the runs, overwritten by the next.

    Everything is done in two buffers that stay in the cache: fresh memory for every step costs more
    than the arithmetic.
    """
    scale = np.sqrt(5.0) / np.exp(posterior.log_theta[:-2])
    A, B = Z * scale, posterior.Z * scale
    left = np.column_stack([A, (A * A).sum(1), np.ones(len(A))]).astype(np.float32)
    right = np.column_stack([-2.0 * B, np.ones(len(B)), (B * B).sum(1)]).astype(np.float32)
    right = np.ascontiguousarray(right.T)
    block = max(1, _CACHED // len(B))
    correlations, distances = np.empty((2, block, len(B)), dtype=np.float32)
    for i in range(0, len(Z), block):
        rows = left[i : i + block]
        k, r = correlations[: len(rows)], distances[: len(rows)]
        np.matmul(rows, right, out=k)  # r^2
        np.maximum(k, 0.0, out=k)
        np.sqrt(k, out=r)
        k *= np.float32(1.0 / 3.0)
        k += r
        k += np.float32(1.0)
        np.negative(r, out=r)
        np.exp(r, out=r)
        k *= r
        yield slice(i, i + len(rows)), k


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
