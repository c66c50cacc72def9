"""All diagnostics that the runs behind an answer allow, in one object: is it to be trusted?"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from mixopt import diagnostics, laws
from mixopt.diagnostics import (
    CrossValidation,
    EpochControl,
    EpochMismatch,
    ExpectedTransfer,
    Extrapolation,
    Influence,
    LearningCurve,
    Noise,
    Transfer,
    Trust,
)
from mixopt.errors import InputError
from mixopt.judging.gating import gated, widening
from mixopt.judging.measuring import Beside, measure
from mixopt.judging.searched import Searched
from mixopt.proposers import Recommendation, Surrogate
from mixopt.runs.run_table import RunTable

_LEARNING_CURVE_RUNS = 24  # below, three sizes of a learning curve say nothing


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
        expected_transfer: how they are to be expected to rank against the scale of the answer,
            where no or few runs were made there.
        epochs: how often proxies and target pass over each domain.
        trust: the verdict.
        widening: by how much the law misses held-out runs more than it claims, at least 1; the sd
            of the answer is to be widened by it.
        missing: what could not be measured, and why.
        knowing_epochs: whether knowing the domains' sizes helps to predict the objective, where
            they are known and runs repeat their data.
    """

    validation: CrossValidation | None
    extrapolation: Extrapolation | None
    influence: Influence
    noise: Noise | None
    curve: LearningCurve | None
    transfer: Transfer | None
    expected_transfer: ExpectedTransfer | None
    epochs: EpochMismatch | None
    trust: Trust
    widening: float = 1.0
    missing: Mapping[str, str] = field(default_factory=dict, hash=False)
    knowing_epochs: EpochControl | None = None

    def lines(self) -> list[str]:
        """In plain words, the verdict last."""
        parts = (
            self.validation,
            self.noise,
            self.transfer,
            self.expected_transfer,
            self.curve,
            self.extrapolation,
            self.epochs,
            self.knowing_epochs,
        )
        told = [line for part in parts if part is not None for line in part.lines()]
        reasons = [f"no {name}: {why}" for name, why in self.missing.items()]
        return [*told, *self.influence.lines(), *reasons, *self.trust.lines()]


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
    where = searched or Searched(surrogate, runs, recommendation.mixture)
    measured, missing = measure(surrogate, runs, recommendation, beside, rng=rng, searched=searched)
    learning: LearningCurve | None = None
    if curve and len(where.runs) >= _LEARNING_CURVE_RUNS:
        law, table = surrogate.law or laws.law("auto"), where.runs.only(surrogate.metrics)
        try:
            learning = diagnostics.learning_curve(law, table, surrogate.objective, rng=rng)
        except InputError as error:
            missing = {**missing, "learning curve": str(error)}
    influence = diagnostics.influence(
        surrogate.fitted,
        recommendation.mixture.array,
        surrogate.objective,
        domains=runs.domains,
        metrics=surrogate.metrics,
        scale=surrogate.scale,
    )
    if beside.alone:
        influence = replace(influence, interaction=np.full_like(influence.interaction, np.nan))
    knowing_epochs: EpochControl | None = None
    if searched is None:
        knowing_epochs = diagnostics.objective_control(
            runs, surrogate.objective, beside.space, rng=np.random.default_rng(0)
        )
    return Checkup(
        measured.validation,
        measured.extrapolation,
        influence,
        measured.noise,
        learning,
        measured.transfer,
        measured.expected,
        beside.epochs,
        gated(surrogate, runs, recommendation, beside, measured, rng=rng, searched=searched),
        widening(where, measured.validation),
        missing,
        knowing_epochs,
    )
