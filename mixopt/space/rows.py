"""Bounds and linear rows of a projection: {lower <= x <= upper, low <= B x <= high}."""

from dataclasses import dataclass

import numpy as np

from mixopt.space.simplex import Array

_ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Rows:
    """Box and linear rows; `low <= B x <= high` with equal sides where a row is an equation."""

    lower: Array
    upper: Array
    B: Array
    low: Array
    high: Array

    def broken(self, x: Array) -> Array:
        """(n,) largest violation of any row or bound."""
        at = x @ self.B.T
        outside = np.maximum(at - self.high, self.low - at).max(axis=1)
        return np.asarray(np.maximum(outside, (np.maximum(x - self.upper, self.lower - x)).max(1)))


def tighten(rows: Rows) -> Rows:
    """Bounds that the rows imply, so that weights forced to a value are held at it exactly."""
    lower, upper = rows.lower.copy(), rows.upper.copy()
    for _ in range(10):
        before = np.concatenate([lower, upper])
        for row, low, high in zip(rows.B, rows.low, rows.high, strict=True):
            at, under = row > 0, row < 0
            a, b = row[at], -row[under]
            least, most = a @ lower[at], a @ upper[at]
            if under.any():
                least, most = least - b @ upper[under], most - b @ lower[under]
            down, up = np.maximum(high - least, 0.0), np.maximum(most - low, 0.0)
            with np.errstate(over="ignore"):
                upper[at] = _lower(upper[at], lower[at] + down / a, a)
                lower[at] = -_lower(-lower[at], up / a - upper[at], a)
                upper[under] = _lower(upper[under], lower[under] + up / b, b)
                lower[under] = -_lower(-lower[under], down / b - upper[under], b)
        if np.allclose(before, np.concatenate([lower, upper]), atol=1e-15):
            break
    middle = 0.5 * (lower + upper)
    fixed = upper - lower < 1e-13
    equation = rows.high - rows.low < 1e-11
    side = 0.5 * (rows.low + rows.high)
    low, high = np.where(equation, side, rows.low), np.where(equation, side, rows.high)
    return Rows(np.where(fixed, middle, lower), np.where(fixed, middle, upper), rows.B, low, high)


def _lower(bound: Array, to: Array, a: Array) -> Array:
    """(k,) bounds lowered where that is more than rounding, which rounds would add up.

    Where the coefficient a is small, each round takes in the rounding of the last, divided by it.
    """
    return np.asarray(np.where(to < bound - _ROUNDING / a, to, bound))
