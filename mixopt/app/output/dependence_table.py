"""Whether experiments that share a run interfere, as a table on the screen."""

from rich.table import Table
from rich.text import Text

from mixopt.diagnostics import Dependence
from mixopt.evidence.numbers import number, signed

_FIXED = 30  # characters of the columns that are always there, names aside
_LEAST = 8  # characters of a change


def dependence_table(told: Dependence, width: int) -> Table:
    """A row for each outcome: what everybody's data change in it; flagged ones stand out.

    Args:
        told: what the runs say.
        width: characters that there are: so many columns are shown as fit.
    """
    room = width - _FIXED - max(len(name) for name in told.names)
    shown: list[int] = []
    for j, name in enumerate(told.names):
        room -= max(len(name), _LEAST) + 2
        if room < 0:
            break
        shown.append(j)
    rest = len(told.names) - len(shown)
    title = "Change in each outcome by the data of"
    title += f" ({rest} more in the report)" if rest else ""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    heads = ("outcome", "without", *(told.names[j] for j in shown), "all", "seen from")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    for i, name in enumerate(told.names):
        changes = [_change(told, i, j) for j in shown]
        style = "bold red" if told.joint_flagged[i] else ""
        table.add_row(
            Text(name),
            number(told.base[i]),
            *changes,
            Text(signed(told.joint[i] - told.base[i]), style=style),
            number(told.detectable[i]),
        )
    return table


def _change(told: Dependence, i: int, j: int) -> Text:
    style = "bold red" if told.flagged[i, j] else "dim" if i != j else ""
    return Text(f"{signed(told.effect[i, j])}{'*' if told.flagged[i, j] else ''}", style=style)
