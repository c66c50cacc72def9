"""The tables of an outcome: schedule, mixture, trade-offs, and what fresh seeds showed."""

from collections.abc import Sequence

import numpy as np
from rich.table import Table
from rich.text import Text

from mixopt.evidence.confirmation import Comparison
from mixopt.evidence.numbers import number, percent, signed
from mixopt.evidence.outcome import Outcome
from mixopt.proposers.pareto import spread_out
from mixopt.runs import Schedule, short_number
from mixopt.runs.kinds import RECOMMENDED
from mixopt.space import MixtureSpace


def schedule_table(schedule: Schedule) -> Table:
    """A column for each phase, and what is drawn in total."""
    ends = [
        f"to {short_number(until)} tokens ({percent(until / schedule.tokens, 0)})"
        for until, _ in schedule.phases
    ]
    table = _table("Recommended schedule", ("domain", *ends, "in total"))
    mean = schedule.mean
    for domain in sorted(schedule.domains, key=lambda d: -mean[d]):
        shares = [mixture[domain] for _, mixture in schedule.phases]
        table.add_row(
            domain, *(Text(percent(w), style="bold") for w in shares), percent(mean[domain])
        )
    return table


def mixture_table(outcome: Outcome, space: MixtureSpace) -> Table:
    """The shares, beside the natural ones, with their intervals."""
    alone = outcome.recommendation.schedule is None
    title = "Recommended mixture" if alone else "What the schedule draws in total"
    title = f"{title} ({outcome.verdict.badge.lower()})"
    table = _table(title, ("domain", space.prior_name, "proposed", "interval"))
    rows = outcome.shares(space)
    for row in sorted(rows, key=lambda r: -r.proposed):
        table.add_row(
            row.domain,
            percent(row.natural),
            Text(percent(row.proposed), style="bold"),
            f"{percent(row.low)} - {percent(row.high)}",
        )
    return table


def front_table(outcome: Outcome, most: int = 8) -> Table:
    """Some trade-offs, evenly from one end of the front to the other."""
    names = list(outcome.front[0].objectives)
    title = f"Trade-offs, {min(most, len(outcome.front))} of {len(outcome.front)} in the report"
    table = _table(title, (*names, "mixture"))
    F = np.array([list(trade_off.objectives.values()) for trade_off in outcome.front])
    for i in spread_out(F, most):
        trade_off = outcome.front[i]
        shares = sorted(trade_off.mixture.to_dict().items(), key=lambda item: -item[1])
        largest = " ".join(f"{name} {percent(share)}" for name, share in shares[:3])
        table.add_row(*(number(trade_off.objectives[name]) for name in names), largest)
    return table


def comparison_table(outcome: Outcome) -> Table:
    """What was trained with fresh seeds, and how far each is behind the recommendation."""
    confirmation = outcome.confirmation
    assert confirmation is not None
    named = outcome.objective.unit(outcome.unit)
    unit = f" ({named})" if named else ""
    title = f"Trained with fresh seeds: {outcome.objective.describe()}{unit}"
    table = _table(title, ("candidate", "mean", "sd", "seeds", "behind by", "beyond noise"))
    if confirmation.longer:
        table.add_column("tokens", justify="right")
    against = {c.baseline: c for c in confirmation.comparisons}
    for candidate in confirmation.candidates:
        comparison = against.get(candidate.name)
        style = "bold" if candidate.name == RECOMMENDED else ""
        table.add_row(
            Text(candidate.name, style=style),
            number(candidate.mean),
            number(candidate.sd),
            str(candidate.seeds) + (f" ({candidate.failed} failed)" if candidate.failed else ""),
            "" if comparison is None else signed(comparison.difference),
            "" if comparison is None else _beyond(comparison),
            *([short_number(candidate.tokens)] if confirmation.longer else []),
        )
    return table


def _beyond(comparison: Comparison) -> str:
    if not np.isfinite(comparison.sd):
        return "unknown"
    return "yes" if comparison.beyond_noise else "BETTER" if comparison.lost else "NO"


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", style=None)
    return table
