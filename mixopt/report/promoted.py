"""What the last promotion decided, with every rule and plan; and what earlier ones came to."""

import numpy as np

from mixopt import plots
from mixopt.evidence.decision import Decision
from mixopt.report.blocks import Block, Cell, Chip, Plot, Section, State, Table, Words
from mixopt.report.data import ReportData
from mixopt.report.wording import MISSING, number, scale_name, signed

_STATES: dict[str, State] = {"yes": "yes", "no": "no", "not measured": "open"}


def promotion(data: ReportData) -> Section | None:
    """The section; absent before a promotion."""
    decision = data.promotion
    if decision is None:
        return None
    verdict = "Passed" if decision.passed else "Not passed"
    body: list[Block] = [Words(decision.headline, verdict), _rules(decision), _plans(decision)]
    if decision.unasked:
        body.append(Words(f"Not asked, for it does not arise: {'; '.join(decision.unasked)}."))
    unit = f" [{decision.unit}]" if decision.unit else ""
    return Section(
        "promotion",
        "The promotion",
        body,
        f"Trained at {scale_name(decision.scale)} and judged by {decision.judged}{unit}, lower is "
        f"better. {decision.given.line}",
        "Promotion",
    )


def past(data: ReportData) -> Section | None:
    """How much of what was predicted earlier promotions of this registry realised."""
    known = [one for one in data.past if np.isfinite(one.share)]
    if not known:
        return None
    drawing = plots.past_promotions(
        [one.study for one in known],
        [one.predicted for one in known],
        [one.measured for one in known],
        intervals=[(one.low, one.high) for one in known],
        large=[one.where == "large run" for one in known],
    )
    return Section(
        "past",
        "Did earlier predictions come true?",
        [Plot("past-promotions", ("",), (drawing.to_dict(),), drawing.height)],
        "Share of the predicted gain that each promotion of this registry measured, as it was when "
        "this study began. On the full line a prediction came true; below the dotted one, on "
        "average, the gate of past promotions says no.",
        "Past",
    )


def _rules(decision: Decision) -> Table:
    rows: list[list[Cell]] = [
        [gate.name, Chip(gate.state, _STATES[gate.state]), gate.told]
        for gate in sorted(decision.gates, key=lambda g: g.state == "yes")
    ]
    return Table(["rule", "holds?", "what it saw"], rows, text=3)


def _plans(decision: Decision) -> Table:
    gains = {d.baseline: d for d in decision.differences}
    rows: list[list[Cell]] = []
    for result in decision.results:
        known = gains.get(result.name)
        gain = interval = MISSING
        if known is not None and np.isfinite(known.mean):
            gain, interval = signed(known.mean), f"{signed(known.low)} to {signed(known.high)}"
        failed = f" (+ {result.failed} failed)" if result.failed else ""
        seeds = f"{len(result.values)}{failed}"
        rows.append([result.name, number(result.mean), seeds, gain, interval])
    picked = [i for i, r in enumerate(decision.results) if r.name == decision.picked]
    heads = ["plan", "mean", "seeds", "gain of the pick", "with noise"]
    return Table(heads, rows, mark=picked)
