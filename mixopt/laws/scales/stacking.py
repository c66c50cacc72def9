"""Laws over a ladder of scales, weighted by what they say of scales and mixtures held out.

A law of mixtures with an affine map to every scale (`correction`) stands beside formulas in N and D
(2507.09404). Two sets of weights are learned per metric: *inside* the scales that were seen, from
held-out mixtures; and *beyond* them, from the largest model held out, for a law that interpolates
well may extrapolate badly. With fewer than three well-filled scales only `correction` is used.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; scale: (n, 2) parameters and tokens
    weights: (l, k) of l laws; E: (l, n, k) held-out errors
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.laws import fitted_law, law, progress
from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Law,
    Prediction,
    Runs,
    check_runs,
    check_scale,
    numbers,
    several_scales,
)
from mixopt.laws.held_out import refit_folds, sd_factors, stacking_weights
from mixopt.laws.mean import combine, combine_means
from mixopt.laws.scales.widths import nearest, scale_factors
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array

_FORMULAS = ("shukor-joint", "shukor-additive")
_RUNGS, _MIXTURES = 3, 4  # fewer scales, with fewer mixtures, tell nothing of a formula in N and D
_LEVEL = 0.1  # of a common error of level beside one of ranking, where weights are learned
_SHRINK = 0.1


@dataclass(frozen=True)
class Stacking:
    """The ensemble over scales.

    Args:
        base: law of mixtures for `correction`.
        quick: the same for held-out runs, where it is fitted many times.
        formulas: names of the scale laws beside it.
        folds: of cross-validation over mixtures.
    """

    base: "str | Law" = "gp"
    quick: str = "gp"
    formulas: Sequence[str] = _FORMULAS
    folds: int = 4

    takes_scales: ClassVar[bool] = True

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> FittedLaw:
        """Fit all laws to all runs, and weigh them by held-out runs.

        Raises:
            InputError: see `check_runs`; or no law can be fitted.
        """
        runs = check_runs(W, Y, scale)
        names = ["correction", *(self.formulas if _fills_scales(runs) else ())]
        fitted: dict[str, FittedLaw] = {}
        failures = []
        for name in names:
            made = law(name, base=self.base) if name == "correction" else law(name)
            try:
                with progress.within(f"law over scales {name!r}"):
                    fitted[name] = made.fit(runs.W, runs.Y, runs.scale, rng=rng)
            except InputError as error:
                failures.append(str(error))
        if not fitted:
            raise InputError(failures[0])
        if len(fitted) == 1:
            return next(iter(fitted.values()))
        with progress.within("held-out scales and mixtures"):
            return self._weigh(fitted, runs, rng)

    def _weigh(
        self, fitted: dict[str, FittedLaw], runs: Runs, rng: np.random.Generator
    ) -> "FittedStacking":
        assert runs.scale is not None
        quick = [
            law(name, base=self.quick, rounds=0) if name == "correction" else law(name)
            for name in fitted
        ]
        top = _largest(runs.scale)
        seed = int(rng.integers(2**62))
        inside = [
            refit_folds(x, runs, folds=self.folds, rng=np.random.default_rng(seed), start=whole)
            for x, whole in zip(quick, fitted.values(), strict=True)
        ]
        weights = farther = _weights(inside, runs)
        rest, told = np.unique(runs.scale[~top], axis=0), inside
        if len(rest) >= 2:
            # Not from what all runs taught: the scale that is held out must not be known.
            told = [_without(x, runs, top, rng) for x in quick]
            farther = _weights(told, runs)
        again = [
            x.fit(runs.W, runs.Y, runs.scale, rng=rng) if name == "correction" else fitted[name]
            for name, x in zip(fitted, quick, strict=True)
        ]
        parts = tuple(fitted.values())
        scales, factors = scale_factors(runs, inside, weights, again, parts)
        return FittedStacking(
            parts,
            scales,
            np.stack([weights, farther]),
            factors,
            sd_factors(runs.Y, combine(told, farther)),
        )


@dataclass(frozen=True, eq=False, repr=False)
class FittedStacking(Shown):
    """Fitted laws with weights inside and beyond the scales that were seen.

    Attributes:
        parts: (l) laws. scales: (s, 2) parameters and tokens that were seen.
        weights: (2, l, k) inside and beyond.
        factors: (s, k) of the intervals at every scale, and at those in between which it is nearest
            to. farther: (k,) of the intervals beyond.
    """

    parts: tuple[FittedLaw, ...]
    scales: Array
    weights: Array
    factors: Array
    farther: Array

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) and scales (n, 2) or (2,); the largest seen without one."""
        asked, beyond = self._asked(W, scale)
        predictions = [p.predict(W, asked) for p in self.parts]
        inside, outside = (combine(predictions, w) for w in self.weights)
        factors = self.factors[nearest(self.scales, asked)]
        # Of several scales the noise is that of the noisiest, at each as far as it is believed.
        noise = inside.noise * np.where(beyond, 0.0, factors).max(axis=0, initial=0.0)
        return Prediction(
            np.where(beyond, outside.mean, inside.mean),
            np.where(beyond, outside.sd * self.farther, inside.sd * factors),
            outside.noise * self.farther if beyond.all() else noise,
        )

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        asked, beyond = self._asked(W, scale)
        inside, outside = (combine_means(self.parts, w, W, asked) for w in self.weights)
        return np.where(beyond, outside, inside)

    def _asked(self, W: Array, scale: Array | None) -> tuple[Array, NDArray[np.bool_]]:
        """(n, 2) scales asked for, and (n, 1) which are beyond those that were seen."""
        rows = len(np.atleast_2d(W))
        asked = check_scale(scale, rows)
        if asked is None:
            asked = np.tile(self.scales.max(axis=0), (rows, 1))
        return asked, (np.log(asked / self.scales.max(axis=0)).max(axis=1) > 1e-6)[:, None]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "stacking",
            "parts": [p.to_dict() for p in self.parts],
            "scales": self.scales.tolist(),
            "weights": self.weights.tolist(),
            "factors": self.factors.tolist(),
            "farther": self.farther.tolist(),
        }


def read(values: JSON) -> FittedStacking:
    """The fitted law that `to_dict` wrote."""
    return FittedStacking(
        tuple(fitted_law(p) for p in values["parts"]),
        *(numbers(values[name]) for name in ("scales", "weights", "factors", "farther")),
    )


def _fills_scales(runs: Runs) -> bool:
    if runs.scale is None or not several_scales(runs.scale):
        return False
    _, at = np.unique(runs.scale, axis=0, return_inverse=True)
    at = np.asarray(at).reshape(-1)
    filled = [np.unique(runs.groups[at == i]).size for i in range(int(at.max()) + 1)]
    # Where every run has its own scale no scale is filled, and formulas are all there is.
    return sum(f >= _MIXTURES for f in filled) >= _RUNGS or len(filled) >= 4 * _RUNGS


def _largest(scale: Array) -> NDArray[np.bool_]:
    """Rows of the largest model; where all are of one size, of the most tokens."""
    column = 0 if np.ptp(scale[:, 0]) > 0 else 1
    return np.asarray(scale[:, column] == scale[:, column].max())


def _without(made: Law, runs: Runs, out: NDArray[np.bool_], rng: np.random.Generator) -> Prediction:
    """Predictions of some rows by the law fitted to the others; NaN elsewhere."""
    assert runs.scale is not None
    mean, sd = np.full((2, *runs.Y.shape), np.nan)
    fitted = made.fit(runs.W[~out], runs.Y[~out], runs.scale[~out], rng=rng)
    predicted = fitted.predict(runs.W[out], runs.scale[out])
    mean[out], sd[out] = predicted.mean, predicted.sd
    return Prediction(mean, sd, predicted.noise)


def _weights(predictions: list[Prediction], runs: Runs) -> Array:
    """(l, k) weights from held-out predictions."""
    errors = np.stack([runs.Y - f.mean for f in predictions])
    level = np.nanmean(errors, axis=1, keepdims=True)
    return stacking_weights(errors - (1.0 - _LEVEL) * level, _SHRINK, np.zeros(runs.Y.shape[1]))
