"""The default: an ensemble chosen and weighted per metric by runs that were held out.

Two Gaussian processes (on sqrt w and log w) fit best within a scale; formulas bend the right way
outside the runs, need few of them and transfer well. Each metric gets the weights of least held-out
error, drawn towards equal weights (`stacking_weights`), and intervals that are scaled to cover
held-out runs. Where the domains' tokens and the budget of the target are known, the law of epochs
stands beside them if the runs that were held out say so.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; weights: (l, k) of l laws
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mixopt.errors import InputError
from mixopt.laws import Named, as_law, fitted_law, law, progress
from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Law,
    Prediction,
    Runs,
    Sized,
    Tagged,
    check_runs,
    numbers,
    plain,
    several_scales,
    sizes_known,
)
from mixopt.laws.held_out import held_out, sd_factors, stacking_weights
from mixopt.laws.mean import combine, combine_means
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array

DEFAULT = ("gp", "gp-log", "log-linear-sqrt", "shukor-additive", "bimix")
MANY_DOMAINS = ("gp", "gp-log", "log-linear-sqrt", "log-linear")
"""Beyond 64 domains formulas with several parameters per domain cost minutes and tell little."""
_EPOCHS = "epochs"
_SURE = 2.0  # standard errors by which held-out squared error has to fall for the law of epochs


@dataclass(frozen=True)
class Ensemble:
    """An ensemble that weighs itself.

    Args:
        laws: laws to choose from, as themselves, by name, or as `{use: NAME, ...}`; `DEFAULT` (or
            `MANY_DOMAINS`) if left out.
        folds: of cross-validation; mixtures are never split between folds.
        shrink: how far weights are drawn to equal ones, in units of the best law's squared error.
        transfer: sd of what another scale does differently, in units of the sd of a metric: errors
            below it are as good as none. The same mixtures at two scales correlate at about .995.
        tokens: (m,) unique tokens per domain; where all are known, and the budget, the law `epochs`
            is tried beside the others. A sweep, a study and `mixopt fit` give those of the space.
        budget: training tokens of the target.

    Raises:
        InputError: an unknown name among the laws, or settings that one of them does not take.
    """

    laws: Sequence["Named | Law"] | None = None
    folds: int = 5
    shrink: float = 0.1
    transfer: float = 0.1
    tokens: Sequence[float] | None = None
    budget: float | None = None

    takes_scales: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.laws is not None:
            made = tuple(as_law(given) for given in self.laws)
            object.__setattr__(self, "laws", made)

    def sized(self, tokens: Array, budget: float | None) -> "Ensemble":
        """The same with tokens and budget where it was not given any."""
        if self.tokens is None and not np.isfinite(tokens).any():
            return self
        own = tuple(tokens.tolist()) if self.tokens is None else self.tokens
        return replace(self, tokens=own, budget=budget if self.budget is None else self.budget)

    def tagged(self, domains: Sequence[str], tags: Sequence[Mapping[str, str]]) -> "Ensemble":
        """The same with laws that were told what the domains' tags say.

        Raises:
            InputError: what one of them needs is not there.
        """
        if self.laws is None:
            return self
        told = (x.tagged(domains, tags) if isinstance(x, Tagged) else x for x in self.laws)
        return replace(self, laws=tuple(told))

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> FittedLaw:
        """Fit every law to all runs, and weigh them by held-out runs.

        Raises:
            InputError: see `check_runs`.
        """
        runs = check_runs(W, Y, scale)
        if several_scales(runs.scale):
            # Maps and formulas over scales are learned around the same ensemble.
            return law("stacking", base=self).fit(runs.W, runs.Y, runs.scale, rng=rng)
        few = runs.W.shape[1] <= 64
        laws = self.laws or (DEFAULT if few else MANY_DOMAINS)
        made = [self._with_sizes(plain(as_law(x))) for x in laws]
        parts = tuple(
            _fit_one(x, runs, rng, f"law {i} of {len(made)}") for i, x in enumerate(made, start=1)
        )
        seed = int(rng.integers(2**62))
        predictions = self._held_out(made, parts, runs, seed)
        if predictions is None:
            k = runs.Y.shape[1]
            return FittedEnsemble(parts, np.full((len(parts), k), 1.0 / len(parts)), np.ones(k))
        weights = self._weights(runs.Y, predictions)
        if few and self.laws is None and self._knows_epochs:
            more = self._epochs(runs, predictions, weights, seed)
            if more is not None:
                parts, predictions = (*parts, more[0]), [*predictions, more[1]]
                weights = self._weights(runs.Y, predictions)
        together = combine(predictions, weights)
        return FittedEnsemble(parts, weights, sd_factors(runs.Y, together), together)

    def _epochs(
        self, runs: Runs, predictions: Sequence[Prediction], weights: Array, seed: int
    ) -> tuple[FittedLaw, Prediction] | None:
        """The law of epochs and its held-out predictions; None where the others are as good alone.

        It has random numbers of its own, so that where it is left out nothing else changes.
        """
        made = self._with_sizes(as_law(_EPOCHS))
        fitted = _fit_one(made, runs, np.random.default_rng(seed), "the law of epochs")
        told = self._held_out([made], [fitted], runs, seed)
        if told is None:
            return None
        both = [*predictions, *told]
        wider = combine(both, self._weights(runs.Y, both)).mean
        if not _better(runs.Y, wider, combine(predictions, weights).mean):
            return None
        return fitted, told[0]

    @property
    def _knows_epochs(self) -> bool:
        if self.tokens is None or self.budget is None:
            return False
        return sizes_known(np.asarray(self.tokens, dtype=float))

    def _with_sizes(self, law: Law) -> Law:
        if self.tokens is None or not isinstance(law, Sized):
            return law
        return law.sized(np.asarray(self.tokens, dtype=float), self.budget)

    def _weights(self, Y: Array, predictions: Sequence[Prediction]) -> Array:
        errors = np.stack([Y - f.mean for f in predictions])
        return stacking_weights(errors, self.shrink, self.transfer**2 * np.nanvar(Y, axis=0))

    def _held_out(
        self, made: Sequence[Law], parts: Sequence[FittedLaw], runs: Runs, seed: int
    ) -> list[Prediction] | None:
        """Held-out predictions of every law on the same folds; None where runs are too few."""
        told = []
        try:
            for i, (x, fitted) in enumerate(zip(made, parts, strict=True), start=1):
                with progress.within(f"held-out runs, law {i} of {len(made)}"):
                    rng = np.random.default_rng(seed)
                    told.append(held_out(x, fitted, runs, folds=self.folds, rng=rng))
        except InputError:
            return None
        return told


def _fit_one(law: Law, runs: Runs, rng: np.random.Generator, doing: str) -> FittedLaw:
    with progress.within(doing):
        return law.fit(runs.W, runs.Y, rng=rng)


def _better(Y: Array, one: Array, other: Array) -> bool:
    """Whether the held-out means `one` (n, k) are nearer to Y than `other`, beyond chance."""
    unit = np.nanvar(Y, axis=0)
    gained = ((Y - other) ** 2 - (Y - one) ** 2) / np.where(unit > 0, unit, np.inf)
    per_run = np.nanmean(gained[np.isfinite(gained).any(axis=1)], axis=1)
    error = float(per_run.std(ddof=1) / np.sqrt(len(per_run))) if len(per_run) > 1 else np.inf
    return bool(per_run.mean() > _SURE * error)


@dataclass(frozen=True, eq=False, repr=False)
class FittedEnsemble(Shown):
    """Fitted laws, their weights (l, k), and factors (k,) of their intervals.

    `held_out` of the training runs is kept in memory, not in JSON; its intervals are not scaled.
    """

    parts: tuple[FittedLaw, ...]
    weights: Array
    factors: Array
    held_out: Prediction | None = None

    @property
    def members(self) -> dict[str, Array]:
        """Name of a law to its weights (k,)."""
        names = [str(part.to_dict()["law"]) for part in self.parts]
        return dict(zip(names, self.weights, strict=True))

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Weighted mean of the laws; intervals hold their ignorance and their disagreement."""
        together = combine([p.predict(W, scale) for p in self.parts], self.weights)
        return Prediction(together.mean, together.sd * self.factors, together.noise * self.factors)

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        return combine_means(self.parts, self.weights, W, scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "auto",
            "parts": [p.to_dict() for p in self.parts],
            "weights": self.weights.tolist(),
            "factors": self.factors.tolist(),
        }


def read(values: JSON) -> FittedEnsemble:
    """The fitted law that `to_dict` wrote."""
    return FittedEnsemble(
        tuple(fitted_law(p) for p in values["parts"]),
        numbers(values["weights"]),
        numbers(values["factors"]),
    )
