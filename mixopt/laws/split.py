"""A law over the two phases of a run, seen over mixtures: each domain's tokens split the same way.

A search of schedules learns over both phases and their mean. Its answer fixes how the tokens of
every domain are split over the phases; what is left is a law over mixtures, the same fit. Split
alike for all domains, it is the law of runs whose mixture does not change.

Notation:
    W: (n, m) mixtures of whole runs; a: (m,) share of a domain's tokens that come before the switch
    P = [first, last, mean] / 3: (n, 3m) points; first = a w / s, last = (1 - a) w / (1 - s),
    s = sum(a w): the switch
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.laws import fitted_law
from mixopt.laws.base import JSON, FittedLaw, Prediction, joint_of, mean_of, numbers
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array

_EMPTY = 1e-12  # share of a run below which a phase has no tokens


@dataclass(frozen=True, eq=False, repr=False)
class FittedSplit(Shown):
    """A fitted law at a fixed split.

    Attributes:
        base: over points of both phases and their mean.
        early: (m,) a.
    """

    base: FittedLaw
    early: Array

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m)."""
        return self.base.predict(self.points(W), scale)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`."""
        return mean_of(self.base, self.points(W), scale)

    def joint(
        self, A: Array, B: Array, scale_A: Array | None = None, scale_B: Array | None = None
    ) -> Array:
        """(k, a, b) posterior covariance at mixtures A with B.

        Raises:
            InputError: the law gives variances only.
        """
        return joint_of(self.base, self.points(A), self.points(B), scale_A, scale_B)

    def points(self, W: Array) -> Array:
        """(n, 3m) points of mixtures W (n, m); a phase without tokens is as the whole run."""
        W = np.asarray(W, dtype=float)
        blocks = []
        for share in (self.early, 1.0 - self.early):
            tokens = W * share
            length = tokens.sum(axis=1, keepdims=True)
            there = length > _EMPTY
            blocks.append(np.where(there, tokens / np.where(there, length, 1.0), W))
        return np.hstack([*blocks, W]) / 3.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `read` reads them back."""
        return {
            "law": f"{__name__}:FittedSplit",
            "base": self.base.to_dict(),
            "early": self.early.tolist(),
        }


def read(values: JSON) -> FittedSplit:
    """The fitted law that `to_dict` wrote."""
    return FittedSplit(fitted_law(values["base"]), numbers(values["early"]))
