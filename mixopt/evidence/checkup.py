"""All diagnostics that the runs behind an answer allow, in one object: is it to be trusted?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from mixopt import diagnostics, laws
from mixopt.diagnostics import (
    CrossValidation,
    EpochMismatch,
    Extrapolation,
    Influence,
    LearningCurve,
    Noise,
    Transfer,
    Trust,
)
from mixopt.errors import InputError
from mixopt.evidence.gating import Measured, gated, widening
from mixopt.evidence.odd import without_odd
from mixopt.proposers import Recommendation, Surrogate
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace
from mixopt.strategies import Searched

_LEARNING_CURVE_RUNS = 24  # below, three sizes of a learning curve say nothing

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Checkup:
    """What was measured about runs, law and answer; None where the runs do not allow it.

    Attributes:
        validation: how the law predicts runs that it was not shown.
        extrapolation: how far the recommendation is from all runs.
        influence: what each domain does around the recommendation.
        noise: of the metrics, from replicates or as the law infers it.
        curve: what more runs would bring.
        transfer: how small runs rank against larger ones.
        epochs: how often proxies and target pass over each domain.
        trust: the verdict.
        widening: by how much the law misses held-out runs more than it claims, at least 1; the sd
            of the answer is to be widened by it.
        missing: what could not be measured, and why.
    """

    validation: CrossValidation | None
    extrapolation: Extrapolation | None
    influence: Influence
    noise: Noise | None
    curve: LearningCurve | None
    transfer: Transfer | None
    epochs: EpochMismatch | None
    trust: Trust
    widening: float = 1.0
    missing: Mapping[str, str] = field(default_factory=dict, hash=False)

    def lines(self) -> list[str]:
        """In plain words, the verdict last."""
        parts = (
            self.validation,
            self.noise,
            self.transfer,
            self.curve,
            self.extrapolation,
            self.epochs,
        )
        told = [line for part in parts if part is not None for line in part.lines()]
        reasons = [f"no {name}: {why}" for name, why in self.missing.items()]
        return [*told, *self.influence.lines(), *reasons, *self.trust.lines()]


@dataclass(frozen=True, eq=False)
class Beside:
    """What bears on an answer and needs no law.

    Attributes:
        space: which mixtures are allowed.
        epochs: how often proxies and target pass over each domain, where that is known.
        doubts: what else speaks against trusting the answer, in plain words.
        repeats: runs with fresh seeds that the law did not see, at the scale of the answer.
    """

    space: MixtureSpace
    epochs: EpochMismatch | None = None
    doubts: Sequence[str] = ()
    repeats: RunTable | None = None


def check(
    surrogate: Surrogate,
    runs: RunTable,
    recommendation: Recommendation,
    beside: Beside,
    *,
    rng: np.random.Generator,
    curve: bool = True,
    searched: Searched | None = None,
) -> Checkup:
    """Run every diagnostic for which there are enough runs.

    Args:
        surrogate: the model that the answer comes from.
        runs: what it was fitted to, over the domains of the space.
        recommendation: the answer that is judged.
        beside: what is known without a law.
        rng: draws the folds.
        curve: whether to fit the law to parts of the runs as well (the slowest part).
        searched: what held-out runs, noise and distance are judged by, where more than the mixture
            was searched; what a domain does is always asked of `surrogate`.
    """
    objective, point = surrogate.objective, recommendation.mixture
    law = surrogate.law or laws.law("auto")
    where = searched or Searched(surrogate, runs, point)
    table, w = where.runs.only(surrogate.metrics), where.point.array
    missing: dict[str, str] = {}

    def tried(name: str, measure: Callable[[], T]) -> T | None:
        """One that has too few runs leaves the others alone, and its reason is kept."""
        try:
            return measure()
        except InputError as error:
            missing[name] = str(error)
            return None

    validation = tried(
        "held-out runs", lambda: diagnostics.cross_validate(law, table, objective, rng=rng)
    )
    extrapolation = tried("distance", lambda: diagnostics.extrapolation(w, table.W))
    noise = tried("seed noise", lambda: diagnostics.noise(table, where.surrogate.fitted))
    learning: LearningCurve | None = None
    if curve and len(table) >= _LEARNING_CURVE_RUNS:
        learning = tried(
            "learning curve", lambda: diagnostics.learning_curve(law, table, objective, rng=rng)
        )
    without = None
    if validation is not None and searched is None:
        without = without_odd(surrogate, runs, recommendation, beside.space, validation, rng=rng)
    transfer: Transfer | None = None
    if surrogate.scale is not None:
        transfer = tried("transfer", lambda: diagnostics.transfer(table, objective))
    return Checkup(
        validation,
        extrapolation,
        diagnostics.influence(
            surrogate.fitted,
            point.array,
            objective,
            domains=runs.domains,
            metrics=surrogate.metrics,
            scale=surrogate.scale,
        ),
        noise,
        learning,
        transfer,
        beside.epochs,
        gated(
            surrogate,
            runs,
            recommendation,
            beside.space,
            Measured(
                validation,
                extrapolation,
                noise,
                transfer,
                beside.epochs,
                beside.doubts,
                without,
                beside.repeats,
            ),
            searched=searched,
            rng=rng,
        ),
        widening(where, validation),
        missing,
    )
