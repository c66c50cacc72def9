"""Linear models: least squares on weights, and ridge on [w, sqrt w, log(w + epsilon)].

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; Z: (n, p) standardised features
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mixopt.laws.base import JSON, Prediction, as_mixtures, check_runs, one_scale
from mixopt.laws.features import EPSILON, FeatureMap
from mixopt.laws.linear import LinearFit, fit_linear
from mixopt.laws.shown import Shown
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

RIDGES = (1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Ridge:
    """Ridge regression, the penalty chosen per metric by leave-one-out error.

    Args:
        features: `"all"`, `"weights"`, `"sqrt"` or `"log"`.
        epsilon: offset of the log feature.
        ridges: penalties compared, in units of the variance of a metric; one near 0 with
            `features="weights"` is least squares, RegMix's baseline.
        name: in `mixopt.laws.LAWS`.
    """

    features: str = "all"
    epsilon: float = EPSILON
    ridges: tuple[float, ...] = RIDGES
    name: str = "ridge"

    takes_scales: ClassVar[bool] = False

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedRidge":
        """Fit one model per metric; deterministic, `rng` is not drawn from.

        Raises:
            InputError: see `check_runs`; or runs of several scales.
        """
        del rng
        runs = one_scale(check_runs(W, Y, scale), self.name)
        features, standard = (
            FeatureMap.learn(runs.W, self.features, self.epsilon),
            Standard.learn(runs.Y),
        )
        Z, T = features(runs.W), standard.forward(runs.Y)
        fits = []
        for column in range(T.shape[1]):
            seen = np.isfinite(runs.Y[:, column])
            fits.append(fit_linear(Z[seen], T[seen, column], self.ridges, runs.groups[seen]))
        loo = np.full(runs.Y.shape, np.nan)
        for column, fit in enumerate(fits):
            loo[np.isfinite(runs.Y[:, column]), column] = fit.loo
        fitted = FittedRidge(self.name, features, standard, tuple(fits))
        at_runs = fitted.predict(runs.W)
        held_out = Prediction(runs.Y - standard.residual(loo), at_runs.sd, at_runs.noise)
        return replace(fitted, held_out=held_out)


def least_squares() -> Ridge:
    """Least squares on the weights, the baseline of RegMix (2407.01492)."""
    return Ridge("weights", ridges=(1e-6,), name="linear")


@dataclass(frozen=True, eq=False, repr=False)
class FittedRidge(Shown):
    """Features, units and one linear fit per metric; `held_out` is not kept in JSON."""

    name: str
    features: FeatureMap
    standard: Standard
    fits: tuple[LinearFit, ...]
    held_out: Prediction | None = None

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m); `scale` is not used."""
        del scale
        domains = self.features.center.size // (3 if self.features.name == "all" else 1)
        Z = self.features(as_mixtures(W, domains))
        mean, variance = (
            np.column_stack(x) for x in zip(*(f.moments(Z) for f in self.fits), strict=True)
        )
        noise = np.array([f.noise for f in self.fits])
        return self.standard.prediction(mean, np.sqrt(variance), noise)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": self.name,
            "features": self.features.to_dict(),
            "standard": self.standard.to_dict(),
            "fits": [f.to_dict() for f in self.fits],
        }


def read(values: JSON) -> FittedRidge:
    """The fitted law that `to_dict` wrote."""
    return FittedRidge(
        values["law"],
        FeatureMap.read(values["features"]),
        Standard.read(values["standard"]),
        tuple(LinearFit.read(f) for f in values["fits"]),
    )
