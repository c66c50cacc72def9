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
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.optimize import minimize

from mixopt.errors import InputError
from mixopt.laws.base import Prediction
from mixopt.laws.processes import kernel
from mixopt.laws.processes.gp import FittedGaussianProcess, GaussianProcess
from mixopt.space.simplex import Array

BIAS = (-1.0, 1.5)
"""Prior mean and sd of the log of the bias' variance over that of the common part."""


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

    def halves(self, Z: Array, s: float) -> tuple[Array, Array]:
        """(a, n) covariance with the runs of points at place s, and (n, a) its whitened half."""
        cross = covariance(Z, np.full(len(Z), s), self.Z, self.s, self.theta)
        return cross, np.asarray(linalg.solve_triangular(self.lower, cross.T, lower=True))

    def moments(self, Z: Array, s: float) -> tuple[Array, Array]:
        """(a,) mean and variance of the expected metric at place s."""
        cross, half = self.halves(Z, s)
        prior = np.exp(self.theta[-3]) * (1.0 + np.exp(self.theta[-2]) * _fading(s, s))
        prior += 2.0 * kernel.MEAN_VARIANCE
        return cross @ self.alpha, np.maximum(prior - (half * half).sum(axis=0), 0.0)


@dataclass(frozen=True, eq=False)
class FittedTruncated:
    """Every metric at every scale; predicts the largest.

    Attributes:
        base: of the smallest scale alone; its features and units are used.
        processes: (k,) of all scales. places: of the scales, from 0 to 1.
        centers: (scales, k) level of a metric at a scale, in units.
    """

    base: FittedGaussianProcess
    processes: tuple[Process, ...]
    places: Array
    centers: Array

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at the largest scale."""
        del scale
        Z = self.base.features(W)
        found = [p.moments(Z, 1.0) for p in self.processes]
        mean, variance = (np.column_stack(parts) for parts in zip(*found, strict=True))
        noise = np.array([np.exp(p.theta[-1] / 2) for p in self.processes])
        return self.base.standard.prediction(mean + self.centers[-1], np.sqrt(variance), noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        del scale
        return self.expected(W, 0)

    def expected(self, W: Array, below: int) -> Array:
        """(n, k) expected metrics at mixtures W, `below` scales under the largest."""
        Z, s = self.base.features(W), np.full(len(W), self.places[-1 - below])
        mean = np.column_stack(
            [covariance(Z, s, p.Z, p.s, p.theta) @ p.alpha for p in self.processes]
        )
        standard = self.base.standard
        return np.asarray(standard.center + (mean + self.centers[-1 - below]) * standard.spread)

    def joint(self, A: Array, B: Array, below: int = 0) -> Array:
        """(k, a, b) posterior covariance of A at the largest scale and B `below` it."""
        left, right, s = self.base.features(A), self.base.features(B), self.places[-1 - below]
        found = []
        for p in self.processes:
            prior = covariance(left, np.ones(len(A)), right, np.full(len(B), s), p.theta)
            found.append(prior - p.halves(left, 1.0)[1].T @ p.halves(right, s)[1])
        return np.asarray(np.stack(found) * (self.base.standard.spread**2)[:, None, None])

    def outcome_variance(self, W: Array, below: int) -> Array:
        """(k, n) variance of one new run at mixtures W, `below` scales under the largest."""
        Z, s = self.base.features(W), self.places[-1 - below]
        found = [p.moments(Z, s)[1] + np.exp(p.theta[-1]) for p in self.processes]
        return np.asarray(np.stack(found) * (self.base.standard.spread**2)[:, None])

    def to_dict(self) -> dict[str, object]:
        """A process over scales is fitted anew when it is needed.

        Raises:
            InputError: always.
        """
        raise InputError("a process over scales is not written to JSON; fit it to the runs again")


def fit_truncated(
    runs: Sequence[tuple[Array, Array]], law: GaussianProcess, *, rng: np.random.Generator
) -> FittedTruncated:
    """Fit all scales at once.

    Departs from BoTorch: scales lie evenly between 0 and 1 whatever their size, the power of the
    kernel is 1, and every scale has a level of its own.

    Args:
        runs: mixtures (n, m) and metrics (n, k) of every scale, the smallest first; scales above
            it may have no runs yet.
        law: its features, priors, and how many runs and steps teach hyperparameters.
        rng: source of randomness.

    Raises:
        InputError: the smallest scale has too few runs.
    """
    base = law.fit(*runs[0], rng=rng)
    places = np.linspace(0.0, 1.0, len(runs)) if len(runs) > 1 else np.ones(1)
    unit = np.where(base.standard.flat, 1.0, base.standard.spread)
    centers, parts = np.zeros((len(runs), len(unit))), []
    for level, (W, Y) in enumerate(runs):
        if not len(W):
            continue
        y = (Y - base.standard.center) / unit
        if level:  # by what the smallest scale expects of the same mixtures
            rest = y - (base.mean(W) - base.standard.center) / unit
            known = np.isfinite(rest).any(axis=0)
            centers[level, known] = np.nanmean(rest[:, known], axis=0)
        parts.append((base.features(W), np.full(len(W), places[level]), y - centers[level]))
    Z, s, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = rng.permutation(len(Z))
    found = []
    for k in range(y.shape[1]):
        seen = np.isfinite(y[:, k])
        # Runs of the dearer scales are few: all of them teach.
        rows = sorted((i for i in order if seen[i]), key=lambda i: s[i] == places[0])
        theta = _learn(Z, s, y[:, k], rows[: law.subset], law, base.log_theta[k])
        found.append(_condition(Z[seen], s[seen], y[seen, k], theta))
    return FittedTruncated(base, tuple(found), places, centers)


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
    found = minimize(
        negative_evidence,
        x,
        args=(Z[taken], s[taken], y[taken], law.priors),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": law.iterations, "maxcor": 20, "ftol": 1e-6},
    )
    return np.asarray(found.x)


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
