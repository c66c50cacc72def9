"""Whether the answer can be trusted: gates in plain words, the law on held-out runs, the scales."""

import numpy as np

from mixopt.diagnostics.gates import Gate
from mixopt.report.blocks import Block, Bullets, Cell, Chip, Section, State, Table, Words
from mixopt.report.data import ReportData
from mixopt.report.wording import MISSING, flop, number, percent, plural, qualities

_STATES: dict[str, State] = {"yes": "yes", "no": "no", "not measured": "open"}


def gates(data: ReportData) -> Section | None:
    """Every gate: what was asked, the value against its threshold, and what would change it."""
    trust = data.evidence.trust
    if trust is None or not trust.gates:
        return None
    order = {"no": 0, "not measured": 1, "yes": 2}
    asked = sorted(trust.gates, key=lambda g: (order[g.state], g.allows == "trust"))
    rows: list[list[Cell]] = [
        [
            gate.name,
            Chip(gate.state, _STATES[gate.state]),
            f"{gate.told[0].upper()}{gate.told[1:]}.",
            _remedy(gate),
            _value(gate),
            number(gate.threshold, 2),
        ]
        for gate in asked
    ]
    heads = ["gate", "holds?", "in words", "the runs that would change it", "value", "threshold"]
    body: list[Block] = [Words(f"{trust.line}."), Table(heads, rows, text=4)]
    if trust.next:
        cheapest = trust.next[0]
        said = "To confirm it" if trust.level == "trust" else "The cheapest step to more trust"
        cost = f", {flop(cheapest.cost)}" if np.isfinite(cheapest.cost) else ""
        body.insert(1, Words(f"{said}: {cheapest.what} ({plural(cheapest.runs, 'run')}{cost})."))
    if trust.changed:
        body.insert(1, Words(f"{trust.changed[0].upper()}{trust.changed[1:]}."))
    if trust.unasked:
        body.append(Words(f"Not asked, for it does not arise: {'; '.join(trust.unasked)}."))
    return Section(
        "gates",
        "Can it be trusted?",
        body,
        "Every gate is a yes, a no, or could not be measured, which is never a yes. Where a value "
        "has an interval, its lower end is held against the threshold.",
        "Gates",
    )


def _value(gate: Gate) -> str:
    if not np.isfinite(gate.value):
        return MISSING
    text = number(gate.value, 2)
    if np.isfinite(gate.low) and np.isfinite(gate.high):
        text += f" ({number(gate.low, 2)} to {number(gate.high, 2)})"
    return text


def _remedy(gate: Gate) -> str:
    if gate.state == "yes":
        return ""
    return MISSING if gate.remedy is None else gate.remedy.what


def quality(data: ReportData) -> Section | None:
    """How far the laws can be trusted, metric by metric."""
    body: list[Block] = [Bullets(data.diagnostics)] if data.diagnostics else []
    if data.held_out is None:
        title = "How far the law can be trusted"
        return Section("quality", title, body, short="Law") if body else None
    order = {k: i for i, k in enumerate(data.objective.metrics)}
    per_metric = sorted(qualities(data.held_out), key=lambda q: order.get(q.metric, len(order)))
    heads = ["metric", "in words", "runs", "rank correlation", "typical error", "sd of the runs"]
    heads.append("inside 90 % interval")
    rows: list[list[Cell]] = [
        [
            q.metric,
            q.words,
            str(q.runs),
            number(q.rank, 2),
            number(q.error),
            number(q.spread),
            percent(q.coverage, 0),
        ]
        for q in per_metric
    ]
    mark = range(len(set(order) & {q.metric for q in per_metric}))
    body.append(Table(heads, rows, text=2, mark=mark, tall=len(rows) > 14))
    return Section(
        "quality",
        "How far the law can be trusted",
        body,
        "From cross-validation: every run predicted by a law that has not seen it. The typical "
        "error (root mean square) is to be compared with the sd over runs. Metrics of the "
        "objective come first.",
        "Law",
    )
