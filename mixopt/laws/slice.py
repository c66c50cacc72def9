"""A law over a larger simplex, seen where a part of it is fixed.

A search of mixture and hyperparameters learns over both at once (see `mixopt.runs.knobs`). Its
answer fixes the hyperparameters; what is left is a law over mixtures, the same fit.

Notation:
    W: (n, m) mixtures; P = [share * W, rest]: (n, p) points of the larger simplex
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.laws import fitted_law
from mixopt.laws.base import JSON, FittedLaw, Prediction, mean_of, numbers
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array


@dataclass(frozen=True, eq=False, repr=False)
class FittedSlice(Shown):
    """A fitted law at a fixed rest.

    Attributes:
        base: over the larger simplex.
        rest: (p - m,) the fixed coordinates.
    """

    base: FittedLaw
    rest: Array

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m)."""
        return self.base.predict(self._points(W), scale)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`."""
        return mean_of(self.base, self._points(W), scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `read` reads them back."""
        return {
            "law": f"{__name__}:FittedSlice",
            "base": self.base.to_dict(),
            "rest": self.rest.tolist(),
        }

    def _points(self, W: Array) -> Array:
        share = 1.0 - float(self.rest.sum())
        return np.hstack([share * np.asarray(W, dtype=float), np.tile(self.rest, (len(W), 1))])


def read(values: JSON) -> FittedSlice:
    """The fitted law that `to_dict` wrote."""
    return FittedSlice(fitted_law(values["base"]), numbers(values["rest"]))
