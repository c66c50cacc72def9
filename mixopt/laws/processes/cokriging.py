"""Many cheap runs corrected by few dear ones: one process per metric and scale, each on the last.

f_l(w) = c_l + a_l f_(l-1)(w) + d_l(w): the scale below enters with a learned slope a, and d is a
process of its own for what it gets wrong (recursive co-kriging; the runs need not be nested). A
scale whose metric does not follow the one below gets a slope near 0: it is then fitted on its own.

Notation:
    Z: (n, p) features; y: (n,) one metric in units of its spread at the smallest scale
    a: slope; s: variance of d over that of the smallest scale's process; v: noise variance
References:
    Kennedy & O'Hagan 2000; Le Gratiet & Garnier 1210.0686
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import scipy
from scipy import linalg

from mixopt.laws.base import JSON, Ints, Prediction, as_mixtures, check_runs, numbers
from mixopt.laws.processes import kernel, recursion
from mixopt.laws.processes.gp import FittedGaussianProcess, GaussianProcess
from mixopt.laws.processes.gp import read as read_process
from mixopt.laws.processes.recursion import Climb, Level, Process
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

SLOPE = (1.0, 0.5)
"""Prior mean and sd of the slope: metrics of neighbouring scales mostly move alike."""
RESIDUAL = (-2.0, 2.0)
"""Prior mean and sd of log s: the smaller scale explains most of a metric, give or take."""
_NOISE_SD = 1.0  # prior sd of log v around the noise of the scale below
_ALONE = 8  # so many runs of a scale can speak for themselves


@dataclass(frozen=True)
class CoKriging:
    """Every metric at every scale that has runs; one scale is a Gaussian process.

    Args:
        process: how the smallest scale is fitted, and a larger one that does not follow it.
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
    ) -> "FittedCoKriging":
        """Fit every scale on the one below, by parameters, then tokens.

        Raises:
            InputError: see `check_runs`; the smallest scale has too few runs, or lacks a metric.
        """
        own = by_scale(check_runs(W, Y, scale), self.scales)
        return self.fit_scales([*self.earlier, *own], rng=rng)

    def fit_scales(
        self, runs: Sequence[ScaleRuns], *, rng: np.random.Generator
    ) -> "FittedCoKriging":
        """Fit every scale on the one before it.

        Args:
            runs: smallest first; scales above the first may have no runs yet.
            rng: source of randomness.

        Raises:
            InputError: the smallest scale has too few runs, or lacks a metric.
        """
        check_scales(runs, "cokriging")
        base = self.process.fit(runs[0].W, runs[0].Y, rng=rng)
        standard = units_of(base.standard, runs)
        levels: list[tuple[Level, ...]] = []
        below: tuple[Process, ...] = base.posteriors
        for here in runs[1:]:
            own: list[Level] = []
            for k, (Z, y) in enumerate(_columns(base, standard, here)):
                # What the scale below gets wrong need not vary as it does: the prior's lengths.
                lengths = self.process.priors.centers(Z.shape[1])[:-2]
                theta = np.array([*lengths, *base.log_theta[k, -2:]])
                own.append(_fit_level(below[k], Z, y, theta, self.process))
            levels.append(tuple(own))
            below = levels[-1]
        return FittedCoKriging(base, standard, tuple(runs[1:]), tuple(levels), scales_of(runs))


@dataclass(frozen=True, eq=False, repr=False)
class FittedCoKriging(Shown):
    """Every metric at every scale, each believed as far as all runs say.

    Attributes:
        base: the smallest scale's processes. standard: units of the metrics.
        runs: of every scale above it. levels: one tuple of (k,) processes per scale above it.
        scales: (s, 2) parameters and tokens, the smallest first; NaN where unknown.
    """

    base: FittedGaussianProcess
    standard: Standard
    runs: tuple[ScaleRuns, ...]
    levels: tuple[tuple[Level, ...], ...]
    scales: Array

    @property
    def top(self) -> tuple[Process, ...]:
        """(k,) processes of the largest scale."""
        return self.levels[-1] if self.levels else self.base.posteriors

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) and scales (n, 2) or (2,); the largest without one.

        Where several scales are asked for, the noise is that of the noisiest.

        Raises:
            InputError: a scale that no runs are of.
        """
        if not self.levels:
            asked(self.scales, scale, len(W), "cokriging")
            return self.base.predict(W)
        Z = self._features(W)
        mean, variance = np.empty((2, len(Z), len(self.top)))
        noise = np.zeros(len(self.top))
        for number, rows in _groups(asked(self.scales, scale, len(Z), "cokriging")):
            here = self.base.posteriors if number == 0 else self.levels[number - 1]
            for k, process in enumerate(self.top):
                mean[rows, k], variance[rows, k] = recursion.moments(process, Z[rows], number)
            noise = np.maximum(noise, [np.exp(p.log_theta[-1] / 2) for p in here])
        return self.standard.prediction(mean, np.sqrt(np.maximum(variance, 0.0)), noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd where there is one scale."""
        if not self.levels:
            asked(self.scales, scale, len(W), "cokriging")
            return self.base.mean(W)
        Z = self._features(W)
        mean = np.empty((len(Z), len(self.top)))
        for number, rows in _groups(asked(self.scales, scale, len(Z), "cokriging")):
            for k, process in enumerate(self.top):
                mean[rows, k] = recursion.moments(process, Z[rows], number)[0]
        return self.standard.backward(mean)

    def joint(
        self, A: Array, B: Array, scale_A: Array | None = None, scale_B: Array | None = None
    ) -> Array:
        """(k, a, b) posterior covariance of the expected metrics at A with those at B.

        Zero where a metric is fitted without the scales below.

        Raises:
            InputError: a scale that no runs are of.
        """
        left, right = self._features(A), self._features(B)
        covariances = np.empty((len(self.top), len(left), len(right)))
        at_A = asked(self.scales, scale_A, len(left), "cokriging")
        at_B = asked(self.scales, scale_B, len(right), "cokriging")
        for i, rows in _groups(at_A):
            for j, columns in _groups(at_B):
                for k, process in enumerate(self.top):
                    covariances[k][np.ix_(rows, columns)] = Climb.to(
                        process, left[rows], right[columns], i, j
                    ).between
        return covariances * (self.standard.spread**2)[:, None, None]

    def slopes(self) -> Array:
        """(scales - 1, k) slope of every metric on the scale below; 0 where it is not used."""
        return np.array([[p.slope for p in level] for level in self.levels]).reshape(
            len(self.levels), -1
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "cokriging",
            "base": self.base.to_dict(),
            "standard": self.standard.to_dict(),
            "scale": self.scales[0].tolist() if np.isfinite(self.scales[0]).all() else None,
            "runs": [runs.to_dict() for runs in self.runs],
            "levels": [
                {
                    "center": [p.center for p in level],
                    "slope": [p.slope for p in level],
                    "log_theta": [p.log_theta.tolist() for p in level],
                }
                for level in self.levels
            ],
        }

    def _features(self, W: Array) -> Array:
        return self.base.features(as_mixtures(W, self.base.W.shape[1]))


def read(values: JSON) -> FittedCoKriging:
    """The fitted law that `to_dict` wrote."""
    base, standard = read_process(values["base"]), Standard.read(values["standard"])
    m, k = base.W.shape[1], base.Y.shape[1]
    runs = tuple(ScaleRuns.read(x, m, k) for x in values["runs"])
    levels: list[tuple[Level, ...]] = []
    below: tuple[Process, ...] = base.posteriors
    for here, told in zip(runs, values["levels"], strict=True):
        log_theta = numbers(told["log_theta"])
        own = [
            recursion.condition(below[i], Z, y, told["center"][i], told["slope"][i], log_theta[i])
            for i, (Z, y) in enumerate(_columns(base, standard, here))
        ]
        levels.append(tuple(own))
        below = levels[-1]
    first = (np.nan, np.nan) if values["scale"] is None else tuple(values["scale"])
    scales = np.vstack([[first], scales_of(runs).reshape(-1, 2)])
    return FittedCoKriging(base, standard, runs, tuple(levels), scales)


def _columns(
    base: FittedGaussianProcess, standard: Standard, runs: ScaleRuns
) -> Iterator[tuple[Array, Array]]:
    """Features and standardised values of the runs that have a metric, one metric at a time."""
    Z = base.features(runs.W) if len(runs.W) else np.empty((0, base.features.center.size))
    T, seen = standard.forward(runs.Y), np.isfinite(runs.Y)
    for k in range(T.shape[1]):
        yield Z[seen[:, k]], T[seen[:, k], k]


def _groups(numbers: Ints) -> Iterator[tuple[int, Ints]]:
    """Every scale that is asked for, and the rows that ask for it."""
    for number in np.unique(numbers):
        yield int(number), np.flatnonzero(numbers == number)


def _fit_level(below: Process, Z: Array, y: Array, theta: Array, law: GaussianProcess) -> Level:
    """The process of one metric on the scale below, or on its own where that says more."""
    center = float(np.mean(y - recursion.mean(below, Z))) if len(y) else 0.0
    noise = below.log_theta[-1]
    fixed = (y, np.empty((0, 0)))
    if len(y):
        fixed = (recursion.mean(below, Z), recursion.covariance(below, Z))
    shape = np.exp(-theta[-2]) * (kernel.covariance(Z, Z, theta) - kernel.MEAN_VARIANCE)
    x = np.array([SLOPE[0], RESIDUAL[0] + theta[-2], noise])
    middle = x.copy()
    spread = np.array([SLOPE[1], RESIDUAL[1], _NOISE_SD])
    value = np.inf
    if len(y) >= 2:
        y0 = y - center

        def loss(x: Array) -> float:
            K = x[0] ** 2 * fixed[1] + np.exp(x[1]) * shape + kernel.MEAN_VARIANCE
            K[np.diag_indices(len(y))] += np.exp(x[2]) + 1e-10
            rest = y0 - x[0] * fixed[0]
            try:
                lower = np.linalg.cholesky(K)
            except np.linalg.LinAlgError:
                return 1e10
            half = linalg.solve_triangular(lower, rest, lower=True)
            prior = 0.5 * (((x - middle) / spread) ** 2).sum()
            return float(0.5 * half @ half + np.log(np.diag(lower)).sum() + prior)

        bounds = [(-2.0, 4.0), (-12.0, 4.0), (np.log(1e-6), np.log(4.0))]
        starts = [x, np.array([0.2, theta[-2], noise])]
        minima = [
            scipy.optimize.minimize(loss, s, method="L-BFGS-B", bounds=bounds) for s in starts
        ]
        best = min(minima, key=lambda f: float(f.fun))
        x, value = best.x, float(best.fun)
    if len(y) >= _ALONE:
        own = kernel.learn(Z, y - y.mean(), law.priors, law.iterations)
        # Both evidences hold their priors, whose constants are left out in both.
        if kernel.negative_evidence(own, Z, y - y.mean(), law.priors)[0] < value:
            return recursion.condition(below, Z, y, float(y.mean()), 0.0, own)
    log_theta = np.array([*theta[:-2], x[1], x[2]])
    return recursion.condition(below, Z, y, center, float(x[0]), log_theta)
