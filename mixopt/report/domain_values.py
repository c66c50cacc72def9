"""What each domain was measured to be worth at the end of a run, by metric."""

import numpy as np

from mixopt import plots
from mixopt.report.blocks import Block, Cell, Chip, Plot, Section, State, Table
from mixopt.report.data import ReportData
from mixopt.report.wording import MISSING, number, percent, signed

_STATES: dict[str, State] = {"better": "yes", "worse": "no"}
_ROWS = 24  # domains in the picture


def values(data: ReportData) -> Section | None:
    """Every domain by every metric, and the objective with its intervals."""
    told = data.domain_values
    if told is None:
        return None
    heads = ["domain", f"gain in {data.objective_axis}", "as measured", "90 % interval", ""]
    heads += [f"gain in {name}" for name in told.metrics]
    rows: list[list[Cell]] = []
    for i in told.order:
        state = _STATES.get(told.told[i], "open")
        low, high = told.objective[i] - told.half_width[i], told.objective[i] + told.half_width[i]
        interval = f"{signed(low)} to {signed(high)}" if np.isfinite(low) else MISSING
        rows.append(
            [
                told.domains[i],
                signed(told.objective_shrunk[i]),
                signed(told.objective[i]),
                interval,
                Chip(told.told[i], state),
                *(signed(value) for value in told.shrunk[i]),
            ]
        )
    noise = told.sd[np.isfinite(told.sd)]
    sds = f" Noise of one value: sd {number(noise.min())} to {number(noise.max())}."
    stage = "alone" if told.share == 1.0 else f"as {percent(told.share, 0)} of the mixture"
    return Section(
        "domain-values",
        "What each domain is worth at the end of a run",
        [*_picture(data), Table(heads, rows, tall=len(rows) > 16)],
        f"How much better a run is whose last {percent(told.tail, 0)} has the domain {stage} than "
        "its control of the same seed and order; above zero is better, of every metric. Gains are "
        "shrunk by their noise, metric by metric; the interval is of what was measured."
        f"{sds if len(noise) else ' Their noise is unknown.'}",
        "Domains",
    )


def _picture(data: ReportData) -> list[Block]:
    told = data.domain_values
    if told is None or not np.isfinite(told.half_width).any():
        return []
    series: dict[str, dict[str, tuple[float, float, float]]] = {"as measured": {}}
    for i in told.order[:_ROWS]:
        value, half = float(told.objective[i]), float(told.half_width[i])
        series["as measured"][told.domains[i]] = (value, value - half, value + half)
    drawing = plots.gains(
        series, axis=f"gain in {data.objective_axis}", most=_ROWS, best_first=True
    )
    return [Plot("domain-values", ("",), (drawing.to_dict(),), drawing.height)]
