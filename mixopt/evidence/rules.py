"""The rules by which a recommendation is promoted, given before anything was trained.

Notation:
    value: what is judged, lower is better: the objective, or one metric with its sign
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.proposers import Surrogate
from mixopt.runs import Scale
from mixopt.runs.objective import Guard, Objective, objective_of
from mixopt.space.simplex import Array

LEVEL = 0.05
"""Chance that a candidate which is no better than a baseline passes, all candidates together."""


@dataclass(frozen=True)
class Rules:
    """What a promotion has to show.

    Attributes:
        scale: at which candidates and baselines are trained; at least the target of the sweep.
        metric: that is judged; the objective of the study where empty.
        gain: the candidate must be better than every baseline by more than this, beyond noise, in
            units of what is judged.
        against: names of baselines; all that the space has where empty.
        guards: metrics that may not get worse than a baseline by more than a fraction, as measured.
        optimism: largest share of the predicted gain that may be missing in the measured one.
        transfer: least share of pairs, of those that differ beyond noise, that the model ordered
            as they were measured.
        repetition: whether domains must be repeated as often as the target run will.
        seeds: fresh seeds of every plan.
        candidates: how many mixtures that could be promoted are trained; the recommended first.
        between: whether to train what lies halfway from the recommended to each other candidate.
        budget: FLOPs that promotion may spend; infinite without a limit.
    """

    scale: Scale
    metric: str = ""
    gain: float = 0.0
    against: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    optimism: float = 0.5
    transfer: float = 0.75
    repetition: bool = True
    seeds: int = 3
    candidates: int = 2
    between: bool = True
    budget: float = float("inf")


@dataclass(frozen=True)
class Given:
    """When the rules were given.

    Attributes:
        digest: of the rules (`digest_of`), as it was kept in the store.
        after: how many runs there were. 0: before the first, and only then they are predeclared.
    """

    digest: str
    after: int = 0

    @property
    def line(self) -> str:
        """For people, wherever the decision is."""
        if not self.after:
            return f"The rules ({self.digest}) were given before the first run."
        runs = f"{self.after} run{'s' * (self.after != 1)}"
        return (
            f"The rules ({self.digest}) were given after {runs}, when results were known: what had "
            "been seen counts for nothing, and every plan was trained with seeds that came later."
        )


@dataclass(frozen=True)
class Yardstick:
    """What promotion is judged by.

    Attributes:
        objective: of the study, in the units in which it was minimised.
        metric: judged in its place; empty for the objective.
    """

    objective: Objective
    metric: str = ""

    @property
    def sign(self) -> float:
        """-1 where the metric is better when higher."""
        return -1.0 if self.metric in self.objective.maximize else 1.0

    @property
    def name(self) -> str:
        """For people."""
        if not self.metric:
            return self.objective.describe()
        return f"-{self.metric}" if self.sign < 0 else self.metric

    def unit(self, of_metrics: str) -> str:
        """Of what is judged."""
        return of_metrics if self.metric else self.objective.unit(of_metrics)

    def value(self, metrics: Mapping[str, float]) -> float:
        """Of one run; NaN where it lacks a metric."""
        if self.metric:
            return self.sign * metrics.get(self.metric, float("nan"))
        # What has no weight (guards) may be missing: it enters no value.
        filled = {name: metrics.get(name, float("nan")) for name in self.objective.needed}
        return objective_of(filled, self.objective)

    def predict(self, surrogate: Surrogate, W: Array) -> tuple[Array, Array]:
        """(n,) mean and sd at mixtures (n, m); NaN where the model does not know the metric."""
        if not self.metric:
            return surrogate.moments(W)
        if self.metric not in surrogate.metrics:
            return np.full(len(W), np.nan), np.full(len(W), np.nan)
        seen, at = surrogate.predict(W), surrogate.metrics.index(self.metric)
        return self.sign * seen.mean[:, at], seen.sd[:, at]

    def noise(self, surrogate: Surrogate, w: Array) -> float:
        """Sd of one run at mixture w (m,), as the model infers it."""
        if not self.metric:
            return surrogate.noise(w[None])
        if self.metric not in surrogate.metrics:
            return float("nan")
        noise = surrogate.predict(w[None]).noise
        return float(np.asarray(noise)[surrogate.metrics.index(self.metric)])


def digest_of(rules: Mapping[str, Any]) -> str:
    """12 hexadecimal digits of rules as plain JSON values, the same on any machine."""
    text = json.dumps(rules, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
