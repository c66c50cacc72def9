"""The part of the page that online methods have: how the mixture went in their runs."""

from functools import partial

from mixopt import plots
from mixopt.mixers import Recorded
from mixopt.report.blocks import Block, Cell, Section, Table
from mixopt.report.data import ReportData
from mixopt.report.figures import left_out, plot
from mixopt.report.wording import percent

_MOST_DOMAINS = 6


def mixing(data: ReportData) -> Section | None:
    """What each method's first run drew over time, what it cost, and what it has to say."""
    first: dict[str, Recorded] = {}
    for seen in data.observations:
        record = Recorded.of(seen) if seen.ok and seen.spec.mixer is not None else None
        if record is not None:
            first.setdefault(record.name, record)
    if not first:
        return None
    schedules = {name: record.course.schedule for name, record in first.items()}
    picture, left = plot(
        "mixing",
        [(name, partial(plots.schedule_steps, plan)) for name, plan in schedules.items()],
    )
    rows: list[list[Cell]] = [
        [name, f"{record.cost_ratio:.3g} x", _average(record), "; ".join(record.notes)]
        for name, record in first.items()
    ]
    blocks: list[Block] = [] if picture is None else [picture]
    header = ["method", "cost of a run", "on average", "what its record says"]
    return Section(
        "mixing",
        "Mixing while training",
        [*blocks, Table(header, rows)],
        "What the first run of each method drew (or, where it weighs losses, its weights) over its "
        "tokens. Costs are relative to plain training; probes, branches, looks and a reference run "
        "count." + left_out(left),
        "Online",
    )


def _average(record: Recorded) -> str:
    shares = sorted(record.course.time_average.to_dict().items(), key=lambda item: -item[1])
    told = ", ".join(f"{name} {percent(share)}" for name, share in shares[:_MOST_DOMAINS])
    return f"{told}, ..." if len(shares) > _MOST_DOMAINS else told
