"""Gaussian-process regression on standardised features: likelihood, gradient, leave-one-out.

The kernel is s (1 + r + r^2 / 3) exp(-r), r^2 = 5 sum_d ((z_d - z'_d) / l_d)^2 (Matern-5/2 with a
lengthscale per feature), plus a constant for the unknown mean; observations add noise v.

Notation:
    Z: (n, p) features; y: (n,) one standardised metric, or (n, k) several under one kernel
    log_theta: (p + 2,) = [log l, log s, log v]
    K: (n, n) covariance of the observations, noise included
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy
from scipy import linalg

from mixopt.space.simplex import Array

MEAN_VARIANCE = 1.0
"""Prior variance of the constant mean, in units of the variance of the metric."""
_NOISE_FLOOR, _NOISE_CEILING = 1e-6, 2.0
_ENOUGH = 0.01  # nats
_FARTHEST, _CUTS = 2.0, 6  # a step in log theta, and how often it is cut
_LARGE = 4_000_000  # numbers in the derivatives of K at once


@dataclass(frozen=True)
class Priors:
    """Log-normal priors of the hyperparameters: (center, sd) of their logarithms.

    The lengthscale grows with sqrt p, so that typical correlations do not depend on the number of
    domains (Hvarfner et al., 2402.02229).
    """

    lengthscale: tuple[float, float] = (2.0, 1.7)
    signal: tuple[float, float] = (0.0, 1.0)
    noise: tuple[float, float] = (-5.0, 2.0)

    def centers(self, p: int) -> Array:
        """(p + 2,) centers of log_theta."""
        lengths = np.full(p, self.lengthscale[0] + 0.5 * np.log(p))
        return np.array([*lengths, self.signal[0], self.noise[0]])

    def spreads(self, p: int) -> Array:
        """(p + 2,) sds of log_theta."""
        return np.array([*np.full(p, self.lengthscale[1]), self.signal[1], self.noise[1]])


def squared(A: Array, B: Array) -> Array:
    """(a, b) squared distances of rows."""
    distances = (A * A).sum(1)[:, None] + (B * B).sum(1)[None, :] - 2.0 * (A @ B.T)
    return np.asarray(np.maximum(distances, 0.0, out=distances))


def covariance(A: Array, B: Array, log_theta: Array) -> Array:
    """(a, b) prior covariance of the expected metric at rows of A and B, constant included."""
    lengths = np.exp(log_theta[:-2])
    r = np.sqrt(5.0 * squared(A / lengths, B / lengths))
    return np.asarray(np.exp(log_theta[-2]) * (1.0 + r + r * r / 3.0) * np.exp(-r) + MEAN_VARIANCE)


def correlation(A: Array, B: Array, log_lengths: Array) -> tuple[Array, Array]:
    """(a, b) correlation of rows of A and B without the constant, and (1 + r) exp(-r) beside it."""
    lengths = np.exp(log_lengths)
    r = np.sqrt(5.0 * squared(A / lengths, B / lengths))
    decay = np.exp(-r)
    return (1.0 + r + r * r / 3.0) * decay, (1.0 + r) * decay


def by_length(G: Array, X: Array) -> Array:
    """(p,) half the sum over pairs of G (n, n) times squared differences of X (n, p).

    With G = M (1 + r) exp(-r) and X = Z / l it is 3 / 5 of the derivative by log l of half the sum
    of M * correlation.
    """
    pairs = 0.5 * (G.sum(axis=0) + G.sum(axis=1))
    return np.asarray((pairs @ X**2) - np.einsum("nd,nd->d", X, G @ X))


def negative_evidence(log_theta: Array, Z: Array, y: Array, priors: Priors) -> tuple[float, Array]:
    """Minus the log posterior of the hyperparameters, and its gradient (p + 2,).

    Of several metrics y (n, k) under one kernel, the mean evidence: one factorisation for all.
    """
    n, p = Z.shape
    columns = y.reshape(n, -1)
    metrics = columns.shape[1]
    s, v = np.exp(log_theta[-2]), np.exp(log_theta[-1])
    X = Z * np.exp(-log_theta[:-2])
    shape, slope = _correlation_of(X)
    K = s * shape
    K += MEAN_VARIANCE
    K.reshape(-1)[:: n + 1] += v + 1e-10
    lower, info = linalg.lapack.dpotrf(K.T, lower=1, clean=1, overwrite_a=1)
    if info != 0:
        return 1e10, np.zeros_like(log_theta)
    value = np.log(np.diagonal(lower)).sum()
    inverse, _ = linalg.lapack.dpotri(lower, lower=1, overwrite_c=1)  # above the diagonal 0
    alpha = linalg.blas.dsymm(1.0, inverse, columns, lower=1)
    value += 0.5 * np.vdot(columns, alpha) / metrics
    trace = np.trace(inverse) - np.vdot(alpha, alpha) / metrics
    # d value / d K = M / 2; only sums over pairs are taken, so one triangle twice is as good.
    M = 2.0 * inverse.T
    M.reshape(-1)[:: n + 1] *= 0.5
    M -= alpha @ alpha.T / metrics
    by_signal = 0.5 * s * np.vdot(M, shape)
    M *= slope
    # d shape / d log l_d = (5/3) (1 + r) exp(-r) (x_d - x'_d)^2
    lengths = (5.0 * s / 3.0) * by_length(M, X)
    gradient = np.array([*lengths, by_signal, 0.5 * v * trace])
    off = (log_theta - priors.centers(p)) / priors.spreads(p)
    return float(value + 0.5 * off @ off), gradient + off / priors.spreads(p)


def bounds(priors: Priors, p: int) -> list[tuple[float, float]]:
    """(p + 2) lowest and highest log_theta."""
    of_others = [(c - 6.0, c + 6.0) for c in priors.centers(p)[:-1]]
    return [*of_others, (float(np.log(_NOISE_FLOOR)), float(np.log(_NOISE_CEILING)))]


def _correlation_of(X: Array) -> tuple[Array, Array]:
    """`correlation` of rows of X = Z / l with each other: as few passes over (n, n) as can be."""
    size = 5.0 * np.einsum("nd,nd->n", X, X)
    r = X @ X.T
    r *= -10.0
    r += size
    r += size[:, None]
    np.sqrt(np.maximum(r, 0.0, out=r), out=r)
    decay = np.exp(-r)
    slope = r + 1.0
    slope *= decay
    r *= r
    r *= 1.0 / 3.0
    r *= decay
    r += slope
    return r, slope


def learn(Z: Array, y: Array, priors: Priors, iterations: int) -> Array:
    """(p + 2,) the hyperparameters of highest posterior, by L-BFGS from the priors' centers."""
    optimum = scipy.optimize.minimize(
        negative_evidence,
        priors.centers(Z.shape[1]),
        args=(Z, y, priors),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds(priors, Z.shape[1]),
        options={"maxiter": iterations, "maxcor": 20, "ftol": 1e-6},
    )
    return np.asarray(optimum.x)


class Learned(NamedTuple):
    """Hyperparameters log_theta (p + 2,), and their posterior covariance (p + 2, p + 2)."""

    log_theta: Array
    covariance: Array

    @classmethod
    def at(cls, log_theta: Array, Z: Array, priors: Priors) -> "Learned":
        """Some hyperparameters, with what runs at Z are expected to say of them.

        Fisher's information does not depend on the metric: F_ij = tr(K^-1 dK_i K^-1 dK_j) / 2. Of
        many runs and features, a part of the runs says it, and the others say as much each.
        """
        p = Z.shape[1]
        part = Z[: max(1, int(np.sqrt(_LARGE / (p + 2))))]
        s, v = np.exp(log_theta[-2]), np.exp(log_theta[-1])
        X = part * np.exp(-log_theta[:-2])
        shape, slope = _correlation_of(X)
        K = s * shape + MEAN_VARIANCE + (v + 1e-10) * np.eye(len(part))
        by = np.empty((p + 2, *K.shape))
        np.subtract(X.T[:, :, None], X.T[:, None, :], out=by[:p])
        by[:p] *= by[:p]
        by[:p] *= (5.0 * s / 3.0) * slope
        by[p], by[p + 1] = s * shape, v * np.eye(len(part))
        A = linalg.cho_solve(linalg.cho_factor(K), np.eye(len(part))) @ by
        told = 0.5 * A.reshape(p + 2, -1) @ A.transpose(0, 2, 1).reshape(p + 2, -1).T
        prior = np.diag(priors.spreads(p) ** -2.0)
        information = told * (len(Z) / len(part)) + prior
        return cls(log_theta, np.asarray(np.linalg.inv(information), dtype=float))


def relearn(Z: Array, y: Array, priors: Priors, steps: int, start: Learned) -> Learned:
    """`learn` for other runs or another metric, by BFGS from what was learned on such as these.

    What is known of the covariance makes few steps enough. It ends where the next would gain less
    than `_ENOUGH`.
    """
    low, high = np.array(bounds(priors, Z.shape[1])).T
    x, H = np.clip(start.log_theta, low, high), start.covariance
    value, gradient = negative_evidence(x, Z, y, priors)
    for _ in range(steps):
        held = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))
        step = np.where(held, 0.0, -H @ np.where(held, 0.0, gradient))
        if gradient @ step > -2.0 * _ENOUGH:
            break
        step *= min(1.0, _FARTHEST / np.abs(step).max())
        for _ in range(_CUTS):
            trial = np.clip(x + step, low, high)
            new, there = negative_evidence(trial, Z, y, priors)
            if new <= value + 1e-4 * gradient @ (trial - x):
                break
            step *= 0.3
        else:
            break
        H = _updated(H, trial - x, there - gradient)
        x, value, gradient = trial, new, there
    return Learned(x, H)


def _updated(H: Array, step: Array, turned: Array) -> Array:
    """The inverse curvature after a step that changed the gradient so (BFGS)."""
    along = float(step @ turned)
    if along <= 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(turned)):
        return H
    seen = H @ turned
    cross = np.outer(step, seen)
    grown = (1.0 + turned @ seen / along) * np.outer(step, step)
    return np.asarray(H + (grown - cross - cross.T) / along)


@dataclass(frozen=True, eq=False)
class Posterior:
    """One metric's process, conditioned on its runs.

    Attributes:
        Z: (n, p) features of the runs. log_theta: (p + 2,). lower: (n, n) Cholesky factor of K.
        alpha: (n,) K^-1 y.
    """

    Z: Array
    log_theta: Array
    lower: Array
    alpha: Array

    @classmethod
    def condition(cls, Z: Array, y: Array, log_theta: Array) -> "Posterior":
        """The posterior given observations y (n,) at Z."""
        K = covariance(Z, Z, log_theta)
        K[np.diag_indices(len(Z))] += np.exp(log_theta[-1]) + 1e-10
        lower = linalg.cholesky(K, lower=True, check_finite=False)
        return cls(Z, log_theta, lower, linalg.cho_solve((lower, True), y, check_finite=False))

    def mean(self, Z: Array) -> Array:
        """(a,) mean of the expected metric, exactly."""
        return np.asarray(covariance(Z, self.Z, self.log_theta) @ self.alpha)

    def moments(self, Z: Array) -> tuple[Array, Array]:
        """(a,) mean and (a,) variance of the expected metric, exactly."""
        cross = covariance(Z, self.Z, self.log_theta)
        half = linalg.solve_triangular(self.lower, cross.T, lower=True, check_finite=False)
        prior = np.exp(self.log_theta[-2]) + MEAN_VARIANCE
        return cross @ self.alpha, np.maximum(prior - (half * half).sum(axis=0), 0.0)

    def covariance(self, A: Array, B: Array) -> Array:
        """(a, b) covariance of the expected metric at A with that at B, exactly."""
        halves = [
            linalg.solve_triangular(self.lower, covariance(Z, self.Z, self.log_theta).T, lower=True)
            for Z in (A, B)
        ]
        return np.asarray(covariance(A, B, self.log_theta) - halves[0].T @ halves[1])

    def leave_out(self, groups: np.ndarray) -> tuple[Array, Array]:
        """(n,) residuals and (n,) variances with each group of rows held out, in closed form.

        With P = K^-1: e_g = P_gg^-1 alpha_g with covariance P_gg^-1 (noise included).
        """
        P = linalg.cho_solve((self.lower, True), np.eye(len(self.Z)), check_finite=False)
        residual, variance = self.alpha / np.diag(P), 1.0 / np.diag(P)
        values, counts = np.unique(groups, return_counts=True)
        for group in values[counts > 1]:
            rows = np.flatnonzero(groups == group)
            block = np.linalg.inv(P[np.ix_(rows, rows)])
            residual[rows], variance[rows] = block @ self.alpha[rows], np.diag(block)
        return residual, variance
