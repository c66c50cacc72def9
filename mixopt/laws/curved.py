"""Least squares for the exponential law, for many metrics at once.

The law c + k exp(a.z) is written with slopes and a curvature,

    f(z) = c + h(u),  u = beta.z,  h(u) = (exp(kappa u) - 1) / kappa,

the same family (k = 1 / kappa, a = kappa beta), which passes smoothly through the linear model
at kappa = 0 to laws that saturate upwards (kappa < 0, for metrics where higher is better). A ridge
on beta then means the same whatever the curvature.

Notation:
    Z: (n, p) standardised features; y: (b, n) standardised metrics, 0 where missing
    seen: (b, n) 1 where measured, else 0; ridge: (b,) penalty of |beta|^2
    theta: (b, p + 2) = [c, beta, kappa]; J: (b, n, p + 2) derivatives of f
"""

from dataclasses import dataclass

import numpy as np

from mixopt.space.simplex import Array

CURVATURE_PENALTY = 0.02
"""Penalty of kappa^2 in units of the variance of a metric, to which the ridge is added: with few
runs a free curvature explodes outside them (METHODS 11.1: few runs want a strong ridge)."""
_LIMIT = 30.0  # |kappa u| beyond this is clipped: exp(30) is far outside any data


def curve(Z: Array, theta: Array, limit: Array | None = None) -> Array:
    """(b, n) values f of the law; beyond kappa u = `limit` (b,) it goes on as its tangent.

    An exponential that few runs have bent explodes outside them; its tangent does not, and keeps
    the law convex.
    """
    u = theta[:, 1:-1] @ Z.T
    return np.asarray(theta[:, :1] + _bend(u, theta[:, -1:], limit)[0])


def slopes(Z: Array, theta: Array, limit: Array | None = None) -> Array:
    """(b, n, p + 2) derivatives J of f by theta."""
    u = theta[:, 1:-1] @ Z.T
    _, by_u, by_kappa = _bend(u, theta[:, -1:], limit)
    J = np.empty((*u.shape, Z.shape[1] + 2))
    J[..., 0] = 1.0
    np.multiply(by_u[..., None], Z, out=J[..., 1:-1])
    J[..., -1] = by_kappa
    return J


def _bend(u: Array, kappa: Array, limit: Array | None) -> tuple[Array, Array, Array]:
    """h(u) and its derivatives by u and by kappa (the latter without the tangent)."""
    top = np.full((len(u), 1), _LIMIT) if limit is None else limit[:, None]
    x = np.clip(kappa * u, -_LIMIT, top)
    beyond = np.where(kappa * u > top, u - top / np.where(kappa == 0, 1.0, kappa), 0.0)
    u = u - beyond
    small = np.abs(x) < 1e-3
    safe = np.where(small, 1.0, x)
    e = np.exp(x)
    first = np.where(small, 1.0 + x / 2 + x * x / 6, np.expm1(safe) / safe)
    second = np.where(small, 0.5 + x / 3, (safe * e - np.expm1(safe)) / safe**2)
    return u * first + e * beyond, e, u * u * second


@dataclass(frozen=True, eq=False)
class Problem:
    """Penalised least squares for b metrics over shared features (see Notation)."""

    Z: Array
    y: Array
    seen: Array

    def penalty(self, ridge: Array) -> Array:
        """(b, p + 2) diagonal of the penalty."""
        p = self.Z.shape[1]
        spread = np.full((len(self.y), p + 2), 1e-9)
        spread[:, 1:-1] += ridge[:, None]
        spread[:, -1] = CURVATURE_PENALTY + ridge
        return spread

    def loss(self, theta: Array, ridge: Array) -> Array:
        """(b,) penalised sum of squares."""
        residual = (self.y - curve(self.Z, theta)) * self.seen
        fit = (residual**2).sum(axis=1) + (self.penalty(ridge) * theta**2).sum(axis=1)
        return np.asarray(fit)

    def normal(self, theta: Array, ridge: Array) -> tuple[Array, Array, Array]:
        """J (b, n, p+2) with unseen rows zero, J'J + penalty, and residuals (b, n)."""
        J = slopes(self.Z, theta)
        J *= self.seen[..., None]
        A = J.transpose(0, 2, 1) @ J
        index = np.arange(A.shape[1])
        A[:, index, index] += self.penalty(ridge)
        return J, A, (self.y - curve(self.Z, theta)) * self.seen

    def solve(self, theta: Array, ridge: Array, iterations: int) -> Array:
        """Levenberg-Marquardt steps from theta (b, p + 2); every accepted step lowers the loss."""
        theta, damping = theta.copy(), np.full(len(theta), 1e-3)
        loss = self.loss(theta, ridge)
        index = np.arange(theta.shape[1])
        active = np.ones(len(theta), dtype=bool)
        for _ in range(iterations):
            rows = np.flatnonzero(active)
            if not rows.size:
                break
            part = Problem(self.Z, self.y[rows], self.seen[rows])
            J, A, residual = part.normal(theta[rows], ridge[rows])
            gradient = (residual[:, None, :] @ J)[:, 0] - part.penalty(ridge[rows]) * theta[rows]
            A[:, index, index] *= 1.0 + damping[rows, None]
            trial = theta[rows] + np.linalg.solve(A, gradient[..., None])[..., 0]
            new = part.loss(trial, ridge[rows])
            better = new < loss[rows]
            gain = loss[rows] - new
            theta[rows[better]] = trial[better]
            active[rows[better & (gain < 1e-6 * (1e-3 + loss[rows]))]] = False
            loss[rows[better]] = new[better]
            damping[rows] = np.where(better, damping[rows] / 5, damping[rows] * 8)
            active[rows[damping[rows] > 1e6]] = False
        return theta

    def start(self, kappa: float, ridge: Array) -> Array:
        """(b, p + 2): the linear ridge solution bent by `kappa`."""
        b, p = len(self.y), self.Z.shape[1]
        flat = np.zeros((b, p + 2))
        J, A, residual = self.normal(flat, ridge)
        linear = np.linalg.solve(A[:, :-1, :-1], (residual[:, None, :] @ J)[:, 0, :-1, None])
        flat[:, :-1] = linear[..., 0]
        flat[:, -1] = kappa
        return flat


def leave_out(J: Array, A: Array, residual: Array, groups: np.ndarray) -> tuple[Array, Array]:
    """Residuals with each group of rows held out, in the linearised model, and the hat trace.

    For least squares e_(g) = (I - H_gg)^-1 e_g with H = J A^-1 J'; exact where the law is linear.

    Args:
        J: (b, n, q) derivatives at the solution.
        A: (b, q, q) normal matrix with its penalty.
        residual: (b, n) at the solution.
        groups: (n,) rows of one group (replicates of a mixture) are held out together.

    Returns:
        (b, n) held-out residuals and (b,) effective numbers of parameters.
    """
    G = np.linalg.solve(A, J.transpose(0, 2, 1)).transpose(0, 2, 1)  # (b, n, q) = J A^-1
    hat = (G * J).sum(axis=2)
    out = residual / (1.0 - np.minimum(hat, 0.99))
    values, counts = np.unique(groups, return_counts=True)
    for group in values[counts > 1]:
        rows = np.flatnonzero(groups == group)
        H = G[:, rows] @ J[:, rows].transpose(0, 2, 1)
        left = np.eye(rows.size) * 1.001 - H  # the .001 keeps saturated groups solvable
        out[:, rows] = np.linalg.solve(left, residual[:, rows, None])[..., 0]
    return out, hat.sum(axis=1)
