"""The report of a study."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from mixopt import report

if TYPE_CHECKING:
    from mixopt.study.study import Study


def study_page(study: "Study", title: str, notes: Sequence[str] = ()) -> str:
    """The outcome of a study as one HTML page, with notes after its own."""
    outcome = study.outcome
    data = report.outcome_data(
        replace(outcome, notes=(*outcome.notes, *notes)),
        study.space,
        title,
        report.table_observations(study.evidence, study.space.names),
        origin=report.Origin(written=datetime.now(UTC).astimezone()),
        facts={"mixopt": version("mixopt")},
    )
    return report.render(data)
