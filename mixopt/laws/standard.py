"""Metrics in standard units, so that penalties and priors mean the same for every metric.

Notation:
    Y: (n, k) metrics, NaN where missing; T: (n, k) standardised, 0 where missing
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.laws.base import JSON, Prediction, numbers
from mixopt.space.simplex import Array


@dataclass(frozen=True, eq=False)
class Standard:
    """Center (k,) and spread (k,) of metrics; `flat` (k,) marks those that never vary."""

    center: Array
    spread: Array

    @classmethod
    def learn(cls, Y: Array) -> "Standard":
        """Mean and sd over the runs that have the metric; spread 0 where it never varies."""
        center, spread = np.nanmean(Y, axis=0), np.nanstd(Y, axis=0)
        tiny = spread <= 1e-12 * np.maximum(np.abs(center), 1e-300)
        return cls(center, np.where(tiny, 0.0, spread))

    @property
    def flat(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(k,) metrics that have one value at every run: they are predicted as that value."""
        return np.asarray(self.spread == 0)

    def forward(self, Y: Array) -> Array:
        """(n, k) standardised, 0 where missing."""
        unit = np.where(self.flat, 1.0, self.spread)
        return np.asarray(np.nan_to_num((Y - self.center) / unit))

    def backward(self, T: Array) -> Array:
        """(n, k) standardised values in the units of the metrics."""
        return np.asarray(self.center + T * self.spread)

    def prediction(self, mean: Array, sd: Array, noise: Array) -> Prediction:
        """A prediction in standard units, in those of the metrics."""
        return Prediction(self.backward(mean), sd * self.spread, np.asarray(noise * self.spread))

    def residual(self, T: Array) -> Array:
        """Standardised differences (n, k) in the units of the metrics."""
        return np.asarray(T * self.spread)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"center": self.center.tolist(), "spread": self.spread.tolist()}

    @classmethod
    def read(cls, values: JSON) -> "Standard":
        """What `to_dict` wrote."""
        return cls(numbers(values["center"]), numbers(values["spread"]))
