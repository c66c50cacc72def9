"""Ridge regression with leave-one-out error in closed form.

Notation:
    Z: (n, p) centred features; y: (n,) one metric; b: (p,) slopes; a: intercept (not penalised)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import JSON, numbers
from mixopt.space.simplex import Array


@dataclass(frozen=True, eq=False)
class LinearFit:
    """Coefficients (p + 1,) with the intercept first, their covariance, and the residual sd."""

    coefficients: Array
    covariance: Array
    noise: float
    loo: Array

    def moments(self, Z: Array) -> tuple[Array, Array]:
        """(a,) mean and (a,) variance of the expected metric at Z (a, p)."""
        X = np.column_stack([np.ones(len(Z)), Z])
        return X @ self.coefficients, np.maximum(((X @ self.covariance) * X).sum(axis=1), 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values (without the leave-one-out residuals)."""
        return {
            "coefficients": self.coefficients.tolist(),
            "covariance": self.covariance.tolist(),
            "noise": self.noise,
        }

    @classmethod
    def read(cls, values: JSON) -> "LinearFit":
        """What `to_dict` wrote."""
        return cls(
            numbers(values["coefficients"]),
            numbers(values["covariance"]),
            float(values["noise"]),
            np.zeros(0),
        )


def fit_linear(Z: Array, y: Array, ridges: tuple[float, ...], groups: NDArray[Any]) -> LinearFit:
    """The ridge of least leave-one-out error; rows of one group are held out together."""
    X = np.column_stack([np.ones(len(Z)), Z])
    penalty = np.ones(X.shape[1])
    penalty[0] = 0.0
    fits = [_fit(X, y, value * penalty, groups) for value in ridges]
    return min(fits, key=lambda fit: float((fit.loo**2).sum()))


def _fit(X: Array, y: Array, penalty: Array, groups: NDArray[Any]) -> LinearFit:
    inverse = np.linalg.inv(X.T @ X + np.diag(penalty + 1e-9))
    G = X @ inverse
    coefficients = G.T @ y
    residual = y - X @ coefficients
    hat = (G * X).sum(axis=1)
    loo = residual / (1.0 - np.minimum(hat, 0.99))
    labels, counts = np.unique(groups, return_counts=True)
    for label in labels[counts > 1]:
        rows = np.flatnonzero(groups == label)
        left = np.eye(rows.size) * 1.001 - G[rows] @ X[rows].T  # .001: saturated groups
        loo[rows] = np.linalg.solve(left, residual[rows])
    n = len(y)
    noise = np.sqrt((residual @ residual) / max(n - hat.sum(), 0.3 * n))
    noise = max(noise, 0.5 * float(np.sqrt((loo @ loo) / n)))
    return LinearFit(coefficients, inverse * noise**2, float(noise), loo)
