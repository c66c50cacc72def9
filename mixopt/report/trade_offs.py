"""The parts of the page that only some studies have: searched settings, trade-offs."""

from mixopt.report import markup
from mixopt.report.data import ReportData
from mixopt.report.markup import Cell
from mixopt.report.words import number, percent

_MOST_DOMAINS = 12


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
    domains = sorted(data.space.names, key=lambda d: -max(mixture[d] for mixture, _ in data.front))[
        :_MOST_DOMAINS
    ]
    rows: list[list[Cell]] = [
        [*(number(values[name]) for name in names), *(percent(mixture[d]) for d in domains)]
        for mixture, values in data.front
    ]
    return markup.section(
        "front",
        "Trade-offs",
        markup.table([*names, *domains], rows, text=0),
        "Mixtures of which none is predicted to be better than another in every objective (lower "
        "is better); the recommended mixture is the compromise that was asked for.",
    )
