"""How far a process's hyperparameters may be off, and what that does to its intervals.

The hyperparameters of highest posterior explain few runs too well: leave-one-out looks right, and
new runs are missed by twice the sd. So variances are averaged over draws from a normal distribution
around the optimum with the curvature there (Laplace's approximation; MacKay 1992), widened, for the
posterior is flatter than its curvature says. Means stay those of the optimum.

Notation:
    log_theta: (p + 2,), see `kernel`; H: its Hessian of minus the log posterior
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from mixopt.laws.processes.kernel import (
    MEAN_VARIANCE,
    Posterior,
    Priors,
    bounds,
    covariance,
    negative_evidence,
)
from mixopt.laws.processes.moments import MANY
from mixopt.space.simplex import Array

WIDER = 1.3
"""Sds of the draws over those by curvature: of 1, 1.3 and heavier tails the one with the best
likelihood of new runs on tables for choices, at 12 and 25 runs."""
_STEP = 1e-3
_BLOCK = 1_000_000  # numbers in one block of covariances: bounds the memory
_SAMPLE = 256  # points that tell by how much averaging widens, where there are very many


def draw(Z: Array, y: Array, log_theta: Array, priors: Priors, count: int) -> Array:
    """(count, p + 2) hyperparameters around the optimum, always the same, in pairs around it."""
    q = log_theta.size
    H = np.empty((q, q))
    slope = negative_evidence(log_theta, Z, y, priors)[1]
    for i in range(q):
        moved = log_theta.copy()
        moved[i] += _STEP
        H[i] = (negative_evidence(moved, Z, y, priors)[1] - slope) / _STEP
    curvature, axes = np.linalg.eigh((H + H.T) / 2)
    # An axis has no direction of its own: without one the order of domains would change the draws.
    turned = axes.sum(axis=0) < 0
    axes = np.where(turned, -axes, axes)
    # Where the runs say nothing the prior is left; none is wider than the widest.
    curvature = np.maximum(curvature, priors.spreads(q - 2).max() ** -2)
    half = np.random.default_rng(0).standard_normal((count // 2, q))
    normal = WIDER * np.vstack([half, -half]) / np.sqrt(curvature)
    low, high = np.array(bounds(priors, q - 2)).T
    return np.asarray(np.clip(log_theta + normal @ axes.T, low, high))


@dataclass(frozen=True, eq=False)
class Drawn:
    """One metric's process under every draw, conditioned on its runs; all draws in one pass.

    Attributes:
        Z: (n, p) features of the runs. log_theta: (s, p + 2).
        inverse: (s, n, n) of the Cholesky factors of K. alpha: (s, n) K^-1 y.
    """

    Z: Array
    log_theta: Array
    inverse: Array
    alpha: Array

    @classmethod
    def condition(cls, Z: Array, y: Array, log_theta: Array) -> "Drawn":
        """The posteriors given observations y (n,) at Z."""
        each = [Posterior.condition(Z, y, theta) for theta in log_theta]
        whole = np.eye(len(Z))
        inverse = [linalg.solve_triangular(e.lower, whole, lower=True) for e in each]
        return cls(Z, log_theta, np.stack(inverse), np.stack([e.alpha for e in each]))

    def explained(self, Z: Array) -> tuple[Array, Array]:
        """(s, a) means at Z (a, p), and (s, n, a) what the runs explain: its square is variance."""
        scale = np.sqrt(5.0) * np.exp(-self.log_theta[:, None, :-2])
        A, B = Z * scale, self.Z * scale
        square = (A * A).sum(-1)[:, :, None] + (B * B).sum(-1)[:, None, :]
        r = np.sqrt(np.maximum(square - 2.0 * A @ B.transpose(0, 2, 1), 0.0))
        signal = np.exp(self.log_theta[:, -2])[:, None, None]
        cross = signal * (1.0 + r + r * r / 3.0) * np.exp(-r) + MEAN_VARIANCE
        mean = (cross @ self.alpha[:, :, None])[..., 0]
        return mean, self.inverse @ cross.transpose(0, 2, 1)

    def average(self, mean: Array, Z: Array) -> Array:
        """(a,) variance at Z (a, p), averaged over draws, around mean (a,)."""
        out = np.empty(len(Z))
        prior = np.exp(self.log_theta[:, -2]) + MEAN_VARIANCE
        block = max(1, _BLOCK // self.alpha.size)
        for i in range(0, len(Z), block):
            part = slice(i, i + block)
            means, half = self.explained(Z[part])
            variance = np.maximum(prior[:, None] - (half * half).sum(axis=1), 0.0)
            out[part] = (variance + (means - mean[part]) ** 2).mean(axis=0)
        return out


def averaged(mean: Array, variance: Array, drawn: Drawn, Z: Array) -> Array:
    """(a,) variance of the expected metric at Z (a, p), averaged over draws.

    Args:
        mean: (a,) of the optimum, around which what draws expect is counted.
        variance: (a,) of the optimum: of very many points it is widened as on a sample.
        drawn: the draws.
        Z: features of the points.
    """
    if len(Z) <= MANY:
        return drawn.average(mean, Z)
    rows = np.linspace(0, len(Z) - 1, _SAMPLE).astype(int)
    wide = drawn.average(mean[rows], Z[rows])
    return np.asarray(variance * wide.mean() / max(float(variance[rows].mean()), 1e-300))


def between(first: Posterior, drawn: Drawn, A: Array, B: Array) -> Array:
    """(a, b) covariance of the expected metric at A with that at B, averaged over draws."""
    (mean_A, half_A), (mean_B, half_B) = drawn.explained(A), drawn.explained(B)
    prior = np.mean([covariance(A, B, theta) for theta in drawn.log_theta], axis=0)
    off_A, off_B = mean_A - first.mean(A), mean_B - first.mean(B)
    known = np.einsum("sna,snb->ab", half_A, half_B) - off_A.T @ off_B
    return np.asarray(prior - known / len(mean_A))
