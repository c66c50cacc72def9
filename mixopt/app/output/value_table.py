"""What domains are worth at the end of a run, as a table on the screen."""

from rich.table import Table
from rich.text import Text

from mixopt.diagnostics import DomainValues
from mixopt.evidence.numbers import number, percent, signed
from mixopt.runs.objective import Objective

_STYLES = {"better": "bold green", "worse": "bold red"}
_FIXED = 40  # characters of the columns that are always there, names of domains aside
_LEAST = 7  # characters of a gain


def value_table(told: DomainValues, objective: Objective, width: int) -> Table:
    """A row for each domain, the most valuable first: gains over the control, less their noise.

    Args:
        told: the values.
        objective: what counts; its metric has no column of its own where it is one.
        width: characters that there are: so many metrics are shown as fit.
    """
    others = [k for k in told.metrics if (k,) != objective.metrics]
    room = width - _FIXED - max(len(name) for name in told.domains)
    shown: list[str] = []
    for name in others:
        room -= max(len(name), _LEAST) + 2
        if room < 0:
            break
        shown.append(name)
    rest = len(others) - len(shown)
    stage = "alone" if told.share == 1.0 else f"as {percent(told.share, 0)}"
    title = f"Gain by a domain {stage} in the last {percent(told.tail, 0)} of a run"
    title += f" ({rest} more metrics in the report)" if rest else ""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, head in enumerate(("domain", "objective", "90 %", "told", *shown)):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    for i in told.order:
        table.add_row(
            told.domains[i],
            Text(signed(told.objective_shrunk[i]), style=_STYLES.get(told.told[i], "")),
            f"± {number(told.half_width[i])}",
            told.told[i],
            *(signed(told.shrunk[i, told.metrics.index(name)]) for name in shown),
        )
    return table
