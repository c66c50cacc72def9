"""A Gaussian process on what another law leaves.

Far from all runs it predicts as the law does, near them as the runs say. Within a scale it gains
little over the process alone and can transfer worse (METHODS 11.2): it is no part of `auto`.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixopt.laws import as_law, fitted_law
from mixopt.laws.base import JSON, FittedLaw, Law, Prediction, check_runs, mean_of, one_scale
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Residual:
    """Fits a law, then a process to what it leaves.

    Args:
        base: name of the law, or the law.
        process: name of the law of what it leaves, or that law.
    """

    base: "str | Law" = "log-linear-sqrt"
    process: "str | Law" = "gp"

    takes_scales: ClassVar[bool] = False

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedResidual":
        """Fit both.

        Raises:
            InputError: see `check_runs`; or runs of several scales.
        """
        runs = one_scale(check_runs(W, Y, scale), "gp-residual")
        base = as_law(self.base)
        process = as_law(self.process)
        fitted = base.fit(runs.W, runs.Y, rng=rng)
        left = runs.Y - fitted.predict(runs.W).mean
        return FittedResidual(fitted, process.fit(runs.W, left, rng=rng))


@dataclass(frozen=True, eq=False, repr=False)
class FittedResidual(Shown):
    """The law and the process of what it leaves."""

    base: FittedLaw
    process: FittedLaw

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """The sum of both; the sd and the noise are those of the process."""
        ours, left = self.base.predict(W, scale), self.process.predict(W, scale)
        return Prediction(ours.mean + left.mean, left.sd, left.noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        return mean_of(self.base, W, scale) + mean_of(self.process, W, scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "gp-residual",
            "base": self.base.to_dict(),
            "process": self.process.to_dict(),
        }


def read(values: JSON) -> FittedResidual:
    """The fitted law that `to_dict` wrote."""
    return FittedResidual(fitted_law(values["base"]), fitted_law(values["process"]))
