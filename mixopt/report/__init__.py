"""The report of a study: one HTML file that needs nothing but a browser."""

from mixopt.report import (
    constants,
    dependence,
    domain_values,
    figures,
    gain,
    gates,
    law_figures,
    mixing,
    page,
    prices,
    promoted,
    run_list,
    sections,
    spent,
    trade_offs,
)
from mixopt.report.data import Evidence, HeldOut, Origin, ReportData, table_observations
from mixopt.report.of_outcome import outcome_data
from mixopt.report.picture import picture
from mixopt.report.wording import day

__all__ = [
    "Evidence",
    "HeldOut",
    "Origin",
    "ReportData",
    "outcome_data",
    "picture",
    "render",
    "table_observations",
]

_ORDER = (
    # the answer, in a minute
    sections.answer,
    sections.warnings,
    trade_offs.schedule,
    figures.schedule,
    sections.mixture,
    figures.shares,
    trade_offs.settings,
    prices.prices,
    constants.constants,
    mixing.mixing,
    domain_values.values,
    # what it brings, and what it took
    gain.gain,
    figures.confirmed,
    promoted.promotion,
    gates.gates,
    promoted.past,
    spent.spent,
    # why
    figures.front,
    trade_offs.front,
    law_figures.responses,
    law_figures.interactions,
    law_figures.small_large,
    gates.quality,
    law_figures.held_out,
    law_figures.calibration,
    figures.learning,
    figures.best,
    # the record
    run_list.runs,
    sections.failures,
    sections.made,
)


_OF_EXPERIMENTS = (
    sections.answer,
    sections.warnings,
    dependence.interference,
    spent.spent,
    run_list.runs,
    sections.failures,
    sections.made,
)
"""Where no mixture was asked for."""


def render(data: ReportData) -> str:
    """The report as one self-contained HTML page.

    What is missing is left out, and the page says what that means.
    """
    written = day(data.origin.written) if data.origin.written else ""
    order = _ORDER if data.dependence is None else _OF_EXPERIMENTS
    made = [make(data) for make in order]
    head = page.Head(data.title, written=written, running=data.origin.running)
    return page.make(head, [part for part in made if part is not None])
