"""From what was concluded to what a report shows; nothing is fitted here."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixopt.evidence.outcome import Outcome
from mixopt.report.data import Evidence, HeldOut, Origin, ReportData
from mixopt.runs import Observation
from mixopt.space import MixtureSpace


def outcome_data(
    outcome: Outcome,
    space: MixtureSpace,
    title: str,
    observations: Sequence[Observation],
    *,
    origin: Origin,
    facts: Mapping[str, Any],
) -> ReportData:
    """What the report of an outcome shows.

    Args:
        outcome: of a sweep, a table or a study.
        space: what is allowed.
        title: of the page.
        observations: all runs in order.
        origin: who asked what, when and where.
        facts: what else is on record, plain JSON values.
    """
    surrogate, checkup = outcome.surrogate, outcome.checkup
    held_out: HeldOut | None = None
    if checkup.validation is not None:
        predicted = checkup.validation.predicted
        held_out = HeldOut(
            checkup.validation.metrics,
            checkup.validation.observed,
            predicted.mean,
            predicted.total_sd,
            outcome.names,
        )
    told = len(checkup.trust.lines())  # stand among the gates
    return ReportData(
        title,
        space,
        outcome.objective,
        tuple(observations),
        outcome.recommendation,
        outcome.confirmation,
        held_out,
        predict=surrogate.predict,
        metrics=surrogate.metrics,
        unit=outcome.unit,
        laws=surrogate.law_weights(),
        diagnostics=(*outcome.notes, *checkup.lines()[:-told]),
        facts=facts,
        warnings=outcome.warnings,
        settings=outcome.settings,
        front=tuple((t.mixture, t.objectives) for t in outcome.front),
        domain_values=outcome.domain_values,
        dependence=outcome.dependence,
        prices=outcome.prices,
        constants=outcome.constants,
        origin=origin,
        evidence=Evidence(checkup.trust, checkup.influence, checkup.transfer),
    )
