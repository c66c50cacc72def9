"""The list of all runs, for the page's script to fill, sort within a scale, and filter."""

from typing import Any

import numpy as np

from mixopt.report.blocks import Block, Runs, Section, Words
from mixopt.report.data import ReportData, with_unit
from mixopt.report.wording import duration, flop, scale_name
from mixopt.runs import Observation
from mixopt.runs.columns import METRIC, WEIGHT
from mixopt.runs.run_table import seen_mixtures

_FOLDED_METRICS = 8  # more metrics (domains) than that start folded
_FOLDED_SHARES = 12


def runs(data: ReportData) -> Section:
    """The section of the list."""
    if not data.observations:
        return Section("runs", "Runs", [Words("No run has finished yet.")])
    boxes = [
        (key, f"{label} ({amount})", amount <= limit)
        for label, key, amount, limit in (
            ("metrics", "metric", len(_other_metrics(data)), _FOLDED_METRICS),
            ("shares", "share", data.space.dim, _FOLDED_SHARES),
        )
        if amount
    ]
    body: list[Block] = [Runs(_values(data), boxes)]
    if data.origin.hint and not data.origin.pages:
        body.append(Words(data.origin.hint))
    where = " A run's name leads to its page." if data.origin.pages else ""
    return Section(
        "runs",
        "Runs",
        body,
        "Click a heading to sort; runs are compared within their scale. Objective and metrics: "
        f"lower is better unless the name carries a minus.{where}",
    )


def _values(data: ReportData) -> dict[str, Any]:
    """Columns (name, kind, group), rows, and the scales in the order in which they are shown."""
    metrics = _other_metrics(data)
    columns = [
        {"name": name, "key": name, "kind": kind, "group": ""}
        for name, kind in (
            ("#", "int"),
            ("kind", "text"),
            ("status", "text"),
            ("scale", "text"),
            ("seed", "int"),
            (data.objective.describe(), "num"),
        )
    ]
    columns += [{"name": k, "key": METRIC + k, "kind": "num", "group": "metric"} for k in metrics]
    columns += [
        {"name": d, "key": WEIGHT + d, "kind": "share", "group": "share"} for d in data.space.names
    ]
    columns += [
        {"name": name, "key": name, "kind": "text", "group": ""}
        for name in ("compute", "time", "run")
    ]
    rows = []
    mixtures = seen_mixtures(data.observations)
    for place, (o, seen) in enumerate(zip(data.observations, mixtures, strict=True), start=1):
        shares = seen.to_dict()
        row: list[Any] = [place, str(o.spec.kind), o.status, scale_name(o.spec.scale)]
        row += [o.spec.seed, _digits(data.value(o.metrics) if o.ok else np.nan)]
        row += [_digits(o.metrics.get(k, np.nan)) for k in metrics]
        row += [_digits(shares.get(d, 0.0)) for d in data.space.names]
        rows.append([*row, *_cost(o), o.run_id])
    scales = sorted({o.spec.scale for o in data.observations}, reverse=True)
    return {
        "columns": columns,
        "rows": rows,
        "groups": {
            "metric": with_unit("metrics", data.unit),
            "share": "shares of training tokens",
        },
        "scales": [scale_name(s) for s in scales],
        "pages": {
            o.run_id: data.origin.pages[o.run_id]
            for o in data.observations
            if o.run_id in data.origin.pages
        },
    }


def _cost(o: Observation) -> list[str]:
    known = o.flops if np.isfinite(o.flops) else 0.0
    return [flop(known) if known else "", duration(o.seconds) if o.seconds else ""]


def _other_metrics(data: ReportData) -> list[str]:
    """Metrics with a column of their own: a lone objective has one already."""
    return [k for k in data.metric_names if (k,) != data.objective.metrics]


def _digits(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
