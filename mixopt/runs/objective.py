"""What is to be minimised: metrics, weights, directions and guards.

Notation:
    Y: (n, k) metrics in the order of `metrics`; F: (n,) objective, lower is always better
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.runs.run_spec import Observation
from mixopt.space.simplex import Array

Metrics = str | Sequence[str] | Mapping[str, float]
"""One metric, several with equal weights, or metric to weight."""


def weights_of(metrics: Metrics) -> dict[str, float]:
    """Metric to weight, however it was written."""
    if isinstance(metrics, str):
        return {metrics: 1.0}
    return dict(metrics) if isinstance(metrics, Mapping) else dict.fromkeys(metrics, 1.0)


@dataclass(frozen=True)
class Guard:
    """A metric that may not get worse than a baseline by more than a fraction of its value.

    >>> Objective({"code": 1.0}, guards=(Guard("web", tolerance=0.01),)).needed
    ('code', 'web')
    """

    metric: str
    tolerance: float = 0.0
    baseline: str = "natural"


@dataclass(frozen=True)
class Objective:
    """A weighted mean (or the worst) of metrics; lower is better after directions are applied.

    Attributes:
        weights: metric to weight, non-negative, scaled to sum to 1.
        maximize: metrics where higher is better; they enter with the opposite sign.
        scales: metric to the unit it is divided by (the sd over runs makes z-scores); default 1.
        reduce: `"mean"`, or `"worst"` for the largest of the scaled metrics.
        guards: metrics that may not get worse than a baseline.
        standardize: divide every metric by its sd over the runs when a law is fitted (z-scores),
            so that weights do not depend on units; overrules `scales`.
        kl: strength of a pull towards the natural mixture, kl * KL(w || natural), added when a
            mixture is chosen (not to reported values); 0 is none.
        kl_unit: of `kl`: `"objective"` (absolute, as Olmix's .05), or `"sd"`, in units of the sd of
            the objective over mixtures, which does not depend on the metric's unit.
        reliability: `"down-weight"` multiplies every weight by the share of the metric's variance
            over mixtures that is no seed noise, measured on repeated runs when a law is fitted.
        reliabilities: metric to that share, in an objective whose weights were multiplied.

    Raises:
        InputError: no metric, a weight below zero, a direction for a metric that is not weighed, or
            weights by reliability for the worst of the metrics.

    >>> Objective.of({"code": 2, "web": 2}).weights
    {'code': 0.5, 'web': 0.5}
    """

    weights: Mapping[str, float] = field(hash=False)
    maximize: frozenset[str] = frozenset()
    scales: Mapping[str, float] = field(default_factory=dict, hash=False)
    reduce: Literal["mean", "worst"] = "mean"
    guards: tuple[Guard, ...] = ()
    standardize: bool = False
    kl: float = 0.0
    kl_unit: Literal["objective", "sd"] = "objective"
    reliability: Literal["ignore", "down-weight"] = "ignore"
    reliabilities: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        total = sum(self.weights.values())
        bad = [k for k, v in self.weights.items() if not (np.isfinite(v) and v >= 0)]
        if bad or not total > 0:
            raise InputError(
                f"objective weights {dict(self.weights)} must be numbers >= 0, at least one above 0"
            )
        unknown = sorted(self.maximize - set(self.weights) - {g.metric for g in self.guards})
        if unknown:
            raise InputError(f"{unknown[0]!r} is to be maximised but has no weight; give it one")
        wrong = [k for k, v in self.scales.items() if not (np.isfinite(v) and v > 0)]
        if wrong:
            raise InputError(
                f"scale of metric {wrong[0]!r} is {self.scales[wrong[0]]}; give a number above 0"
            )
        if not (np.isfinite(self.kl) and self.kl >= 0):
            raise InputError(f"kl is {self.kl}; give a number >= 0")
        if self.reliability != "ignore" and self.reduce == "worst":
            raise InputError(
                "the worst of the metrics is taken, in which weights do not count: leave "
                "'reliability' out, or take the mean"
            )
        object.__setattr__(self, "weights", {k: v / total for k, v in self.weights.items()})
        object.__setattr__(self, "maximize", frozenset(self.maximize))

    @classmethod
    def of(
        cls,
        metrics: "Metrics | Objective",
        maximize: Metrics = (),
    ) -> "Objective":
        """An objective from one metric, several (equal weights), or metric to weight.

        Args:
            metrics: what counts; lower is better unless it is named under `maximize`.
            maximize: metrics where higher is better; those not among `metrics` are added.
        """
        if isinstance(metrics, Objective):
            return metrics
        higher = weights_of(maximize)
        return cls({**higher, **weights_of(metrics)}, maximize=frozenset(higher))

    def describe(self) -> str:
        """The objective in words, e.g. `code` or `mean of code, web`."""
        names = [f"-{k}" if k in self.maximize else k for k in self.metrics]
        if len(names) == 1:
            return names[0]
        equal = len(set(self.weights[k] for k in self.metrics)) == 1
        if not equal:
            weighted = zip(self.metrics, names, strict=True)
            names = [f"{self.weights[k]:.3g} {name}" for k, name in weighted]
        listing = ", ".join(names) if len(names) <= 6 else f"{len(names)} metrics"
        return f"{'worst' if self.reduce == 'worst' else 'mean'} of {listing}"

    def unit(self, of_metrics: str) -> str:
        """The unit of the objective: that of the metrics, unless it turns or scales them."""
        plain = all(s == 1 for s in self.scales.values()) and not self.standardize
        return of_metrics if plain and not self.maximize else ""

    def standardized(self, Y: Array, metrics: Sequence[str]) -> "Objective":
        """The same with every weighed metric in units of its sd over runs Y (n, k): z-scores.

        A metric that is the same in all runs keeps its unit: it cannot change the choice.
        """
        self.check(metrics)
        scales = {}
        for name in self.metrics:
            seen = Y[:, list(metrics).index(name)]
            spread = float(np.std(seen[np.isfinite(seen)])) if np.isfinite(seen).any() else 0.0
            scales[name] = spread if spread > 1e-12 else 1.0
        return replace(self, scales=scales, standardize=False)

    def down_weighted(self, reliabilities: Mapping[str, float]) -> "Objective":
        """The same with every weight multiplied by the metric's reliability, above 0 to 1."""
        weights = {k: v * reliabilities.get(k, 1.0) for k, v in self.weights.items()}
        told = dict(reliabilities)
        return replace(self, weights=weights, reliability="ignore", reliabilities=told)

    @property
    def weighing(self) -> str:
        """Weights, and what was asked, where reliability changed them; else empty."""
        if not self.reliabilities:
            return ""
        asked = {k: self.weights[k] / self.reliabilities[k] for k in self.metrics}
        total = sum(asked.values())
        parts = [
            f"{k} {self.weights[k]:.3g} (asked {asked[k] / total:.3g}, reliability "
            f"{self.reliabilities[k]:.2f})"
            for k in self.metrics
        ]
        return f"metrics weigh by their reliability on repeated runs: {', '.join(parts)}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that carry weight."""
        return tuple(k for k, v in self.weights.items() if v > 0)

    @property
    def needed(self) -> tuple[str, ...]:
        """Every metric that it names, in weights or guards."""
        return tuple(dict.fromkeys([*self.weights, *(g.metric for g in self.guards)]))

    def check(self, known: Sequence[str]) -> None:
        """Refuse metrics that the runs do not have.

        Raises:
            InputError: an unknown metric; the known ones are listed.
        """
        for name in self.needed:
            if name not in known:
                raise InputError(f"unknown metric {name!r}; {did_you_mean(name, known)}")

    def coefficients(self, metrics: Sequence[str]) -> Array:
        """(k,) signed weight of every metric: weight / scale, negative where higher is better."""
        self.check(metrics)
        return np.array(
            [
                self.weights.get(name, 0.0)
                / self.scales.get(name, 1.0)
                * (-1.0 if name in self.maximize else 1.0)
                for name in metrics
            ]
        )

    def value(self, Y: Array, metrics: Sequence[str]) -> Array:
        """(n,) objective of metrics Y (n, k); NaN where a metric that it needs is missing."""
        c = self.coefficients(metrics)
        used = c != 0
        if self.reduce == "worst":
            return np.asarray((Y[:, used] * np.sign(c[used]) / self._units(metrics)[used]).max(1))
        return np.asarray(Y[:, used] @ c[used])

    def moments(self, mean: Array, sd: Array, metrics: Sequence[str]) -> tuple[Array, Array]:
        """(n,) mean and (n,) sd of the objective, metrics taken as independent given the runs.

        For `reduce="worst"` the mean is the worst of the means (a lower bound of the mean of the
        worst) and the sd is that of the metric which is worst.
        """
        c = self.coefficients(metrics)
        if self.reduce == "mean":
            used = c != 0
            return np.asarray(mean[:, used] @ c[used]), np.sqrt(sd[:, used] ** 2 @ c[used] ** 2)
        used = np.flatnonzero(c)
        unit = self._units(metrics)[used]
        signed = mean[:, used] * np.sign(c[used]) / unit
        worst = signed.argmax(axis=1)
        rows = np.arange(len(mean))
        return signed[rows, worst], (sd[:, used] / unit)[rows, worst]

    def _units(self, metrics: Sequence[str]) -> Array:
        return np.array([self.scales.get(name, 1.0) for name in metrics])


def objective_of(metrics: Mapping[str, float], objective: Objective) -> float:
    """The objective of one run's metrics (lower is better)."""
    names = tuple(metrics)
    return float(objective.value(np.array([list(metrics.values())]), names)[0])


def judged(seen: Observation, objective: Objective) -> Observation:
    """The run; a failed one, with the reason, where it lacks a metric that the objective needs.

    A record may hold such runs (an odd trainer, an objective that was changed): laws, report and
    confirmation see them as failed, and go on.
    """
    missing = [name for name in objective.needed if name not in seen.metrics]
    if not seen.ok or not missing:
        return seen
    known = ", ".join(sorted(seen.metrics)[:12]) or "none"
    reason = (
        f"the trainer gave no metric {missing[0]!r}, which the objective needs; it gave: {known}"
    )
    return replace(seen, status="failed", metrics={}, error=reason)
