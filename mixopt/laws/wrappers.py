"""An honest sd for any law: the bootstrap, and conformal scaling.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.errors import InputError
from mixopt.laws import as_law, fitted_law
from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Law,
    Prediction,
    Runs,
    check_runs,
    mean_of,
    numbers,
)
from mixopt.laws.held_out import refit_folds
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Bootstrap:
    """Fits a law to resampled mixtures; how far its predictions scatter is their sd.

    Args:
        base: name of the law, or the law.
        draws: how many refits; mixtures are drawn with all their replicates.
    """

    base: "str | Law" = "log-linear"
    draws: int = 20

    @property
    def takes_scales(self) -> bool:
        """Whether its law does."""
        return as_law(self.base).takes_scales

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedBootstrap":
        """Fit the law to all runs and to resampled ones.

        Raises:
            InputError: what the law raises on all runs.
        """
        runs = check_runs(W, Y, scale)
        base = as_law(self.base)
        center = base.fit(runs.W, runs.Y, runs.scale, rng=rng)
        others: list[FittedLaw] = []
        for _ in range(3 * self.draws):
            if len(others) == self.draws:
                break
            rows = _resample(runs, rng)
            at = None if runs.scale is None else runs.scale[rows]
            if (
                np.isfinite(runs.Y[rows]).any(axis=0).all()
                and np.unique(runs.groups[rows]).size > 1
            ):
                others.append(base.fit(runs.W[rows], runs.Y[rows], at, rng=rng))
        return FittedBootstrap(center, tuple(others))


@dataclass(frozen=True, eq=False, repr=False)
class FittedBootstrap(Shown):
    """The law fitted to all runs, and to each resampled set."""

    center: FittedLaw
    draws: tuple[FittedLaw, ...]

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """The mean and noise of the law; the sd is the scatter of the draws around it."""
        told = self.center.predict(W, scale)
        if not self.draws:
            return told
        means = np.stack([d.predict(W, scale).mean for d in self.draws])
        return Prediction(told.mean, np.sqrt(((means - told.mean) ** 2).mean(axis=0)), told.noise)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of the law."""
        return mean_of(self.center, W, scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "bootstrap",
            "center": self.center.to_dict(),
            "draws": [d.to_dict() for d in self.draws],
        }


@dataclass(frozen=True)
class Conformal:
    """Scales a law's intervals so that they cover held-out runs as often as they say.

    Args:
        base: name of the law, or the law.
        folds: over which runs are held out, mixtures never split.
        level: share that an interval of +- 1.645 sd shall cover (jackknife+ style, finite n).
    """

    base: "str | Law" = "log-linear"
    folds: int = 10
    level: float = 0.9

    @property
    def takes_scales(self) -> bool:
        """Whether its law does."""
        return as_law(self.base).takes_scales

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedConformal":
        """Fit the law, and measure its intervals on held-out runs.

        Raises:
            InputError: what the law raises.
        """
        runs = check_runs(W, Y, scale)
        base = as_law(self.base)
        fitted = base.fit(runs.W, runs.Y, runs.scale, rng=rng)
        try:
            predicted = refit_folds(base, runs, folds=self.folds, rng=rng)
        except InputError:
            # Too few runs to hold any out: twice the law's own sd is the stated fallback.
            return FittedConformal(fitted, np.full(runs.Y.shape[1], 2.0))
        return FittedConformal(fitted, _factors(runs.Y, predicted, self.level))


@dataclass(frozen=True, eq=False, repr=False)
class FittedConformal(Shown):
    """The law and the factors (k,) of its intervals."""

    base: FittedLaw
    factors: Array

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """The law's prediction, its intervals scaled."""
        told = self.base.predict(W, scale)
        return Prediction(told.mean, told.sd * self.factors, told.noise * self.factors)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of the law."""
        return mean_of(self.base, W, scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "conformal",
            "base": self.base.to_dict(),
            "factors": self.factors.tolist(),
        }


def read(values: JSON) -> FittedBootstrap | FittedConformal:
    """The fitted law that `to_dict` wrote."""
    if values["law"] == "conformal":
        return FittedConformal(fitted_law(values["base"]), numbers(values["factors"]))
    return FittedBootstrap(
        fitted_law(values["center"]), tuple(fitted_law(d) for d in values["draws"])
    )


def _resample(runs: Runs, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Rows of mixtures drawn with replacement."""
    count = int(runs.groups.max()) + 1
    drawn = rng.integers(count, size=count)
    members = [np.flatnonzero(runs.groups == g) for g in range(count)]
    return np.concatenate([members[g] for g in drawn])


def _factors(truth: Array, predicted: Prediction, level: float) -> Array:
    """(k,) the finite-sample quantile of held-out |error| / sd, over 1.645."""
    factors = np.ones(truth.shape[1])
    for j in range(truth.shape[1]):
        z = np.abs(truth[:, j] - predicted.mean[:, j]) / np.maximum(
            predicted.total_sd[:, j], 1e-300
        )
        z = z[np.isfinite(z)]
        if z.any():
            share = min(1.0, np.ceil((z.size + 1) * level) / z.size)
            factors[j] = max(float(np.quantile(z, share)) / 1.645, 1e-3)
    return factors
