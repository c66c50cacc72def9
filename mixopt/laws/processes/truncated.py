"""All scales in one process: what they have in common, and a bias that is gone at the largest.

f(w, s) = g(w) + b(w, s), where the bias b fades linearly as the place s of a scale goes from 0 to 1
(the linear-truncated kernel). Cheap runs say what g is as far as their bias is small; whether it
is, is learned from scales whose runs lie near each other.

Notation:
    Z: (n, p) features; s: (n,) places; y: (n,) one metric in its spread at the smallest scale
    theta: (2 p + 3,) = [log l of g, log l of b, log variance of g, log of b's over it, log noise v]

References:
    Poloczek et al. 1603.00389; the kernel: Wu et al. 1903.04703, BoTorch 1910.06403
    used for mixtures by ADMIRE: 2508.11551
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy
from scipy import linalg

from mixopt.laws.base import JSON, Ints, Prediction, as_mixtures, check_runs, numbers
from mixopt.laws.features import FeatureMap
from mixopt.laws.processes import kernel
from mixopt.laws.processes.gp import GaussianProcess
from mixopt.laws.processes.scale_runs import (
    Pair,
    ScaleRuns,
    asked,
    by_scale,
    check_scales,
    scales_of,
    units_of,
)
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

BIAS = (-1.0, 1.5)
"""Prior mean and sd of the log of the bias' variance over that of the common part."""


@dataclass(frozen=True)
class Truncated:
    """Every metric at every scale that has runs, in one process.

    Departs from BoTorch: scales lie evenly between 0 and 1 whatever their size, the power of the
    kernel is 1, and every scale has a level of its own.

    Args:
        process: its features, priors, and how many runs and steps teach hyperparameters.
        scales: parameters and tokens of scales to predict at before they have runs.
        earlier: runs of earlier studies, of the same metrics, the least like these first: scales
            below the smallest.
    """

    process: GaussianProcess = field(default_factory=GaussianProcess)
    scales: Sequence[Pair] = ()
    earlier: Sequence[ScaleRuns] = ()

    takes_scales: ClassVar[bool] = True

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedTruncated":
        """Fit all scales at once, by parameters, then tokens.

        Raises:
            InputError: see `check_runs`; the smallest scale has too few runs, or lacks a metric.
        """
        own = by_scale(check_runs(W, Y, scale), self.scales)
        return self.fit_scales([*self.earlier, *own], rng=rng)

    def fit_scales(
        self, runs: Sequence[ScaleRuns], *, rng: np.random.Generator
    ) -> "FittedTruncated":
        """Fit all scales at once.

        Args:
            runs: smallest first; scales above the first may have no runs yet.
            rng: source of randomness.

        Raises:
            InputError: the smallest scale has too few runs, or lacks a metric.
        """
        check_scales(runs, "truncated")
        base = self.process.fit(runs[0].W, runs[0].Y, rng=rng)
        standard = units_of(base.standard, runs)
        places = np.linspace(0.0, 1.0, len(runs)) if len(runs) > 1 else np.ones(1)
        centers = np.zeros((len(runs), len(standard.center)))
        unit = np.where(standard.flat, 1.0, standard.spread)
        for number, here in enumerate(runs[1:], start=1):
            if len(here.W):  # by what the smallest scale expects of the same mixtures
                expected = (base.mean(here.W) - standard.center) / unit
                rest = (here.Y - standard.center) / unit - expected
                known = np.isfinite(rest).any(axis=0)
                centers[number, known] = np.nanmean(rest[:, known], axis=0)
        bare = FittedTruncated(
            base.features, standard, tuple(runs), np.empty((0, 0)), places, centers
        )
        Z, s, Y, seen = bare.together
        order = rng.permutation(len(Z))
        thetas = []
        for k in range(Y.shape[1]):
            # Runs of the dearer scales are few: all of them teach.
            rows = sorted((i for i in order if seen[i, k]), key=lambda i: s[i] == places[0])
            taken = rows[: self.process.subset]
            thetas.append(_learn(Z, s, Y[:, k], taken, self.process, base.log_theta[k]))
        return FittedTruncated(
            base.features, standard, tuple(runs), np.stack(thetas), places, centers
        )


@dataclass(frozen=True, eq=False)
class Process:
    """One metric at all scales, conditioned on its runs.

    Attributes:
        Z: (n, p). s: (n,). theta: see the module. lower: (n, n) Cholesky factor. alpha: (n,).
    """

    Z: Array
    s: Array
    theta: Array
    lower: Array
    alpha: Array

    def halves(self, Z: Array, s: Array) -> tuple[Array, Array]:
        """(a, n) covariance with the runs of points at places s (a,), and (n, a) its half."""
        cross = covariance(Z, s, self.Z, self.s, self.theta)
        return cross, np.asarray(linalg.solve_triangular(self.lower, cross.T, lower=True))

    def mean(self, Z: Array, s: Array) -> Array:
        """(a,) mean of the expected metric at places s (a,)."""
        return np.asarray(covariance(Z, s, self.Z, self.s, self.theta) @ self.alpha)

    def moments(self, Z: Array, s: Array) -> tuple[Array, Array]:
        """(a,) mean and variance of the expected metric at places s (a,)."""
        cross, half = self.halves(Z, s)
        prior = np.exp(self.theta[-3]) * (1.0 + np.exp(self.theta[-2]) * _fading(s, s))
        prior += 2.0 * kernel.MEAN_VARIANCE
        return cross @ self.alpha, np.maximum(prior - (half * half).sum(axis=0), 0.0)


@dataclass(frozen=True, eq=False, repr=False)
class FittedTruncated(Shown):
    """Every metric at every scale.

    Attributes:
        features, standard: of inputs and outputs, learned from the smallest scale.
        runs: of every scale, the smallest first. theta: (k, 2 p + 3), see the module.
        places: (scales,) from 0 to 1. centers: (scales, k) level of a metric at a scale, in units.
    """

    features: FeatureMap
    standard: Standard
    runs: tuple[ScaleRuns, ...]
    theta: Array
    places: Array
    centers: Array

    @property
    def together(self) -> tuple[Array, Array, Array, Array]:
        """Of all runs: features (n, p), places (n,), values (n, k), and which of them are known.

        Values are standardised and around the level of their scale; 0 where missing.
        """
        number = np.repeat(np.arange(len(self.runs)), [len(x.W) for x in self.runs])
        W, Y = (np.vstack(parts) for parts in zip(*((x.W, x.Y) for x in self.runs), strict=True))
        T = self.standard.forward(Y) - self.centers[number]
        return self.features(W), self.places[number], T, np.isfinite(Y)

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        """One per metric, conditioned on the runs that have the metric."""
        Z, s, T, seen = self.together
        return tuple(
            _condition(Z[rows], s[rows], T[rows, k], self.theta[k]) for k, rows in enumerate(seen.T)
        )

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) and scales (n, 2) or (2,); the largest without one.

        Raises:
            InputError: a scale that no runs are of.
        """
        Z, number = self._points(W, scale)
        moments = [p.moments(Z, self.places[number]) for p in self.processes]
        mean, variance = (np.column_stack(parts) for parts in zip(*moments, strict=True))
        noise = np.exp(self.theta[:, -1] / 2)
        return self.standard.prediction(mean + self.centers[number], np.sqrt(variance), noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        Z, number = self._points(W, scale)
        mean = np.column_stack([p.mean(Z, self.places[number]) for p in self.processes])
        return self.standard.backward(mean + self.centers[number])

    def joint(
        self, A: Array, B: Array, scale_A: Array | None = None, scale_B: Array | None = None
    ) -> Array:
        """(k, a, b) posterior covariance of the expected metrics at A with those at B.

        Raises:
            InputError: a scale that no runs are of.
        """
        left, i = self._points(A, scale_A)
        right, j = self._points(B, scale_B)
        s, u = self.places[i], self.places[j]
        covariances = [
            covariance(left, s, right, u, p.theta) - p.halves(left, s)[1].T @ p.halves(right, u)[1]
            for p in self.processes
        ]
        return np.asarray(np.stack(covariances) * (self.standard.spread**2)[:, None, None])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "truncated",
            "features": self.features.to_dict(),
            "standard": self.standard.to_dict(),
            "runs": [runs.to_dict() for runs in self.runs],
            "theta": self.theta.tolist(),
            "places": self.places.tolist(),
            "centers": self.centers.tolist(),
        }

    def _points(self, W: Array, scale: Array | None) -> tuple[Array, Ints]:
        """Features (n, p) of mixtures W, and the number of the scale that each row asks for."""
        w = as_mixtures(W, self.runs[0].W.shape[1])
        return self.features(w), asked(scales_of(self.runs), scale, len(w), "truncated")


def read(values: JSON) -> FittedTruncated:
    """The fitted law that `to_dict` wrote."""
    standard = Standard.read(values["standard"])
    m, k = len(values["runs"][0]["W"][0]), len(standard.center)
    return FittedTruncated(
        FeatureMap.read(values["features"]),
        standard,
        tuple(ScaleRuns.read(x, m, k) for x in values["runs"]),
        numbers(values["theta"]),
        numbers(values["places"]),
        numbers(values["centers"]),
    )


def covariance(A: Array, s: Array, B: Array, u: Array, theta: Array) -> Array:
    """(a, b) prior covariance of the expected metric at A and places s (a,) with B at u (b,)."""
    p = A.shape[1]
    variance, ratio = np.exp(theta[-3]), np.exp(theta[-2])
    common = kernel.correlation(A, B, theta[:p])[0]
    bias = kernel.correlation(A, B, theta[p : 2 * p])[0]
    level = kernel.MEAN_VARIANCE * (1.0 + (s[:, None] == u))
    return np.asarray(variance * (common + ratio * _fading(s[:, None], u) * bias) + level)


def negative_evidence(
    theta: Array, Z: Array, s: Array, y: Array, priors: kernel.Priors
) -> tuple[float, Array]:
    """Minus the log posterior of the hyperparameters, and its gradient (2 p + 3,)."""
    n, p = Z.shape
    variance, ratio, noise = np.exp(theta[-3:])
    fading = ratio * _fading(s[:, None], s)
    common, slope = kernel.correlation(Z, Z, theta[:p])
    bias, bias_slope = kernel.correlation(Z, Z, theta[p : 2 * p])
    K = variance * (common + fading * bias) + kernel.MEAN_VARIANCE * (1.0 + (s[:, None] == s))
    K[np.diag_indices(n)] += noise + 1e-10
    lower, info = linalg.lapack.dpotrf(K, lower=1, clean=1)
    if info != 0:
        return 1e10, np.zeros_like(theta)
    inverse, _ = linalg.lapack.dpotri(lower, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    alpha = inverse @ y
    M = inverse - np.outer(alpha, alpha)  # d value / d K = M / 2
    gradient = np.concatenate(
        [
            kernel.by_length(M * slope, Z / np.exp(theta[:p])),
            kernel.by_length(M * fading * bias_slope, Z / np.exp(theta[p : 2 * p])),
        ]
    )
    of_bias = 0.5 * variance * np.vdot(M, fading * bias)
    of_noise = 0.5 * noise * np.trace(M)
    rest = [0.5 * variance * np.vdot(M, common) + of_bias, of_bias, of_noise]
    center, spread = _prior(p, priors)
    off = (theta - center) / spread
    value = 0.5 * y @ alpha + np.log(np.diag(lower)).sum() + 0.5 * off @ off
    return float(value), np.concatenate([5.0 * variance / 3.0 * gradient, rest]) + off / spread


def _learn(
    Z: Array, s: Array, y: Array, rows: Sequence[int], law: GaussianProcess, start: Array
) -> Array:
    """The hyperparameters of highest posterior, from those of the smallest scale alone."""
    center, _ = _prior(Z.shape[1], law.priors)
    x = np.concatenate([start[:-2], center[Z.shape[1] : -3], start[-2:-1], [BIAS[0]], start[-1:]])
    taken = list(rows)
    bounds = [(c - 6.0, c + 6.0) for c in center[:-1]] + [(np.log(1e-6), np.log(2.0))]
    optimum = scipy.optimize.minimize(
        negative_evidence,
        x,
        args=(Z[taken], s[taken], y[taken], law.priors),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": law.iterations, "maxcor": 20, "ftol": 1e-6},
    )
    return np.asarray(optimum.x)


def _condition(Z: Array, s: Array, y: Array, theta: Array) -> Process:
    K = covariance(Z, s, Z, s, theta)
    K[np.diag_indices(len(Z))] += np.exp(theta[-1]) + 1e-10
    lower = linalg.cholesky(K, lower=True)
    return Process(Z, s, theta, lower, linalg.cho_solve((lower, True), y))


def _prior(p: int, priors: kernel.Priors) -> tuple[Array, Array]:
    """(2 p + 3,) means and sds of theta."""
    centers, spreads = priors.centers(p), priors.spreads(p)

    def twice(values: Array, bias: float) -> Array:
        return np.concatenate([values[:p], values[:p], values[p : p + 1], [bias], values[p + 1 :]])

    return twice(centers, BIAS[0]), twice(spreads, BIAS[1])


def _fading(s: Array | float, u: Array | float) -> Array:
    """What is left of the bias' variance between two places."""
    return np.asarray((1.0 - s) * (1.0 - u) * (1.0 + s * u))
