"""From where on a learning curve foretells its end: working level and prediction level.

A trend pi(x) = c - a x^-b with a, b > 0 (for a loss c + a x^-b) is fitted to the first i points of
a curve, for every i: the level. Its asymptotes c_i settle. The *working level* is the first from
which on their slope |c_j - c_i| / (x_j - x_i) stays small over the following levels; the
*prediction level* is the first from there whose asymptote is possible at all. Neither needs to know
the end (Vilares Ferro et al., 2402.02515; five following levels; thresholds are ours). Where it is
known, `foretold` is the level from which on every forecast of it was right: what the other two
should have said.

A trend holds while the learning rate is constant; through a decay it may, or may not, and
`foretold` tells.

Notation:
    x: (n,) tokens as shares of the last; y: (n,) metric; level i: the first i points, 3 at least
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import InputError
from mixopt.space.simplex import Array

LEAST = 3
"""Points of a trend."""
FOLLOWING = 5
"""Levels over which asymptotes have to stay where they are."""
_EXPONENTS = (1e-2, 8.0)
_GRID, _ROUNDS = 24, 6


@dataclass(frozen=True)
class Trend:
    """c - a x^-b.

    Attributes:
        asymptote: c; NaN where the curve goes the wrong way.
        amplitude: a, above 0 where the metric rises and below 0 where it falls.
        exponent: b.
    """

    asymptote: float
    amplitude: float
    exponent: float

    def at(self, x: ArrayLike) -> Array:
        """(n,) the metric at x."""
        return np.asarray(self.asymptote - self.amplitude * np.asarray(x, float) ** -self.exponent)


@dataclass(frozen=True, eq=False)
class CurveLevels:
    """Levels of one curve, each as a number of points; None where it is not reached.

    Attributes:
        tokens: (n,) of the points.
        trends: (n - 2,) of the levels 3 to n.
        working, prediction: see the module.
        foretold: the first level from which on every forecast of the last point was right.
        error: of the forecast of the last point at the prediction level; NaN without one.
    """

    tokens: Array
    trends: tuple[Trend, ...]
    working: int | None
    prediction: int | None
    foretold: int | None
    error: float

    def share(self, level: int | None) -> float:
        """Tokens at a level as a share of the last; NaN for none."""
        return float("nan") if level is None else float(self.tokens[level - 1] / self.tokens[-1])

    @property
    def asymptotes(self) -> Array:
        """(n - 2,) c of every level."""
        return np.array([trend.asymptote for trend in self.trends])


def fit_trend(x: ArrayLike, y: ArrayLike, *, rises: bool = False) -> Trend:
    """The trend of least squares.

    Two of three parameters are linear, and the third is looked for on a grid that is refined.

    Args:
        x: (n,) increasing, above 0.
        y: (n,) the metric.
        rises: whether the metric gets better by rising.

    Raises:
        InputError: fewer than three points, or x that does not increase from above 0.
    """
    x, y = _checked(x, y)
    low, high = np.log(_EXPONENTS)
    for _ in range(_ROUNDS):
        exponents = np.exp(np.linspace(low, high, _GRID))
        U = (x / x[-1]) ** -exponents[:, None]
        V, z = U - U.mean(axis=1, keepdims=True), y - y.mean()
        slope = (V @ z) / np.maximum((V**2).sum(axis=1), 1e-300)
        miss = ((z - slope[:, None] * V) ** 2).sum(axis=1)
        best, step = int(miss.argmin()), (high - low) / (_GRID - 1)
        middle = float(np.log(exponents[best]))
        low, high = max(middle - step, np.log(_EXPONENTS[0])), min(middle + step, high)
    b, a = float(exponents[best]), float(slope[best])
    c = float(y.mean() - a * U[best].mean())
    right = a <= 0 if rises else a >= 0
    return Trend(c if right else float("nan"), -a * float(x[-1] ** b), b)


def curve_levels(
    tokens: ArrayLike,
    values: ArrayLike,
    *,
    slope: float,
    tolerance: float,
    rises: bool = False,
    bound: float | None = None,
    following: int = FOLLOWING,
) -> CurveLevels:
    """The levels of a curve, its last point the end.

    Args:
        tokens: (n,) increasing, above 0.
        values: (n,) the metric.
        slope: by how much asymptotes may move per length of the curve, in the metric's unit.
        tolerance: by how much a forecast of the end may miss it.
        rises: whether the metric gets better by rising.
        bound: of what is possible: the least, of a metric that rises the most; 0 for a loss by
            default, none for what rises.
        following: levels over which asymptotes have to stay.

    Raises:
        InputError: see `fit_trend`; or a slope or tolerance that is not above 0.
    """
    for name, value in (("slope", slope), ("tolerance", tolerance)):
        if not value > 0:
            raise InputError(f"{name} is {value}; give a number above 0")
    D, y = _checked(tokens, values)
    x, n = D / D[-1], len(D)
    trends = tuple(fit_trend(x[:i], y[:i], rises=rises) for i in range(LEAST, n + 1))
    c = np.array([trend.asymptote for trend in trends])
    moved = np.abs(np.diff(c)) / np.diff(x[LEAST - 1 :])
    calm = moved <= slope  # a missing asymptote (NaN) is never calm
    starts = range(len(calm) - following + 1)
    working = next((i + LEAST for i in starts if calm[i : i + following].all()), None)
    edge = (np.inf if rises else 0.0) if bound is None else bound
    possible = c <= edge if rises else c >= edge
    prediction = None
    if working is not None:
        prediction = next((i for i in range(working, n) if possible[i - LEAST]), None)
    missed = np.array([abs(float(trend.at(1.0)) - y[-1]) for trend in trends[:-1]])
    wrong = np.flatnonzero(~(missed <= tolerance))
    first = int(wrong[-1]) + 1 if len(wrong) else 0
    foretold = first + LEAST if first < len(missed) else None
    error = float("nan") if prediction is None else float(missed[prediction - LEAST])
    return CurveLevels(D, trends, working, prediction, foretold, error)


def _checked(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Both as arrays, points without a value left out."""
    at, seen = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    kept = np.isfinite(seen)
    at, seen = at[kept], seen[kept]
    if len(at) < LEAST:
        raise InputError(f"{len(at)} points of the curve; give {LEAST} or more to fit a trend")
    if not (at[0] > 0 and (np.diff(at) > 0).all()):
        raise InputError("token counts of the curve do not increase from above 0; sort them")
    return at, seen
