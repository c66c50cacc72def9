"""What it costs to leave out or to bound a tier of domains, as a table on the screen."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from mixopt.evidence.numbers import number, percent, signed
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.priced import change_in_words, told
from mixopt.proposers.prices import Price

_STYLES = {"costs": "bold red", "wins": "bold green"}


def price_table(outcome: Outcome) -> Table:
    """A row for each change of a tier: what it costs in the predicted objective."""
    asked = outcome.prices
    rest = f" ({len(asked.unasked)} more tiers: mixopt price)" if asked.unasked else ""
    return _table(f"What tiers cost in {_axis(outcome)}{rest}", asked.rows)


def one_price(outcome: Outcome, row: Price) -> Table:
    """The same for the one change that somebody asked about."""
    return _table(f"What it costs in {_axis(outcome)}", [row])


def _axis(outcome: Outcome) -> str:
    unit = outcome.objective.unit(outcome.unit)
    return f"{outcome.objective.describe()}{f' [{unit}]' if unit else ''}"


def _table(title: str, rows: Sequence[Price]) -> Table:
    # as text: in markup a unit in brackets would be a style, and vanish
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for place, head in enumerate(("tier", "share", "changed", "cost", "90 %", "")):
        table.add_column(head, justify="right" if place in {1, 3} else "left", no_wrap=place == 4)
    for row in rows:
        low, high = row.interval
        known = row.mixture is not None
        table.add_row(
            Text(row.tier.names),
            percent(row.share),
            change_in_words(row),
            signed(row.cost) if known else "-",
            f"{number(low)} to {number(high)}" if known else "-",
            Text(told(row), style=_STYLES.get(told(row), "")),
        )
    return table


def reasons(rows: Sequence[Price]) -> list[str]:
    """Why a change is not possible, or which guards it breaks: a sentence each."""
    return [f"{row.tier.names}, {change_in_words(row)}: {row.reason}" for row in rows if row.reason]
