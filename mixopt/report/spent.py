"""What a study has spent: runs, compute, time, machines."""

from collections.abc import Sequence

import numpy as np

from mixopt.report.blocks import Cell, Section, Table, Words
from mixopt.report.data import ReportData
from mixopt.report.wording import MISSING, duration, flop, scale_name
from mixopt.runs import Observation

_HOSTS = 8  # named at most


def spent_flops(runs: Sequence[Observation]) -> float:
    """Training FLOPs of runs, failed ones included."""
    return float(sum(o.flops for o in runs if np.isfinite(o.flops)))


def spent_seconds(runs: Sequence[Observation]) -> float:
    """Seconds that the runs took, summed over runs: runs side by side count each."""
    return float(sum(o.seconds for o in runs if np.isfinite(o.seconds)))


def hosts(runs: Sequence[Observation]) -> dict[str, int]:
    """Machine to how many runs it trained, where that is on record."""
    counted: dict[str, int] = {}
    for seen in runs:
        if seen.place is not None and seen.place.host:
            counted[seen.place.host] = counted.get(seen.place.host, 0) + 1
    return counted


def spent(data: ReportData) -> Section | None:
    """Runs, failures, FLOPs and time by scale and by what they were for."""
    if not data.observations:
        return None
    groups: dict[tuple[str, str], list[Observation]] = {}
    for o in sorted(data.observations, key=lambda o: o.spec.scale):
        key = scale_name(o.spec.scale), str(o.spec.kind.what)
        groups.setdefault(key, []).append(o)
    rows = [_row(scale, what, runs) for (scale, what), runs in groups.items()]
    mark = []
    if len(rows) > 1:
        rows.append(_row("all", "", data.observations))
        mark = [len(rows) - 1]
    heads = ["scale (parameters × tokens)", "for", "runs", "failed", "compute", "training time"]
    said = [*_clock(data), _machines(data)]
    return Section(
        "spent",
        "What it took",
        [Table(heads, rows, text=2, mark=mark), Words(" ".join(said))],
        "Training time is summed over runs; runs of one pack or side by side each count in full.",
        "Spent",
    )


def _row(scale: str, what: str, runs: Sequence[Observation]) -> list[Cell]:
    flops, seconds = spent_flops(runs), spent_seconds(runs)
    failed = sum(not o.ok for o in runs)
    return [
        scale,
        what,
        str(len(runs)),
        str(failed),
        flop(flops) if flops else MISSING,
        duration(seconds) if seconds else MISSING,
    ]


def _clock(data: ReportData) -> list[str]:
    if not np.isfinite(data.origin.seconds):
        return []
    return [f"From the first run to the last: {duration(data.origin.seconds)}, pauses included."]


def _machines(data: ReportData) -> str:
    machines = hosts(data.observations)
    if not machines:
        return "Which machines trained them is not on record."
    named = [f"{name} ({n})" for name, n in sorted(machines.items(), key=lambda item: -item[1])]
    more = f" and {len(named) - _HOSTS} more" if len(named) > _HOSTS else ""
    counted = sum(machines.values())
    left = len(data.observations) - counted
    rest = f"; of {left} runs it is not on record" if left else ""
    return f"Machines, with their runs: {', '.join(named[:_HOSTS])}{more}{rest}."
