"""Affine maps between scales, and their course over scales.

Notation:
    r scales, k metrics; g: (n, k) what the law of the source scale predicts
    y = a + b g + e at every scale; prior b ~ N(b0, t^2) with b0 and t from all metrics of the scale
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import JSON, Prediction, numbers
from mixopt.space.simplex import Array

EXPONENT = 0.35
"""alpha and beta of E + A N^-alpha + B D^-beta until many scales tell (2305.16264 finds .3527)."""
_EXPONENTS = (0.15, 0.25, 0.35, 0.5, 0.7)
_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class Affine:
    """Maps y = a + b g per scale and metric.

    Attributes:
        center: (k,) the g around which level and slope are independent.
        a, b: (r, k). level_variance, slope_variance: (r, k) what is not known of them.
        noise: (r, k) sd of the runs around the map; 0 at the source, whose law knows its noise.
    """

    center: Array
    a: Array
    b: Array
    level_variance: Array
    slope_variance: Array
    noise: Array

    @classmethod
    def identity(cls, scales: int, metrics: int) -> "Affine":
        """Maps that change nothing."""
        zero = np.zeros((scales, metrics))
        return cls(np.zeros(metrics), zero, np.ones((scales, metrics)), zero, zero, zero)

    @property
    def level(self) -> Array:
        """(r, k) metrics at the center."""
        return np.asarray(self.a + self.b * self.center)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}

    @classmethod
    def read(cls, values: JSON) -> "Affine":
        """What `to_dict` wrote."""
        return cls(**{name: numbers(values[name]) for name in cls.__dataclass_fields__})


def fit_affine(predicted: Prediction, Y: Array, at: NDArray[Any], source: int) -> Affine:
    """The maps of every scale.

    Args:
        predicted: (n, k) what the source's law predicts for each run.
        Y: (n, k) the runs, NaN where missing.
        at: (n,) number of the scale of each.
        source: the scale whose map is the identity.
    """
    count, k = int(at.max()) + 1, Y.shape[1]
    at_source = at == source
    center = np.nanmean(np.where(np.isfinite(Y), predicted.mean, np.nan)[at_source], axis=0)
    spread = predicted.mean[at_source].std(axis=0)
    spread = np.where(spread > 1e-9 * np.abs(center), spread, 1.0)
    itself = _Fit(center / spread, np.ones(k), np.zeros(k), np.zeros(k), np.zeros(k))
    fits = []
    for i in range(count):
        rows = at == i
        g, y = (predicted.mean[rows] - center) / spread, Y[rows] / spread
        fits.append(itself if i == source else _fit_scale(g, y))
    level, b, level_variance, slope_variance, noise = (np.stack(x) for x in zip(*fits, strict=True))
    a = level * spread - b * center
    return Affine(center, a, b, level_variance * spread**2, slope_variance, noise * spread)


class _Fit(NamedTuple):
    """One scale, all (k,): level at the source's center, slope, their variances, noise."""

    level: Array
    slope: Array
    level_variance: Array
    slope_variance: Array
    noise: Array


def _fit_scale(g: Array, y: Array) -> _Fit:
    """The map to one scale, in units of g's sd.

    Bayesian least squares per metric; the prior of the slope is learned from all metrics, for at a
    larger scale all slopes tend to shrink together.
    """
    k = g.shape[1]
    seen = np.isfinite(y)
    count = seen.sum(axis=0)
    mean_g = np.where(seen, g, 0).sum(0) / np.maximum(count, 1)
    mean_y = np.nansum(y, axis=0) / np.maximum(count, 1)
    dg, dy = np.where(seen, g - mean_g, 0.0), np.where(seen, y - mean_y, 0.0)
    Sgg, Sgy = (dg * dg).sum(0), (dg * dy).sum(0)
    center, width = 1.0, 0.5
    b, variance = np.full(k, center), np.full(k, width**2)
    noise2 = np.full(k, 0.05)
    for _ in range(_ROUNDS):
        residual = (dy - b * dg) ** 2
        # Two runs' worth of the spread that is typical of the scale keep scales of few runs sober.
        # Of two metrics the quieter one: one that does not follow at all says nothing of the other.
        spread = residual.sum(0) / np.maximum(count - 2, 1)
        typical = float(np.quantile(spread, 0.5, method="lower")) + 1e-6
        noise2 = (residual.sum(0) + 2.0 * typical) / np.maximum(count - 2 + 2, 1)
        precision = Sgg / noise2 + 1.0 / width**2
        b = (Sgy / noise2 + center / width**2) / precision
        variance = 1.0 / precision
        if k >= 3 and (count >= 3).sum() >= 3:
            center = float(np.median(b))
            width = float(np.clip(np.sqrt(np.mean((b - center) ** 2 + variance)), 0.1, 1.0))
    b = np.maximum(b, 0.0)
    unseen = count == 0
    level = np.where(unseen, np.nan_to_num(np.nanmean(y)), mean_y - b * mean_g)
    doubt = np.where(unseen, 1.0, noise2 / np.maximum(count, 1) + variance * mean_g**2)
    return _Fit(level, b, doubt, variance, np.sqrt(noise2))


def level_curve(
    scales: Array, maps: Affine, target: Array
) -> tuple[Array, Array, tuple[Array, Array]]:
    """Level (k,), slope (k,) and their variances at a scale that no run has.

    The level is E + A N^-alpha + B D^-beta through the scales' levels, with E, A, B >= 0 towards
    larger scales as losses behave (of either sign for other metrics); the logarithm of the slope is
    a line in log N and log D, shrunk to no change.
    """
    varied = np.ptp(np.log(scales), axis=0) > 1e-9
    x, x_new = np.log(scales[:, varied]), np.log(target[varied])
    level, doubt = _levels(x, maps.level, x_new)
    # slopes
    center = x.mean(axis=0)
    X = x - center
    logs = np.log(np.maximum(maps.b, 0.02))
    relative = maps.slope_variance / np.maximum(maps.b, 0.02) ** 2 + 0.02
    b = np.empty(maps.b.shape[1])
    for j in range(b.size):
        weight = 1.0 / relative[:, j]
        base = (weight * logs[:, j]).sum() / weight.sum()
        A = (X * weight[:, None]).T @ X + 4.0 * np.eye(X.shape[1])
        slope = np.linalg.solve(A, X.T @ (weight * (logs[:, j] - base)))
        b[j] = np.exp(np.clip(base + (x_new - center) @ slope, -4, 2))
    distance = float(np.abs(np.log(scales / target)).max(axis=1).min())
    return level, b, (doubt, (0.15 * distance * b) ** 2)


def _levels(x: Array, levels: Array, x_new: Array) -> tuple[Array, Array]:
    """(k,) level and its variance at log scale x_new, from levels (r, k) at x (r, q)."""
    r, q = x.shape
    choices = _EXPONENTS if r >= q + 3 else (EXPONENT,)
    low = x.min(axis=0)
    best = np.full(levels.shape[1], np.inf)
    level, doubt = np.zeros(levels.shape[1]), np.zeros(levels.shape[1])
    for exponents in np.stack(np.meshgrid(*[choices] * q), axis=-1).reshape(-1, q):
        X = np.column_stack([np.ones(r), np.exp(-exponents * (x - low))])
        new = np.concatenate([[1.0], np.exp(-exponents * (x_new - low))])
        A = X.T @ X + 1e-6 * np.eye(q + 1)
        coefficients = np.linalg.solve(A, X.T @ levels)
        error = ((levels - X @ coefficients) ** 2).sum(axis=0)
        freedom = max(r - q - 1, 1)
        better = error < best
        best = np.where(better, error, best)
        level = np.where(better, new @ coefficients, level)
        lever = new @ np.linalg.solve(A, new)
        drop = np.abs(levels - level).min(axis=0)
        doubt = np.where(better, error / freedom * (1 + lever) + (0.2 * drop) ** 2, doubt)
    return level, doubt
