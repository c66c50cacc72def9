"""The mean of several laws, weighted per metric.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; weights: (l, k) of l laws, columns sum to 1
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.errors import InputError
from mixopt.laws import as_law, fitted_law
from mixopt.laws.base import JSON, FittedLaw, Law, Prediction, mean_of, numbers
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Mean:
    """Fits several laws and averages what they predict.

    Args:
        laws: names or laws.
        weights: one per law; equal if left out.
    """

    laws: Sequence["str | Law"] = ("log-linear", "gp")
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.laws:
            raise InputError("a mean of no laws; give at least one name")
        if self.weights is not None and (
            len(self.weights) != len(self.laws)
            or min(self.weights) < 0
            or not sum(self.weights) > 0
        ):
            raise InputError(
                f"weights {list(self.weights)} for {len(self.laws)} laws; give one >= 0 for each"
            )

    @property
    def takes_scales(self) -> bool:
        """Whether all of its laws do."""
        return all(as_law(x).takes_scales for x in self.laws)

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedMean":
        """Fit every law to the same runs.

        Raises:
            InputError: what any of the laws raises.
        """
        made = [as_law(x) for x in self.laws]
        parts = tuple(x.fit(W, Y, scale, rng=rng) for x in made)
        shares = np.ones(len(parts)) if self.weights is None else np.array(self.weights, float)
        metrics = 1 if np.ndim(Y) == 1 else np.shape(Y)[1]
        return FittedMean(parts, np.tile(shares[:, None] / shares.sum(), (1, metrics)))


@dataclass(frozen=True, eq=False, repr=False)
class FittedMean(Shown):
    """Fitted laws and their weights (l, k)."""

    parts: tuple[FittedLaw, ...]
    weights: Array

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Weighted mean; the sd holds what each law does not know and how far they disagree."""
        return combine([p.predict(W, scale) for p in self.parts], self.weights)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        return combine_means(self.parts, self.weights, W, scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "mean",
            "parts": [p.to_dict() for p in self.parts],
            "weights": self.weights.tolist(),
        }


def read(values: JSON) -> FittedMean:
    """The fitted law that `to_dict` wrote."""
    return FittedMean(tuple(fitted_law(p) for p in values["parts"]), numbers(values["weights"]))


def combine_means(
    parts: Sequence[FittedLaw], weights: Array, W: Array, scale: Array | None
) -> Array:
    """(n, k) weighted mean; a law that has no weight for any metric is not asked."""
    return np.asarray(
        sum(
            share * mean_of(part, W, scale)
            for part, share in zip(parts, weights, strict=True)
            if share.any()
        )
    )


def combine(predictions: Sequence[Prediction], weights: Array) -> Prediction:
    """The moments of a mixture of predictions, weighted (l, k) per law and metric."""
    mean, variance = np.zeros((2, *predictions[0].mean.shape))
    for p, share in zip(predictions, weights, strict=True):
        mean += share * p.mean
    for p, share in zip(predictions, weights, strict=True):
        variance += share * (p.sd**2 + (p.mean - mean) ** 2)
    noise = (weights * np.stack([p.noise**2 for p in predictions])).sum(axis=0)
    return Prediction(mean, np.sqrt(variance), np.sqrt(noise))
