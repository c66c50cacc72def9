"""One metric at several scales, each on the one below: conditioning, one scale after another.

f_l(z) = c_l + a_l f_(l-1)(z) + d_l(z), see `mixopt.laws.processes.cokriging`. What is known of any
point at any scale takes one pass from the smallest scale to the largest.

Notation:
    Z: (n, p) features of runs; A: (a, p), B: (b, p) of points; y: (n,) one metric in its unit
    a: slope; level: number of a scale, 0 the smallest
References:
    Kennedy & O'Hagan 2000; Le Gratiet & Garnier 1210.0686
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from mixopt.laws.processes import kernel
from mixopt.space.simplex import Array


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


Process = Level | kernel.Posterior


def condition(
    below: Process, Z: Array, y: Array, center: float, slope: float, log_theta: Array
) -> Level:
    """The process of a metric at one more scale, given its runs there (possibly none)."""
    bare = Level(below, Z[:0], center, log_theta, slope, np.empty((0, 0)), y[:0])
    if not len(y):
        return bare
    K = covariance(bare, Z)
    K[np.diag_indices(len(Z))] += np.exp(log_theta[-1]) + 1e-10
    lower = np.asarray(np.linalg.cholesky(K), dtype=float)
    alpha = linalg.cho_solve((lower, True), y - mean(bare, Z))
    return Level(below, Z, center, log_theta, slope, lower, alpha)


def mean(process: Process, Z: Array) -> Array:
    """(n,) mean at points Z of the scale of a process, given the runs up to it."""
    return process.mean(Z) if isinstance(process, kernel.Posterior) else Climb.to(process, Z).mean


def covariance(process: Process, Z: Array) -> Array:
    """(n, n) covariance of points Z at the scale of a process, given the runs up to it."""
    return Climb.to(process, Z, Z).between


def moments(top: Process, Z: Array, level: int) -> tuple[Array, Array]:
    """(n,) mean and variance at points Z of a level (0 is the smallest), given the runs of all."""
    if isinstance(top, kernel.Posterior):
        return top.moments(Z)
    there = Climb.to(top, Z, stop_A=level)
    return there.mean, there.variance


def _chain(process: Process) -> list[Process]:
    """A process and all below it, the smallest scale first."""
    chain = [process]
    while isinstance(chain[-1], Level):
        chain.append(chain[-1].below)
    return chain[::-1]


@dataclass
class Climb:
    """What is known at points A (a, p), and of them with points B (b, p), level by level.

    One pass from the smallest scale up, so that many scales cost no more than their number. Points
    go along up to the level that they are at, and from there on learn from the runs above it.
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
        process: Process,
        A: Array,
        B: Array | None = None,
        stop_A: int | None = None,
        stop_B: int | None = None,
    ) -> "Climb":
        """From the smallest scale to `process`; A and B are at the level given, else at its own."""
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
            here._climb(
                level,
                A_goes=stop_A is None or number <= stop_A,
                B_goes=stop_B is None or number <= stop_B,
            )
            here._learn(level, start)
            start += len(level.Z)
        return here

    def _climb(self, level: Level, *, A_goes: bool, B_goes: bool) -> None:
        """To the next scale; points that do not go along stay where they are."""
        a, theta = level.slope, level.log_theta

        def step(known: Array, X: Array, V: Array, goes: tuple[bool, bool]) -> Array:
            """(x, v) covariance of points X with V, either of which may go along."""
            if all(goes):
                return np.asarray(a**2 * known + kernel.covariance(X, V, theta))
            return np.asarray(a * known if any(goes) else known)

        if A_goes:
            self.mean = level.center + a * self.mean
            self.variance = a**2 * self.variance + np.exp(theta[-2]) + kernel.MEAN_VARIANCE
        self.to_runs = step(self.to_runs, self.A, self.S, (A_goes, True))
        self.among = step(self.among, self.S, self.S, (True, True))
        self.between = step(self.between, self.A, self.B, (A_goes, B_goes))
        self.runs_to = step(self.runs_to, self.S, self.B, (True, B_goes))

    def _learn(self, level: Level, start: int) -> None:
        """What the runs of a level say of everything that is carried along."""
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
