"""The parts of the page that only some studies have: searched settings, trade-offs."""

import numpy as np

from mixopt.proposers.pareto import spread_out
from mixopt.report import markup
from mixopt.report.data import ReportData
from mixopt.report.markup import Cell
from mixopt.report.wording import number, percent

_MOST_DOMAINS, _MOST_ROWS = 12, 12


def settings(data: ReportData) -> str:
    """Recommended values of what was searched with the mixture."""
    if not data.settings:
        return ""
    rows: list[list[Cell]] = [[name, str(value)] for name, value in data.settings.items()]
    return markup.section(
        "settings",
        "The settings",
        markup.table(["setting", "recommended"], rows),
        "Searched together with the mixture. Predictions and their checks are for these values: "
        "every run is moved to them by what the model says of it at both. The table of runs has "
        "what was measured.",
    )


def front(data: ReportData) -> str:
    """Every trade-off between the objectives, with the largest shares of its mixture."""
    if not data.front:
        return ""
    names = list(data.front[0][1])
    F = np.array([list(values.values()) for _, values in data.front])
    shown = [data.front[i] for i in spread_out(F, _MOST_ROWS)]
    domains = sorted(data.space.names, key=lambda d: -max(mixture[d] for mixture, _ in shown))
    domains = domains[:_MOST_DOMAINS]
    rows: list[list[Cell]] = [
        [*(number(values[name]) for name in names), *(percent(mixture[d]) for d in domains)]
        for mixture, values in shown
    ]
    return markup.section(
        "front",
        "Mixtures along the front",
        markup.table([*names, *(f"share of {d}" for d in domains)], rows, text=0),
        f"{len(shown)} of {len(data.front)} mixtures, evenly from one end to the other. The "
        "recommended mixture is the compromise that was asked for.",
        short="Trade-offs",
    )
