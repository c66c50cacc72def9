"""The constants of a law, as a table on the screen."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixopt.evidence.numbers import number
from mixopt.laws.constants import Constants

_MOST = 8  # metrics that have a column


def constants_table(told: Constants, metrics: Sequence[str]) -> RenderableType:
    """A row for each constant, a column for each metric.

    Args:
        told: (k, c) constants.
        metrics: (k,) names; beyond eight they are counted, and all stand in the report.
    """
    rest = len(metrics) - _MOST
    more = f" ({rest} more metrics in the report)" if rest > 0 else ""
    title = Text(f"{told.title}{more}", style="bold")  # of its own: a title wraps at the table
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for metric in metrics[:_MOST]:
        table.add_column(Text(metric), justify="right", no_wrap=True)
    for name, values in zip(told.names, told.values.T, strict=True):
        table.add_row(Text(name), *(number(v, 3) for v in values[:_MOST]))
    caution = f"{told.caution[:1].upper()}{told.caution[1:]}."
    return Group(title, table, *([Text(caution)] if told.caution else []))
