"""What it costs to leave out or to bound a tier of domains, as a table on the screen."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixopt.evidence.numbers import number, percent, signed
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.priced import caution, change_in_words, interval, told
from mixopt.proposers.prices import Price

_STYLES = {"costs": "bold red", "wins": "bold green"}


def price_table(outcome: Outcome) -> RenderableType:
    """A row for each change of a tier: what it costs in the predicted objective."""
    asked = outcome.prices
    rest = f" ({len(asked.unasked)} more tiers: mixopt price)" if asked.unasked else ""
    return _table(f"What tiers cost in {_axis(outcome)}{rest}", asked.rows, outcome)


def one_price(outcome: Outcome, row: Price) -> RenderableType:
    """The same for the one change that somebody asked about."""
    return _table(f"What it costs in {_axis(outcome)}", [row], outcome)


def _axis(outcome: Outcome) -> str:
    unit = outcome.objective.unit(outcome.unit)
    return f"{outcome.objective.describe()}{f' [{unit}]' if unit else ''}"


def _table(title: str, rows: Sequence[Price], outcome: Outcome) -> RenderableType:
    level = outcome.checkup.trust.level
    aside = caution(level)
    # as text: in markup a unit in brackets would be a style, and vanish
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for place, head in enumerate(("tier", "share", "changed", "cost", "90 %", "")):
        table.add_column(head, justify="right" if place in {1, 3} else "left", no_wrap=place == 4)
    for row in rows:
        known, sure, words = row.mixture is not None, interval(row, level), told(row, level)
        table.add_row(
            Text(row.tier.names),
            percent(row.share),
            change_in_words(row),
            signed(row.cost) if known else "-",
            f"{number(sure[0])} to {number(sure[1])}" if sure is not None else "-",
            Text(words, style=_STYLES.get(words, "")),
        )
    if not aside:
        return table
    return Group(table, Text(f"{aside[:1].upper()}{aside[1:]}.", style="yellow"))


def reasons(rows: Sequence[Price]) -> list[str]:
    """Why a change is not possible, or which guards it breaks: a sentence each."""
    return [f"{row.tier.names}, {change_in_words(row)}: {row.reason}" for row in rows if row.reason]
