"""The page of sweeps side by side."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from mixopt import plots
from mixopt.report import page
from mixopt.report.blocks import Bar, Block, Bullets, Cell, Chip, Plot, Section, State, Table, Words
from mixopt.report.compared import Compared, Side
from mixopt.report.wording import MISSING, day, duration, flop, number, percent, signed
from mixopt.space import Mixture

_STATES: dict[str, State] = {"shown": "yes", "not-shown": "no", "untested": "open"}
_ROWS = 40  # domains in the table at most; the picture has fewer
_BARS = 24
_BRIEF = 80


def render(compared: Compared, written: datetime | None = None) -> str:
    """One self-contained HTML page."""
    made: Sequence[Callable[[Compared], Section | None]] = (
        _answers,
        _reasons,
        _mixtures,
        _picture,
        _gains,
        _metrics,
        _spent,
        _specs,
    )
    title = " · ".join(s.name for s in compared.sides)
    head = page.Head(title, "mixopt: sweeps side by side", day(written) if written else "")
    return page.make(head, [s for s in (make(compared) for make in made) if s is not None])


def shares(compared: Compared) -> list[tuple[str, list[float]]]:
    """Domain to its share in every sweep (NaN where it has none), those furthest apart first."""
    mixtures = [_shares(s) for s in compared.sides]
    names = dict.fromkeys(d for s in compared.sides for d in s.space.names)
    rows = [(name, [m.get(name, float("nan")) for m in mixtures]) for name in names]
    return sorted(rows, key=lambda row: -_spread(row[1]))


def _spread(values: Sequence[float]) -> float:
    known = np.nan_to_num(values)
    return round(float(known.max() - known.min()), 9)


def _shares(side: Side) -> dict[str, float]:
    return {} if side.recommendation is None else side.recommendation.mixture.to_dict()


def _answers(compared: Compared) -> Section:
    rows: list[list[Cell]] = [
        [
            s.name,
            s.question or MISSING,
            Chip(s.verdict.badge, _STATES[s.verdict.state]),
            s.headline,
            s.trust or MISSING,
            s.owner or MISSING,
        ]
        for s in compared.sides
    ]
    heads = ["sweep", "question", "verdict", "answer", "trust", "owner"]
    body: list[Block] = [Table(heads, rows, text=6)]
    if compared.best is not None:
        unit = f" {compared.best.unit}" if compared.best.unit else ""
        best = f"{compared.best.name} measured lowest: {number(compared.best.value)}{unit}"
        body.append(Words(f"{best} on {compared.best.objective.describe()}."))
    return Section("answers", "What they answer", body, short="Answers")


def _reasons(compared: Compared) -> Section | None:
    if not compared.reasons:
        return None
    doubts = [Bullets(compared.reasons)]
    return Section("reasons", "What cannot be compared", doubts, short="Limits", tone="warn")


def _mixtures(compared: Compared) -> Section | None:
    rows = shares(compared)
    values = [v for _, row in rows for v in row if np.isfinite(v)]
    if not values:
        return None
    largest = max(values) or 1.0

    def cell(share: float) -> Cell:
        return Bar(100 * share / largest, percent(share)) if np.isfinite(share) else MISSING

    table: list[list[Cell]] = [
        [name, *(cell(v) for v in row), percent(_spread(row))] for name, row in rows[:_ROWS]
    ]
    heads = ["domain", *(s.name for s in compared.sides), "apart by"]
    left = len(rows) - len(table)
    cut = f" {left} domains that are closest are left out." if left > 0 else ""
    return Section(
        "mixtures",
        "Their mixtures",
        [Table(heads, table, tall=len(table) > 16)],
        f"Shares of training tokens, those furthest apart first; a dash: not in that sweep.{cut}",
        "Mixtures",
    )


def _picture(compared: Compared) -> Section | None:
    answered = [s for s in compared.sides if s.recommendation is not None]
    names = [name for name, _ in shares(compared)][:_BARS]
    if len(answered) < 2:
        return None
    every = dict.fromkeys(d for s in answered for d in s.space.names)
    mixtures = {s.name: Mixture.of({d: _shares(s).get(d, 0.0) for d in every}) for s in answered}
    first = answered[0].recommendation
    assert first is not None
    drawing = plots.mixture_bars(mixtures, intervals=first.intervals, most=len(names))
    return Section(
        "mixtures-figure",
        "The same as a picture",
        [Plot("mixtures", ("",), (drawing.to_dict(),), drawing.height)],
        f"Bars: {answered[0].name}, with the interval of every share; marks: the others.",
        "Picture",
    )


def _gains(compared: Compared) -> Section | None:
    names = dict.fromkeys(name for s in compared.sides for name in s.gains)
    if not names:
        return None
    rows: list[list[Cell]] = [
        [name, *(_gain(s.gains.get(name)) for s in compared.sides)] for name in names
    ]
    rows.append(["value of the answer", *(number(s.value) for s in compared.sides)])
    rows.append(
        [
            "how it is known",
            *("measured" if s.confirmation else "predicted" for s in compared.sides),
        ]
    )
    heads = ["gain over", *(f"{s.name}{f' [{s.unit}]' if s.unit else ''}" for s in compared.sides)]
    held = "" if compared.values else " They are each sweep's own: see what cannot be compared."
    return Section(
        "gains",
        "What each gains",
        [Table(heads, rows, tall=len(rows) > 18)],
        "How much lower the objective is than with that baseline, with 90 % intervals; above zero "
        f"is better.{held}",
        "Gains",
    )


def _gain(known: tuple[float, float, float] | None) -> str:
    if known is None or not np.isfinite(known[0]):
        return MISSING
    gain, low, high = known
    if not (np.isfinite(low) and np.isfinite(high)):
        return signed(gain)
    return f"{signed(gain)} ({signed(low)} to {signed(high)})"


def _metrics(compared: Compared) -> Section | None:
    """What every law predicts of the metrics that all have, where that may be compared."""
    known = [s.recommendation.metrics if s.recommendation else {} for s in compared.sides]
    units = {s.unit for s in compared.sides}
    names = [k for k in compared.metrics if any(k in seen for seen in known)]
    if not names or len(units) > 1:
        return None
    rows: list[list[Cell]] = [[name, *(_mean(seen.get(name)) for seen in known)] for name in names]
    heads = ["metric", *(s.name for s in compared.sides)]
    return Section(
        "metrics",
        "Metrics that all have",
        [Table(heads, rows, tall=len(rows) > 16)],
        "As each sweep's own law predicts them for its own answer, at its own scale, ± sd.",
        "Metrics",
    )


def _mean(known: tuple[float, float] | None) -> str:
    if known is None or not np.isfinite(known[0]):
        return MISSING
    return f"{number(known[0])} ± {known[1]:.2g}" if np.isfinite(known[1]) else number(known[0])


def _spent(compared: Compared) -> Section:
    rows: list[list[Cell]] = [
        [
            s.name,
            ", ".join(s.scales) or MISSING,
            str(s.runs),
            str(s.failed),
            flop(s.flops) if s.flops else MISSING,
            duration(s.seconds) if s.seconds else MISSING,
        ]
        for s in compared.sides
    ]
    heads = ["sweep", "scales", "runs", "failed", "compute", "training time"]
    return Section("spent", "What they took", [Table(heads, rows, text=2)], short="Spent")


def _specs(compared: Compared) -> Section | None:
    if not compared.differs:
        same = [Words("Their specs ask for the same.")]
        return Section("specs", "Their specs", same, short="Specs")
    rows: list[list[Cell]] = [
        [key, *(_brief(value) for value in values)] for key, values in compared.differs.items()
    ]
    heads = ["field", *(s.name for s in compared.sides)]
    return Section(
        "specs",
        "What differs in their specs",
        [Table(heads, rows, text=len(heads), tall=len(rows) > 20)],
        "Names, questions, owners, and where and how fast runs are trained are left aside.",
        "Specs",
    )


def _brief(value: Any) -> str:
    if value is None:
        return MISSING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _BRIEF else f"{text[: _BRIEF - 1]}…"
