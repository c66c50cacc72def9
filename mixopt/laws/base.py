"""What a law is: hyperparameters that learn from runs, and what they have learned.

Notation:
    W: (n, m) mixtures, rows on the simplex; Y: (n, k) metrics
    scale: (n, 2) parameters and tokens of each row, or None where all runs share one scale
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mixopt.simplex import Array


@dataclass(frozen=True)
class Prediction:
    """Metrics at some mixtures, with uncertainty.

    Attributes:
        mean: (n, k).
        sd: (n, k) standard deviation of the *expected* metric at the mixture (what the law does not
            know), seed noise not included.
        noise: (k,) standard deviation of one new run around that expectation.
    """

    mean: Array
    sd: Array
    noise: Array

    @property
    def total_sd(self) -> Array:
        """(n, k) sd of one new run: law uncertainty and noise together."""
        return np.sqrt(self.sd**2 + self.noise**2)


@runtime_checkable
class FittedLaw(Protocol):
    """Learned parameters. Frozen; a JSON round trip gives the same predictions."""

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m)."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values with `"law"`, the name under which `mixopt.laws` reads them back."""
        ...


@runtime_checkable
class Law(Protocol):
    """Hyperparameters. `fit` learns one set of parameters per metric."""

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> FittedLaw:
        """Fit to runs; rows whose metric is NaN are left out for that metric.

        Raises:
            InputError: too few runs for any fallback, or shapes that do not agree.
        """
        ...


JSON = Mapping[str, Any]
