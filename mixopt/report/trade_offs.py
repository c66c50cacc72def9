"""The parts of the page that only some studies have: a schedule, searched settings, trade-offs."""

import numpy as np

from mixopt.proposers.pareto import spread_out
from mixopt.report.blocks import Cell, Preferences, Section, Table
from mixopt.report.data import ReportData
from mixopt.report.wording import count, number, percent

_MOST_DOMAINS, _MOST_ROWS = 12, 12


def schedule(data: ReportData) -> Section | None:
    """The recommended mixture of each phase, and where it ends."""
    plan = None if data.recommendation is None else data.recommendation.schedule
    if plan is None:
        return None
    ends = [
        f"until {count(until)} tokens ({percent(until / plan.tokens, 0)})"
        for until, _ in plan.phases
    ]
    mean = plan.mean
    rows: list[list[Cell]] = [
        [name, *(percent(mixture[name]) for _, mixture in plan.phases), percent(mean[name])]
        for name in sorted(plan.domains, key=lambda d: -mean[d])
    ]
    return Section(
        "schedule",
        "The schedule",
        [Table(["domain", *ends, "in total"], rows, tall=len(rows) > 16)],
        "Shares of training tokens in each phase of the run. Ends are in tokens of the largest "
        "proxy; in a longer run the shares of its length count. What the order is worth: see the "
        "gain over the schedule's own time average.",
        "Schedule",
    )


def settings(data: ReportData) -> Section | None:
    """Recommended values of what was searched with the mixture."""
    if not data.settings:
        return None
    rows: list[list[Cell]] = [[name, str(value)] for name, value in data.settings.items()]
    return Section(
        "settings",
        "The settings",
        [Table(["setting", "recommended"], rows)],
        "Searched together with the mixture. Predictions and their checks are for these values: "
        "every run is moved to them by what the model says of it at both. The table of runs has "
        "what was measured.",
        "Settings",
    )


def front(data: ReportData) -> Section | None:
    """Every trade-off between the objectives, with the largest shares of its mixture."""
    if not data.front:
        return None
    names = list(data.front[0][1])
    F = np.array([list(values.values()) for _, values in data.front])
    shown = [data.front[i] for i in spread_out(F, _MOST_ROWS)]
    domains = sorted(data.space.names, key=lambda d: -max(mixture[d] for mixture, _ in shown))
    domains = domains[:_MOST_DOMAINS]
    rows: list[list[Cell]] = [
        [*(number(values[name]) for name in names), *(percent(mixture[d]) for d in domains)]
        for mixture, values in shown
    ]
    choice = Preferences(
        names,
        F.tolist(),
        data.space.names,
        [[mixture[d] for d in data.space.names] for mixture, _ in data.front],
    )
    return Section(
        "front",
        "Mixtures along the front",
        [choice, Table([*names, *(f"share of {d}" for d in domains)], rows, text=0)],
        f"{len(shown)} of {len(data.front)} mixtures, evenly from one end to the other. The "
        "recommended mixture is the compromise that was asked for.",
        "Trade-offs",
    )
