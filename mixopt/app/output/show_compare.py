"""What `mixopt compare` prints."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixopt.app.output.show_status import show
from mixopt.evidence.numbers import MISSING, number, percent, signed
from mixopt.report.compared import Compared, Side
from mixopt.report.side_by_side import shares
from mixopt.report.wording import duration, flop

_DOMAINS = 12
_FIELDS = 12


def show_compared(compared: Compared) -> None:
    """Sweeps as columns: answers, mixtures, gains, cost; what differs; what cannot be compared."""
    parts: list[RenderableType] = [_overview(compared), _mixtures(compared)]
    if compared.differs:
        parts.append(_specs(compared))
    parts += [Text(f"- {reason}") for reason in compared.reasons]
    if compared.best is not None:
        best = compared.best
        parts.append(Text(f"Lowest as measured: {best.name} ({number(best.value)}).", style="bold"))
    show(Group(*parts))


def _table(compared: Compared, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for side in compared.sides:
        table.add_column(Text(side.name), overflow="fold")
    return table


def _overview(compared: Compared) -> Table:
    table = _table(compared, "Side by side")
    rows = {
        "question": [s.question or MISSING for s in compared.sides],
        "objective": [s.objective.describe() for s in compared.sides],
        "verdict": [s.verdict.badge for s in compared.sides],
        "trust": [s.trust or MISSING for s in compared.sides],
        "value": [_value(s) for s in compared.sides],
        **{
            f"gain over {name}": [_gain(s, name) for s in compared.sides]
            for name in ("natural", "uniform")
            if any(name in s.gains for s in compared.sides)
        },
        "runs (failed)": [f"{s.runs} ({s.failed})" for s in compared.sides],
        "compute": [flop(s.flops) if s.flops else MISSING for s in compared.sides],
        "training time": [duration(s.seconds) if s.seconds else MISSING for s in compared.sides],
    }
    for name, values in rows.items():
        table.add_row(name, *(Text(v) for v in values))
    return table


def _value(side: Side) -> str:
    if not np.isfinite(side.value):
        return MISSING
    how = "measured" if side.confirmation is not None else "predicted"
    return f"{number(side.value)} {side.unit} ({how})".replace("  ", " ")


def _gain(side: Side, name: str) -> str:
    gain, low, high = side.gains.get(name, (np.nan,) * 3)
    if not np.isfinite(gain):
        return MISSING
    known = np.isfinite(low) and np.isfinite(high)
    return f"{signed(gain)} ({signed(low)} to {signed(high)})" if known else signed(gain)


def _mixtures(compared: Compared) -> Table:
    rows = shares(compared)
    left = len(rows) - _DOMAINS
    more = f" ({left} that are closer are left out)" if left > 0 else ""
    table = _table(compared, f"Shares, those furthest apart first{more}")
    for name, row in rows[:_DOMAINS]:
        table.add_row(Text(name), *(percent(v) for v in row))
    return table


def _specs(compared: Compared) -> Table:
    left = len(compared.differs) - _FIELDS
    more = f" ({left} more fields with --json or --out)" if left > 0 else ""
    table = _table(compared, f"What differs in their specs{more}")
    for key, values in list(compared.differs.items())[:_FIELDS]:
        shown = (MISSING if v is None else str(v) for v in values)
        table.add_row(Text(key), *(Text(text[:60]) for text in shown))
    return table
