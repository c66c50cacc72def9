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

SLOPE = (1.0, 0.5)
"""Prior mean and sd of the slope: metrics of neighbouring scales mostly move alike."""
RESIDUAL = (-2.0, 2.0)
"""Prior mean and sd of log s: the smaller scale explains most of a metric, give or take."""
_NOISE_SD = 1.0  # prior sd of log v around the noise of the scale below
_ALONE = 8  # so many runs of a scale can speak for themselves


@dataclass(frozen=True, eq=False)
class Level:
    """One metric at one scale above the smallest.

    Attributes:
        below: the process of the scale below.
        Z: (n, p) features of the runs here, possibly none. center: of y.
        log_theta: (p + 2,) of the own process d, its noise last. slope: a.
        lower: (n, n) Cholesky factor of the prior covariance of y. alpha: (n,).
    """

    below: "kernel.Posterior | Level"
    Z: Array
    center: float
    log_theta: Array
    slope: float
    lower: Array
    alpha: Array


@dataclass(frozen=True, eq=False)
class FittedCoKriging:
    """Every metric at every scale; predicts the largest.

    Attributes:
        base: the smallest scale's processes.
        levels: one tuple of (k,) processes per scale above, in order.
    """

    base: FittedGaussianProcess
    levels: tuple[tuple[Level, ...], ...] = ()

    @property
    def top(self) -> tuple[Level | kernel.Posterior, ...]:
        """(k,) processes of the largest scale."""
        return self.levels[-1] if self.levels else self.base.posteriors

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at the largest scale."""
        del scale
        Z = self.base.features(W)
        mean = np.column_stack([_mean(p, Z) for p in self.top])
        variance = np.column_stack([_variance(p, Z) for p in self.top])
        noise = np.array([np.exp(p.log_theta[-1] / 2) for p in self.top])
        return self.base.standard.prediction(mean, np.sqrt(np.maximum(variance, 0.0)), noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        if not self.levels:
            return self.base.mean(W, scale)
        Z = self.base.features(W)
        mean = np.column_stack([_mean(p, Z) for p in self.top])
        return self.base.standard.center + mean * self.base.standard.spread

    def joint(self, A: Array, B: Array, below: int = 0) -> Array:
        """(k, a, b) posterior covariance of A at the largest scale and B `below` scales under it.

        Zero where a metric is fitted without the scales below.
        """
        left, right = self.base.features(A), self.base.features(B)
        units = (self.base.standard.spread**2)[:, None, None]
        return np.asarray(units * np.stack([_joint(p, left, right, below) for p in self.top]))

    def outcome_variance(self, W: Array, below: int) -> Array:
        """(k, n) variance of one new run at mixtures W, `below` scales under the largest."""
        Z = self.base.features(W)
        levels: list[tuple[Level | kernel.Posterior, ...]] = [self.base.posteriors, *self.levels]
        found = [_variance(p, Z) + np.exp(p.log_theta[-1]) for p in levels[-1 - below]]
        return np.asarray(np.stack(found) * (self.base.standard.spread**2)[:, None])

    def expected(self, W: Array, below: int) -> Array:
        """(n, k) expected metrics at mixtures W, `below` scales under the largest."""
        Z = self.base.features(W)
        levels: list[tuple[Level | kernel.Posterior, ...]] = [self.base.posteriors, *self.levels]
        found = np.column_stack([_mean(p, Z) for p in levels[-1 - below]])
        return np.asarray(self.base.standard.center + found * self.base.standard.spread)

    def slopes(self) -> Array:
        """(scales - 1, k) slope of every metric on the scale below; 0 where it is not used."""
        return np.array([[p.slope for p in level] for level in self.levels]).reshape(
            len(self.levels), -1
        )

    def to_dict(self) -> dict[str, object]:
        """A process over scales is fitted anew when it is needed.

        Raises:
            InputError: always.
        """
        raise InputError("a process over scales is not written to JSON; fit it to the runs again")


def fit_cokriging(
    runs: Sequence[tuple[Array, Array]], law: GaussianProcess, *, rng: np.random.Generator
) -> FittedCoKriging:
    """Fit every scale on the one below, smallest first.

    Args:
        runs: mixtures (n, m) and metrics (n, k) of every scale; scales above the first may have
            no runs yet.
        law: how the smallest scale is fitted, and a larger one that does not follow it.
        rng: source of randomness.

    Raises:
        InputError: the smallest scale has too few runs.
    """
    base = law.fit(*runs[0], rng=rng)
    unit = np.where(base.standard.flat, 1.0, base.standard.spread)
    levels: list[tuple[Level, ...]] = []
    below: tuple[Level | kernel.Posterior, ...] = base.posteriors
    for W, Y in runs[1:]:
        Z = base.features(W) if len(W) else np.empty((0, base.features.center.size))
        own: list[Level] = []
        for k, process in enumerate(below):
            seen = np.isfinite(Y[:, k]) if len(W) else np.zeros(0, dtype=bool)
            y = (Y[seen, k] - base.standard.center[k]) / unit[k]
            # What the scale below gets wrong need not vary as it does: the prior's lengthscales.
            theta = np.array([*law.priors.centers(Z.shape[1])[:-2], *base.log_theta[k, -2:]])
            own.append(_fit_level(process, Z[seen], y, theta, law))
        levels.append(tuple(own))
        below = levels[-1]
    return FittedCoKriging(base, tuple(levels))


def _fit_level(
    below: Level | kernel.Posterior, Z: Array, y: Array, theta: Array, law: GaussianProcess
) -> Level:
    """The process of one metric on the scale below, or on its own where that says more."""
    center = float(np.mean(y - _mean(below, Z))) if len(y) else 0.0
    noise = below.log_theta[-1]
    fixed = (_mean(below, Z), _joint(below, Z, Z, 0)) if len(y) else (y, np.empty((0, 0)))
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
        found = [minimize(loss, s, method="L-BFGS-B", bounds=bounds) for s in starts]
        best = min(found, key=lambda f: float(f.fun))
        x, value = best.x, float(best.fun)
    if len(y) >= _ALONE:
        own = kernel.learn(Z, y - y.mean(), law.priors, law.iterations)
        # Both evidences hold their priors, whose constants are left out in both.
        if kernel.negative_evidence(own, Z, y - y.mean(), law.priors)[0] < value:
            return _condition(below, Z, y, float(y.mean()), 0.0, own)
    log_theta = np.array([*theta[:-2], x[1], x[2]])
    return _condition(below, Z, y, center, float(x[0]), log_theta)


def _condition(
    below: Level | kernel.Posterior,
    Z: Array,
    y: Array,
    center: float,
    slope: float,
    log_theta: Array,
) -> Level:
    bare = Level(below, Z[:0], center, log_theta, slope, np.empty((0, 0)), y[:0])
    if not len(y):
        return bare
    K = _joint(bare, Z, Z, 0)
    K[np.diag_indices(len(Z))] += np.exp(log_theta[-1]) + 1e-10
    lower = np.asarray(np.linalg.cholesky(K), dtype=float)
    alpha = linalg.cho_solve((lower, True), y - _mean(bare, Z))
    return Level(below, Z, center, log_theta, slope, lower, alpha)


def _mean(process: Level | kernel.Posterior, Z: Array) -> Array:
    if isinstance(process, kernel.Posterior):
        return process.mean(Z)
    return _Climb.to(process, Z).mean


def _variance(process: Level | kernel.Posterior, Z: Array) -> Array:
    if isinstance(process, kernel.Posterior):
        return process.moments(Z)[1]
    return np.maximum(_Climb.to(process, Z).variance, 0.0)


def _joint(process: Level | kernel.Posterior, A: Array, B: Array, level: int) -> Array:
    """Posterior covariance of A here with B `level` scales below."""
    chain = _chain(process)
    if level >= len(chain):
        return np.zeros((len(A), len(B)))
    return _Climb.to(process, A, B, len(chain) - 1 - level).between


def _chain(process: Level | kernel.Posterior) -> list[Level | kernel.Posterior]:
    """A process and all below it, the smallest scale first."""
    found = [process]
    while isinstance(found[-1], Level):
        found.append(found[-1].below)
    return found[::-1]


@dataclass
class _Climb:
    """What is known at points A (a, p), and of them with points B (b, p), level by level.

    One pass from the smallest scale up, so that many scales cost no more than their number.
    S (s, p) are the runs of all levels: everything that is conditioned on later is carried along.

    Attributes:
        mean, variance: (a,) of A. to_runs: (a, s) of A with S; among: (s, s) of S with itself.
        between: (a, b) of A with B; runs_to: (s, b) of S with B.
    """

    A: Array
    B: Array
    S: Array
    mean: Array
    variance: Array
    to_runs: Array
    among: Array
    between: Array
    runs_to: Array

    @classmethod
    def to(
        cls,
        process: Level | kernel.Posterior,
        A: Array,
        B: Array | None = None,
        stop: int | None = None,
    ) -> "_Climb":
        """From the smallest scale to `process`; B stays at level `stop` (0 is the smallest)."""
        base, *levels = _chain(process)
        assert isinstance(base, kernel.Posterior)
        S = np.vstack([A[:0], *(level.Z for level in levels if isinstance(level, Level))])
        points = A[:0] if B is None else B
        theta = base.log_theta
        cross = [kernel.covariance(X, base.Z, theta) for X in (A, S, points)]
        of_A, of_S, of_B = (
            linalg.solve_triangular(base.lower, part.T, lower=True, check_finite=False)
            for part in cross
        )
        prior = np.exp(theta[-2]) + kernel.MEAN_VARIANCE
        here = cls(
            A=A,
            B=points,
            S=S,
            mean=np.asarray(cross[0] @ base.alpha),
            variance=np.asarray(prior - (of_A * of_A).sum(axis=0)),
            to_runs=kernel.covariance(A, S, theta) - of_A.T @ of_S,
            among=kernel.covariance(S, S, theta) - of_S.T @ of_S,
            between=kernel.covariance(A, points, theta) - of_A.T @ of_B,
            runs_to=kernel.covariance(S, points, theta) - of_S.T @ of_B,
        )
        start = 0
        for number, level in enumerate(levels, start=1):
            assert isinstance(level, Level)
            here._climb(level, start, follows=stop is None or number <= stop)
            start += len(level.Z)
        return here

    def _climb(self, level: Level, start: int, *, follows: bool) -> None:
        """To the next scale; B comes along while it `follows`, else it stays where it is."""
        a, theta = level.slope, level.log_theta
        self.mean = level.center + a * self.mean
        self.variance = a**2 * self.variance + np.exp(theta[-2]) + kernel.MEAN_VARIANCE
        self.to_runs = a**2 * self.to_runs + kernel.covariance(self.A, self.S, theta)
        self.among = a**2 * self.among + kernel.covariance(self.S, self.S, theta)
        if follows:
            self.between = a**2 * self.between + kernel.covariance(self.A, self.B, theta)
            self.runs_to = a**2 * self.runs_to + kernel.covariance(self.S, self.B, theta)
        else:
            self.between, self.runs_to = a * self.between, a * self.runs_to
        if not len(level.Z):
            return
        own = slice(start, start + len(level.Z))
        self.mean = self.mean + self.to_runs[:, own] @ level.alpha
        of_A, of_S, of_B = (
            linalg.solve_triangular(level.lower, part, lower=True, check_finite=False)
            for part in (self.to_runs[:, own].T, self.among[own], self.runs_to[own])
        )
        self.variance = self.variance - (of_A * of_A).sum(axis=0)
        self.to_runs = self.to_runs - of_A.T @ of_S
        self.between = self.between - of_A.T @ of_B
        self.runs_to = self.runs_to - of_S.T @ of_B
        self.among = self.among - of_S.T @ of_S
