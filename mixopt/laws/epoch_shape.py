"""The epoch-coordinate law's curves, and the cross-validation that chooses their shape.

Notation:
    W: (n, m) mixtures; E: (n, m) epochs; amplitudes: (2 m,) benefit of each domain, then harm
    T: (n, k) standardised metrics, 0 where missing; X: (n, 2 m) columns of a shape
    floors, gammas, signs: (k,); theta: (k, 1 + 2 m) constants and amplitudes
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import InputError
from mixopt.laws.base import Ints, Runs
from mixopt.laws.non_negative import non_negative
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
_LOG_GAMMA, _GAMMA_STEPS = (1.0, 6.0), 16
LEAST_DROP = 0.1  # sd of a metric: where the proportional mixture is itself the best run
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
    theta = log_amplitudes(X, np.log(y - floor)[:, None], ridge)[0]
    return float(theta[0]), theta[1:]


def log_amplitudes(X: Array, Z: Array, ridge: float) -> Array:
    """(k, 1 + p) constants and amplitudes of every column of logs Z (n, k) on columns X (n, p)."""
    centre, level = X.mean(axis=0), Z.mean(axis=0)
    off = X - centre
    fitted = non_negative(off.T @ off + ridge * np.eye(X.shape[1]), (Z - level).T @ off)
    return np.column_stack([level - fitted @ centre, fitted])


@dataclass(frozen=True, eq=False)
class Folds:
    """Runs in standard units, split so that replicates stay together.

    Runs at the proportional mixture (`natural`, (n,)) are in every training set: floors are
    measured from them.
    """

    T: Array
    seen: NDArray[np.bool_]
    natural: NDArray[np.bool_]
    fold: Ints

    @classmethod
    def of(cls, runs: Runs, standard: Standard, sizes: Array, fold: Ints) -> "Folds":
        """Those of checked runs whose rows are in the folds `fold` (n,)."""
        natural = 0.5 * np.abs(runs.W - sizes / sizes.sum()).sum(axis=1) <= _AT
        return cls(standard.forward(runs.Y), np.isfinite(runs.Y), natural, fold)

    def errors(self, X: Array, ridge: float, gammas: Array, signs: Array) -> Array:
        """(k,) held-out rmse of every metric; 0 where the runs are too few to hold any out."""
        squares, count = np.zeros((2, self.T.shape[1]))
        for metrics in alike(self.seen):
            for rest, out in self._splits(metrics[0]):
                floors, theta = self._learn(X, ridge, gammas, signs, metrics, rest)
                gap = signs[metrics] * self.T[np.ix_(out, metrics)] - floors - above(X[out], theta)
                squares[metrics] += (gap**2).sum(axis=0)
                count[metrics] += out.sum()
        return np.asarray(np.sqrt(squares / np.maximum(count, 1)))

    def _splits(self, j: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        for number in np.unique(self.fold):
            out = self.seen[:, j] & (self.fold == number) & ~self.natural
            rest = self.seen[:, j] & ~out
            if out.any() and rest.sum() > 1:
                yield rest, out

    def learn(self, X: Array, ridge: float, gammas: Array, signs: Array) -> tuple[Array, Array]:
        """Floors (k,) and constants and amplitudes (k, 1 + 2 m), from all runs."""
        floors, theta = np.empty(len(signs)), np.empty((len(signs), 1 + X.shape[1]))
        for metrics in alike(self.seen):
            rows = self.seen[:, metrics[0]]
            floors[metrics], theta[metrics] = self._learn(X, ridge, gammas, signs, metrics, rows)
        return floors, theta

    def _learn(
        self,
        X: Array,
        ridge: float,
        gammas: Array,
        signs: Array,
        metrics: Ints,
        rows: NDArray[np.bool_],
    ) -> tuple[Array, Array]:
        """The same of some metrics, all of which these rows have."""
        y = signs[metrics] * self.T[np.ix_(rows, metrics)]
        floors = _floor(y, self.natural[rows], gammas[metrics])
        return floors, log_amplitudes(X[rows], np.log(y - floors), ridge)


def alike(seen: NDArray[np.bool_]) -> list[Ints]:
    """Numbers of metrics that the same runs have: their amplitudes are learned together."""
    if seen.all():
        return [np.arange(seen.shape[1])]
    _, pattern = np.unique(seen, axis=1, return_inverse=True)
    pattern = np.asarray(pattern).reshape(-1)
    return [np.flatnonzero(pattern == number) for number in range(int(pattern.max()) + 1)]


def _floor(y: Array, natural: NDArray[np.bool_], gamma: Array | float) -> Array:
    """Levels at the proportional mixture, less gamma times what the best run of y gains on it."""
    at = y[natural] if natural.any() else y
    sd = at.std(axis=0, ddof=1) if natural.sum() > 1 else 0.0
    level = at.mean(axis=0)
    gain = np.maximum(level - y.min(axis=0), LEAST_DROP)
    return np.asarray(level - np.maximum(gamma * gain, 3 * sd))


def above(X: Array, theta: Array) -> Array:
    """(n, k) how far the metrics are above their floors at columns X."""
    return np.asarray(np.exp(np.minimum(theta[:, 0] + X @ theta[:, 1:].T, _TOP)))


def choose_signs(E: Array, folds: Folds) -> Array:
    """(k,) -1 for metrics that this law fits better upside down."""
    shape, ones = Shape(), np.ones(folds.T.shape[1])
    up, down = (
        folds.errors(shape.columns(E), shape.ridge, _GAMMA * ones, sign) for sign in (ones, -ones)
    )
    # Losses are what this formula is about: the other direction must earn it.
    return np.where(up <= 1.1 * down, 1.0, -1.0)


def choose_shape(E: Array, folds: Folds, signs: Array) -> Shape:
    """The shape of least held-out error, mean over metrics, along one axis after the other."""
    gammas = np.full(len(signs), _GAMMA)
    best = Shape()
    least = float(folds.errors(best.columns(E), best.ridge, gammas, signs).mean())
    for _ in range(_PASSES):
        before = best
        for name, values in _AXES.items():
            for value in values:
                shape = replace(best, **{name: value})
                if shape == best:
                    continue
                error = float(folds.errors(shape.columns(E), shape.ridge, gammas, signs).mean())
                if error < least:
                    best, least = shape, error
        if best == before:
            break
    return best


def choose_gammas(X: Array, ridge: float, folds: Folds, signs: Array) -> Array:
    """(k,) gammas of least held-out error, by golden section of their logarithms."""
    (low, high), k, golden = _LOG_GAMMA, len(signs), (np.sqrt(5.0) - 1.0) / 2.0
    left, width = np.full(k, low), high - low
    # Where each looks, and the errors there: two points inside of what is left, of which one stays.
    at = left[:, None] + width * np.array([1.0 - golden, golden])
    errors = np.column_stack([folds.errors(X, ridge, np.exp(x), signs) for x in at.T])
    for _ in range(_GAMMA_STEPS - 2):
        right = errors[:, 1] < errors[:, 0]
        left, width = np.where(right, at[:, 0], left), golden * width
        new = left + width * np.where(right, golden, 1.0 - golden)
        told = folds.errors(X, ridge, np.exp(new), signs)
        kept = [np.where(right, pair[:, 1], pair[:, 0]) for pair in (at, errors)]
        at, errors = (
            np.column_stack([np.where(right, old, one), np.where(right, one, old)])
            for old, one in zip(kept, (new, told), strict=True)
        )
    middle = left + width / 2.0
    return np.where(middle > high - 0.1 * (high - low), _FLAT_GAMMA, np.exp(middle))
