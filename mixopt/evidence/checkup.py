"""All diagnostics that a study's runs allow, in one object: is the answer to be trusted?"""

from dataclasses import dataclass

import numpy as np

from mixopt import diagnostics
from mixopt.diagnostics import (
    CrossValidation,
    Extrapolation,
    Influence,
    LearningCurve,
    Noise,
    Transfer,
    Trust,
)
from mixopt.errors import InputError
from mixopt.proposers import Recommendation
from mixopt.study import Study

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
        trust: the verdict.
    """

    validation: CrossValidation | None
    extrapolation: Extrapolation | None
    influence: Influence
    noise: Noise | None
    curve: LearningCurve | None
    transfer: Transfer | None
    trust: Trust

    def lines(self) -> list[str]:
        """In plain words, the verdict last."""
        parts = (self.validation, self.noise, self.transfer, self.curve, self.extrapolation)
        told = [line for part in parts if part is not None for line in part.lines()]
        return [*told, *self.influence.lines(), *self.trust.lines()]


def check(
    study: Study,
    recommendation: Recommendation,
    *,
    curve: bool = True,
    every_metric: bool = True,
) -> Checkup:
    """Run every diagnostic for which there are enough runs.

    Args:
        study: its runs and its law.
        recommendation: the answer that is judged.
        curve: whether to fit the law to parts of the runs as well (the slowest part).
        every_metric: whether to cross-validate metrics that the objective does not weigh.
    """
    table, objective, law = study.table, study.objective, study.law
    validated = table if every_metric else table.only(objective.needed)
    surrogate, w = study.surrogate, recommendation.mixture.array
    rng = np.random.default_rng([study.seed, len(table)])
    validation: CrossValidation | None = None
    extrapolation: Extrapolation | None = None
    learning: LearningCurve | None = None
    transfer: Transfer | None = None
    noise: Noise | None = None
    try:
        validation = diagnostics.cross_validate(law, validated, objective, rng=rng)
        extrapolation = diagnostics.extrapolation(w, table.W)
        noise = diagnostics.noise(table, surrogate.fitted)
        if curve and len(table) >= _LEARNING_CURVE_RUNS:
            learning = diagnostics.learning_curve(law, table, objective, rng=rng)
        if surrogate.scale is not None:
            transfer = diagnostics.transfer(table, objective, rng=rng)
    except InputError:
        pass  # too few runs for this one and those after it; the verdict lists what is missing
    return Checkup(
        validation,
        extrapolation,
        diagnostics.influence(
            surrogate.fitted,
            w,
            objective,
            domains=study.space.names,
            metrics=surrogate.metrics,
            scale=surrogate.scale,
        ),
        noise,
        learning,
        transfer,
        diagnostics.trust(validation, extrapolation=extrapolation, noise=noise, transfer=transfer),
    )
