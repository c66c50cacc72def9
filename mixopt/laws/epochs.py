"""The epoch-coordinate law: a domain's benefit and harm depend on its epochs, not on its share.

With E_i = w_i T / N_i epochs of domain i at the target's budget T,

    f(w) = floor + exp(c - sum_i a_i b(E_i) + sum_i h_i harm(E_i)),  a, h >= 0,
    b(E) = 1 - exp(-(rate E)^power),  harm(E) = softplus(log(1 + E) - onset)^2.

Source: the Weibull-softplus law of Marin's mixture work (2026). Rate, power, onset and ridge are
shared by all domains and metrics and chosen by cross-validation, floor and amplitudes are learned
per metric. Departures: the shape is searched along the grid's axes in turn; errors are in units of
a metric's sd; without runs at the proportional mixture the floor is measured from their mean; a
metric where higher is better is fitted upside down.

The runs must have repeated their data as the target will (pools cut to N_i D / T): otherwise their
shares tell nothing of repetition.

Notation:
    W: (n, m) mixtures; E: (n, m) epochs; amplitudes: (2 m,) benefit of each domain, then harm
    T: (n, k) standardised metrics, 0 where missing; X: (n, 2 m) columns of a shape
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Prediction,
    as_mixtures,
    check_runs,
    numbers,
    one_scale,
)
from mixopt.laws.descent import PRIOR_SD
from mixopt.laws.epoch_shape import (
    LEAST_DROP,
    Folds,
    Shape,
    above,
    alike,
    choose_gammas,
    choose_shape,
    choose_signs,
    epochs,
    log_amplitudes,
)
from mixopt.laws.folds import group_folds
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Epochs:
    """Benefit and harm of epochs at the target's budget.

    Args:
        tokens: (m,) unique tokens per domain, all known; where the law is named in a sweep, a
            study or `mixopt fit`, those of the space are taken.
        budget: training tokens of the target; likewise.
        folds: that choose the shape and the floors.
    """

    tokens: Sequence[float] | None = None
    budget: float | None = None
    folds: int = 3

    takes_scales: ClassVar[bool] = False

    def sized(self, tokens: Array, budget: float | None) -> "Epochs":
        """The same law with tokens and budget where it was not given any."""
        known = np.isfinite(tokens).any()
        own = tuple(tokens.tolist()) if self.tokens is None and known else self.tokens
        return replace(self, tokens=own, budget=budget if self.budget is None else self.budget)

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedEpochs":
        """Fit every metric; the shape is shared, so a metric tells a little of the others.

        Raises:
            InputError: see `check_runs`; runs of several scales; tokens or budget that are
                missing, or see `epochs`.
        """
        runs = one_scale(check_runs(W, Y, scale), "epochs")
        if self.tokens is None or self.budget is None:
            missing = "unique tokens" if self.tokens is None else "budget"
            raise InputError(
                f"the law 'epochs' has no {missing}: it counts passes over each domain; give "
                "the domains' tokens and the budget of the target in the space, or "
                'law("epochs", tokens=[...], budget=...)'
            )
        sizes = np.asarray(self.tokens, dtype=float)
        E = epochs(runs.W, sizes, self.budget)
        standard = Standard.learn(runs.Y)
        folds = Folds.of(runs, standard, sizes, group_folds(runs.groups, self.folds, rng))
        signs = choose_signs(E, folds)
        shape = choose_shape(E, folds, signs)
        X = shape.columns(E)
        gammas = choose_gammas(X, shape.ridge, folds, signs)
        floors, theta = folds.learn(X, shape.ridge, gammas, signs)
        covariance, noise = _judged(X, signs * folds.T, folds.seen, floors, theta)
        noise = np.where(standard.flat, 0.0, noise)
        return FittedEpochs(
            standard, sizes, float(self.budget), shape, signs, floors, theta, covariance, noise
        )

    def refit(
        self,
        fitted: FittedLaw,
        W: Array,
        Y: Array,
        scale: Array | None = None,
        *,
        rng: np.random.Generator,
    ) -> FittedLaw:
        """Learn the amplitudes anew; units, shape and floors stay as they were learned.

        Raises:
            InputError: see `fit`.
        """
        if not isinstance(fitted, FittedEpochs):
            return self.fit(W, Y, scale, rng=rng)
        runs = one_scale(check_runs(W, Y, scale), "epochs")
        E = epochs(runs.W, fitted.sizes, fitted.budget)
        X, T = fitted.shape.columns(E), fitted.signs * fitted.standard.forward(runs.Y)
        seen = np.isfinite(runs.Y)
        lowest = np.where(seen, T, np.inf).min(axis=0) - LEAST_DROP
        floors = np.minimum(fitted.floors, lowest)
        theta = np.empty_like(fitted.theta)
        for metrics in alike(seen):
            rows = seen[:, metrics[0]]
            logs = np.log(T[np.ix_(rows, metrics)] - floors[metrics])
            theta[metrics] = log_amplitudes(X[rows], logs, fitted.shape.ridge)
        covariance, noise = _judged(X, T, seen, floors, theta)
        noise = np.where(fitted.standard.flat, 0.0, noise)
        return replace(fitted, floors=floors, theta=theta, covariance=covariance, noise=noise)


@dataclass(frozen=True, eq=False, repr=False)
class FittedEpochs(Shown):
    """What was learned, in standard units of the metrics.

    Attributes:
        signs: (k,) -1 where higher is better. floors: (k,).
        theta: (k, 1 + 2 m) constant and amplitudes. covariance: (k, 1 + 2 m, 1 + 2 m) of them.
    """

    standard: Standard
    sizes: Array
    budget: float
    shape: Shape
    signs: Array
    floors: Array
    theta: Array
    covariance: Array
    noise: Array

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m), at the budget of the target; `scale` is not used."""
        del scale
        X, over = self._over(W)
        J = np.hstack([np.ones((len(X), 1)), X])
        quadratic = np.einsum("nq,kqr,nr->nk", J, self.covariance, J, optimize=True)
        sd = over * np.sqrt(np.maximum(quadratic, 0.0))
        return self.standard.prediction(self.signs * (self.floors + over), sd, self.noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        del scale
        return self.standard.backward(self.signs * (self.floors + self._over(W)[1]))

    def _over(self, W: Array) -> tuple[Array, Array]:
        """Columns (n, 2 m), and how far the metrics (n, k) are above their floors."""
        w = as_mixtures(W, self.sizes.size)
        X = self.shape.columns(epochs(w, self.sizes, self.budget))
        return X, above(X, self.theta)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        arrays = ("sizes", "signs", "floors", "theta", "covariance", "noise")
        return {
            "law": "epochs",
            "standard": self.standard.to_dict(),
            "budget": self.budget,
            "shape": asdict(self.shape),
            **{name: getattr(self, name).tolist() for name in arrays},
        }


def read(values: JSON) -> FittedEpochs:
    """The fitted law that `to_dict` wrote."""
    return FittedEpochs(
        Standard.read(values["standard"]),
        numbers(values["sizes"]),
        float(values["budget"]),
        Shape(**values["shape"]),
        *(numbers(values[name]) for name in ("signs", "floors", "theta", "covariance", "noise")),
    )


def _judged(
    X: Array, T: Array, seen: NDArray[np.bool_], floors: Array, theta: Array
) -> tuple[Array, Array]:
    """Covariances of theta (k, q, q) and residual sds (k,), of metrics T (n, k) where seen."""
    k, q = theta.shape
    covariance, noise = np.empty((k, q, q)), np.empty(k)
    over = above(X, theta)
    columns = np.hstack([np.ones((len(X), 1)), X])
    for j in range(k):
        rows = seen[:, j]
        f, n, free = over[rows, j], int(rows.sum()), 1 + int((theta[j, 1:] > 0).sum())
        residual = T[rows, j] - floors[j] - f
        noise2 = float((residual**2).sum()) / max(n - free, 0.3 * n) + 1e-8
        J = f[:, None] * columns[rows]
        # The prior is of the metric: a floor far below makes the same effect a smaller amplitude.
        prior = np.eye(q) * (float(f.mean()) / PRIOR_SD) ** 2
        covariance[j] = np.linalg.inv(J.T @ J / noise2 + prior)
        noise[j] = np.sqrt(noise2)
    return covariance, noise
