"""Scheffe's quadratic mixture polynomial with a lasso on the interactions (2608.23922).

    y = sum_i b_i w_i + sum_{i<j} b_ij w_i w_j

Without selection of interactions this law is poor (METHODS 11.1). The lasso is solved by
accelerated proximal steps on the Gram matrix; its strength is chosen by held-out mixtures, and the
terms that it keeps are fitted again with a light ridge.

Notation:
    W: (n, m); X: (n, p) products of pairs, standardised; y: (n,) one standardised metric
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixopt.laws.base import (
    JSON,
    Ints,
    Prediction,
    as_mixtures,
    check_runs,
    numbers,
    one_scale,
)
from mixopt.laws.folds import group_folds
from mixopt.laws.linear import LinearFit, fit_linear
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

_PATH = (
    0.5,
    0.2,
    0.1,
    0.05,
    0.02,
    0.01,
    0.005,
    0.002,
)  # of the smallest penalty that keeps no term
_RIDGES = (1e-3, 1e-1, 1.0, 10.0)
_STEPS = 300


@dataclass(frozen=True)
class Scheffe:
    """Linear terms are always kept, interactions by lasso.

    Args:
        folds: that choose the penalty.
        most: interactions at most, as a share of the runs.
    """

    folds: int = 5
    most: float = 0.33

    takes_scales: ClassVar[bool] = False

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedScheffe":
        """Fit every metric.

        Raises:
            InputError: see `check_runs`; or runs of several scales.
        """
        runs = one_scale(check_runs(W, Y, scale), "scheffe")
        standard = Standard.learn(runs.Y)
        T = standard.forward(runs.Y)
        pairs = _pairs(runs.W)
        center, spread = pairs.mean(axis=0), pairs.std(axis=0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        X = (pairs - center) / spread
        fold = group_folds(runs.groups, self.folds, rng)
        kept, fits = [], []
        for j in range(T.shape[1]):
            seen = np.isfinite(runs.Y[:, j])
            terms = self._choose(runs.W[seen], X[seen], T[seen, j], fold[seen])
            design = np.hstack([runs.W[seen], X[seen][:, terms]])
            fits.append(fit_linear(design, T[seen, j], _RIDGES, runs.groups[seen]))
            kept.append(terms)
        return FittedScheffe(standard, center, spread, tuple(kept), tuple(fits), runs.W.shape[1])

    def _choose(self, W: Array, X: Array, y: Array, fold: Ints) -> Ints:
        """Interactions that the best penalty keeps."""
        score = np.zeros(len(_PATH))
        for number in np.unique(fold):
            out = fold == number
            if (~out).sum() < 3:
                continue
            paths = _lasso_path(*_residuals(W[~out], X[~out], y[~out]))
            for i, b in enumerate(paths):
                # Partial out the linear terms with the training rows' coefficients.
                rest = _least_squares(W[~out], np.column_stack([y[~out], X[~out] @ b]))
                linear = W[out] @ (rest[:, 0] - rest[:, 1])
                score[i] += ((y[out] - linear - X[out] @ b) ** 2).sum()
        b = _lasso_path(*_residuals(W, X, y))[int(score.argmin())]
        order = np.argsort(-np.abs(b))[: max(1, int(self.most * len(y)))]
        return np.asarray(np.sort(order[np.abs(b[order]) > 0]))


@dataclass(frozen=True, eq=False, repr=False)
class FittedScheffe(Shown):
    """Linear terms and the interactions kept per metric."""

    standard: Standard
    center: Array
    spread: Array
    kept: tuple[Ints, ...]
    fits: tuple[LinearFit, ...]
    domains: int

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m); `scale` is not used."""
        del scale
        w = as_mixtures(W, self.domains)
        X = (_pairs(w) - self.center) / self.spread
        moments = [
            fit.moments(np.hstack([w, X[:, terms]]))
            for fit, terms in zip(self.fits, self.kept, strict=True)
        ]
        mean, variance = (np.column_stack(part) for part in zip(*moments, strict=True))
        noise = np.array([fit.noise for fit in self.fits])
        return self.standard.prediction(mean, np.sqrt(variance), noise)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "scheffe",
            "standard": self.standard.to_dict(),
            "center": self.center.tolist(),
            "spread": self.spread.tolist(),
            "kept": [terms.tolist() for terms in self.kept],
            "fits": [fit.to_dict() for fit in self.fits],
            "domains": self.domains,
        }


def read(values: JSON) -> FittedScheffe:
    """The fitted law that `to_dict` wrote."""
    return FittedScheffe(
        Standard.read(values["standard"]),
        numbers(values["center"]),
        numbers(values["spread"]),
        tuple(np.array(terms, dtype=int) for terms in values["kept"]),
        tuple(LinearFit.read(fit) for fit in values["fits"]),
        int(values["domains"]),
    )


def _pairs(W: Array) -> Array:
    """(n, m (m - 1) / 2) products of two weights."""
    first, second = np.triu_indices(W.shape[1], 1)
    return np.asarray(W[:, first] * W[:, second])


def _least_squares(W: Array, targets: Array) -> Array:
    """(m, t) coefficients of the linear terms, with a whiff of ridge for unused domains."""
    gram = W.T @ W + 1e-6 * np.eye(W.shape[1])
    return np.asarray(np.linalg.solve(gram, W.T @ targets), dtype=float)


def _residuals(W: Array, X: Array, y: Array) -> tuple[Array, Array]:
    """X and y less what the linear terms explain."""
    both = np.column_stack([X, y])
    rest = both - W @ _least_squares(W, both)
    return rest[:, :-1], rest[:, -1]


def _lasso_path(X: Array, y: Array) -> list[Array]:
    """Coefficients for every penalty of the path, by FISTA (accelerated proximal gradient)."""
    gram, moment = X.T @ X, (X.T @ y)[:, None]
    penalty = np.array(_PATH) * np.abs(moment).max()
    step = 1.0 / max(float(np.linalg.eigvalsh(gram)[-1]), 1e-9)
    b = np.zeros((X.shape[1], penalty.size))
    ahead, momentum = b, 1.0
    for _ in range(_STEPS):
        raw = ahead - step * (gram @ ahead - moment)
        new = np.sign(raw) * np.maximum(np.abs(raw) - step * penalty, 0.0)
        faster = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = new + (momentum - 1.0) / faster * (new - b)
        done = np.abs(new - b).max() < 1e-5 * (np.abs(new).max() + 1e-9)
        b, momentum = new, faster
        if done:
            break
    return list(b.T)
