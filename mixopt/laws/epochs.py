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

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar, nnls

from mixopt.errors import InputError
from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Ints,
    Prediction,
    Runs,
    as_mixtures,
    check_runs,
    numbers,
    one_scale,
)
from mixopt.laws.descent import PRIOR_SD
from mixopt.laws.folds import group_folds
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

_AXES: dict[str, tuple[float, ...]] = {
    "rate": (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0),
    "power": (0.3, 0.5, 0.7, 1.0),
    "onset": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
    "ridge": (0.0, 1e-3, 1e-2, 0.1, 1.0),
}
_PASSES = 3  # over the axes; a pass that changes nothing is the last
_GAMMA, _FLAT_GAMMA = 2.5, 1.5  # while the shape is chosen, and where the data do not say
_LOG_GAMMA, _GAMMA_STEPS = (1.0, 6.0), 24
_LEAST_DROP = 0.1  # sd of a metric: where the proportional mixture is itself the best run
_AT = 0.01  # total variation within which a run is at the proportional mixture
_TOP = 30.0  # exp of more is far outside any data


@dataclass(frozen=True)
class Shape:
    """What all domains and metrics share: `rate` and `power` of the benefit, `onset` of the harm.

    `ridge` is the penalty of squared amplitudes.

    Raises:
        InputError: a rate or power that is not positive, or a negative ridge.
    """

    rate: float = 0.5
    power: float = 0.7
    onset: float = 2.0
    ridge: float = 0.01

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("power", self.power)):
            if not value > 0:
                raise InputError(f"{name} is {value}; give a number above 0")
        if not self.ridge >= 0:
            raise InputError(f"ridge is {self.ridge}; give 0 or a number above")

    def benefit(self, E: ArrayLike) -> Array:
        """Share of a domain's benefit that is had after E epochs, in [0, 1]."""
        return np.asarray(-np.expm1(-((self.rate * np.asarray(E, dtype=float)) ** self.power)))

    def harm(self, E: ArrayLike) -> Array:
        """Harm of E epochs, before its amplitude."""
        return np.asarray(np.logaddexp(0.0, np.log1p(np.asarray(E, dtype=float)) - self.onset) ** 2)

    def columns(self, E: Array) -> Array:
        """(n, 2 m) features whose amplitudes are not negative: less benefit, more harm."""
        return np.hstack([-self.benefit(E), self.harm(E)])


def epochs(W: ArrayLike, sizes: ArrayLike, budget: float) -> Array:
    """(n, m) epochs of each domain at mixtures W (n, m).

    Args:
        W: (n, m) weights.
        sizes: (m,) unique tokens of each domain, all known.
        budget: training tokens of the target.

    Raises:
        InputError: sizes of another number of domains, or sizes or a budget that are not positive
            and finite.
    """
    w, N = np.atleast_2d(np.asarray(W, dtype=float)), np.asarray(sizes, dtype=float)
    if N.shape != (w.shape[1],):
        raise InputError(f"{N.size} sizes for {w.shape[1]} domains; give one for each")
    bad = ~(np.isfinite(N) & (N > 0))
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(f"size of domain {i} is {N[i]}; give its unique tokens, above 0")
    if not (np.isfinite(budget) and budget > 0):
        raise InputError(f"budget is {budget}; give the target's training tokens, above 0")
    return np.asarray(w * budget / N)


def amplitudes(X: Array, y: Array, floor: float, ridge: float = 0.0) -> tuple[float, Array]:
    """The constant c and the (p,) amplitudes, none negative, of log(y - floor) on columns X (n, p).

    Non-negative least squares on centred columns, not scaled; the ridge is rows sqrt(ridge) I.

    Raises:
        InputError: a floor that is not below every value.
    """
    if not floor < y.min():
        raise InputError(f"floor is {floor}, and the lowest value {y.min()}; give a lower floor")
    z = np.log(y - floor)
    centre = X.mean(axis=0)
    rows = np.vstack([X - centre, np.sqrt(ridge) * np.eye(X.shape[1])])
    fitted, _ = nnls(rows, np.concatenate([z - z.mean(), np.zeros(X.shape[1])]))
    return float(z.mean() - centre @ fitted), np.asarray(fitted)


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
        folds = _Folds.of(runs, standard, sizes, group_folds(runs.groups, self.folds, rng))
        X = Shape().columns(E)
        # Losses are what this formula is about: the other direction must earn it.
        signs = np.where(
            folds.errors(X, Shape().ridge, +1.0) <= 1.1 * folds.errors(X, Shape().ridge, -1.0),
            1.0,
            -1.0,
        )
        shape = _search(E, folds, signs)
        X = shape.columns(E)
        fits = [_fit_metric(X, shape.ridge, folds, j, signs[j]) for j in range(len(signs))]
        floors, theta, covariance, noise = (np.array(part) for part in zip(*fits, strict=True))
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
        seen, ridge = np.isfinite(runs.Y), fitted.shape.ridge
        lowest = np.where(seen, T, np.inf).min(axis=0) - _LEAST_DROP
        floors = np.minimum(fitted.floors, lowest)
        fits = []
        for j, floor in enumerate(floors):
            rows = seen[:, j]
            c, learned = amplitudes(X[rows], T[rows, j], floor, ridge)
            fits.append(_judged(X[rows], T[rows, j], floor, np.append(c, learned)))
        theta, covariance, noise = (np.array(part) for part in zip(*fits, strict=True))
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
        X, above = self._above(W)
        J = np.hstack([np.ones((len(X), 1)), X])
        quadratic = np.einsum("nq,kqr,nr->nk", J, self.covariance, J, optimize=True)
        sd = above * np.sqrt(np.maximum(quadratic, 0.0))
        return self.standard.prediction(self.signs * (self.floors + above), sd, self.noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        del scale
        return self.standard.backward(self.signs * (self.floors + self._above(W)[1]))

    def _above(self, W: Array) -> tuple[Array, Array]:
        """Columns (n, 2 m), and how far the metrics (n, k) are above their floors."""
        w = as_mixtures(W, self.sizes.size)
        X = self.shape.columns(epochs(w, self.sizes, self.budget))
        return X, np.exp(np.minimum(self.theta[:, 0] + X @ self.theta[:, 1:].T, _TOP))

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


@dataclass(frozen=True, eq=False)
class _Folds:
    """Runs in standard units, split so that replicates stay together.

    Runs at the proportional mixture (`natural`, (n,)) are in every training set: floors are
    measured from them.
    """

    T: Array
    seen: NDArray[np.bool_]
    natural: NDArray[np.bool_]
    fold: Ints

    @classmethod
    def of(cls, runs: Runs, standard: Standard, sizes: Array, fold: Ints) -> "_Folds":
        natural = 0.5 * np.abs(runs.W - sizes / sizes.sum()).sum(axis=1) <= _AT
        return cls(standard.forward(runs.Y), np.isfinite(runs.Y), natural, fold)

    def errors(self, X: Array, ridge: float, signs: float | Array) -> Array:
        """(k,) held-out rmse of every metric, with the provisional floor."""
        k = self.T.shape[1]
        sign = np.broadcast_to(signs, (k,))
        return np.array([self.error(X, ridge, _GAMMA, j, sign[j]) for j in range(k)])

    def error(self, X: Array, ridge: float, gamma: float, j: int, sign: float) -> float:
        """Held-out rmse of metric j; 0 where the runs are too few to hold any out."""
        squares = [
            (sign * self.T[out, j] - _curve(X[out], *self.learn(X, ridge, gamma, j, sign, rest)))
            ** 2
            for rest, out in self._splits(j)
        ]
        return float(np.sqrt(np.concatenate(squares).mean())) if squares else 0.0

    def _splits(self, j: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        for number in np.unique(self.fold):
            out = self.seen[:, j] & (self.fold == number) & ~self.natural
            rest = self.seen[:, j] & ~out
            if out.any() and rest.sum() > 1:
                yield rest, out

    def learn(
        self, X: Array, ridge: float, gamma: float, j: int, sign: float, rows: NDArray[np.bool_]
    ) -> tuple[float, Array]:
        """Floor and (1 + 2 m,) constant and amplitudes of metric j, from these rows."""
        y = sign * self.T[rows, j]
        floor = _floor(y, self.natural[rows], gamma)
        c, fitted = amplitudes(X[rows], y, floor, ridge)
        return floor, np.append(c, fitted)


def _floor(y: Array, natural: NDArray[np.bool_], gamma: float) -> float:
    """Level of the proportional mixture, less gamma times what the best run gains on it."""
    at = y[natural] if natural.any() else y
    sd = float(at.std(ddof=1)) if natural.sum() > 1 else 0.0
    level = float(at.mean())
    return level - max(gamma * max(level - float(y.min()), _LEAST_DROP), 3 * sd)


def _curve(X: Array, floor: float, theta: Array) -> Array:
    """(n,) values of the law at columns X."""
    return np.asarray(floor + np.exp(np.minimum(theta[0] + X @ theta[1:], _TOP)))


def _search(E: Array, folds: _Folds, signs: Array) -> Shape:
    """The shape of least held-out error, mean over metrics, along one axis after the other."""
    best = Shape()
    least = float(folds.errors(best.columns(E), best.ridge, signs).mean())
    for _ in range(_PASSES):
        before = best
        for name, values in _AXES.items():
            for value in values:
                shape = replace(best, **{name: value})
                if shape == best:
                    continue
                error = float(folds.errors(shape.columns(E), shape.ridge, signs).mean())
                if error < least:
                    best, least = shape, error
        if best == before:
            break
    return best


def _fit_metric(
    X: Array, ridge: float, folds: _Folds, j: int, sign: float
) -> tuple[float, Array, Array, float]:
    """Floor, theta (q,), its covariance (q, q) and the residual sd of metric j."""
    low, high = _LOG_GAMMA
    searched = minimize_scalar(
        lambda at: folds.error(X, ridge, float(np.exp(at)), j, sign),
        bounds=_LOG_GAMMA,
        method="bounded",
        options={"maxiter": _GAMMA_STEPS},
    )
    log_gamma = float(searched.x)
    flat = log_gamma > high - 0.1 * (high - low)
    seen = folds.seen[:, j]
    gamma = _FLAT_GAMMA if flat else float(np.exp(log_gamma))
    floor, theta = folds.learn(X, ridge, gamma, j, sign, seen)
    return floor, *_judged(X[seen], sign * folds.T[seen, j], floor, theta)


def _judged(X: Array, y: Array, floor: float, theta: Array) -> tuple[Array, Array, float]:
    """Theta (q,), its covariance (q, q) and the residual sd of the runs y (n,) that it fits."""
    f = _curve(X, floor, theta)
    n, free = len(y), 1 + int((theta[1:] > 0).sum())
    noise2 = float(((y - f) ** 2).sum()) / max(n - free, 0.3 * n) + 1e-8
    J = (f - floor)[:, None] * np.hstack([np.ones((n, 1)), X])
    # The prior is about the metric: a floor far below makes the same effect a smaller amplitude.
    prior = np.eye(theta.size) * (float(np.mean(f - floor)) / PRIOR_SD) ** 2
    covariance = np.asarray(np.linalg.inv(J.T @ J / noise2 + prior), dtype=float)
    return theta, covariance, float(np.sqrt(noise2))
