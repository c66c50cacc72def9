"""The gain over every baseline: measured at each scale where there are fresh seeds, else predicted.

Notation:
    gain: objective of the baseline minus that of the recommendation; above zero is better
"""

from dataclasses import replace

import numpy as np

from mixopt import plots
from mixopt.errors import InputError
from mixopt.evidence.confirmation import Candidate, Comparison, Confirmation, confirm
from mixopt.report.blocks import Block, Cell, Chip, Fold, Plot, Section, Table, Words
from mixopt.report.data import ReportData, with_unit
from mixopt.report.wording import MISSING, number, scale_name, signed
from mixopt.runs import Kind, Observation, Scale, What, short_number
from mixopt.runs.kinds import RECOMMENDED

Interval = tuple[float, float, float]
_ROWS = 14  # baselines in the picture


def measured(data: ReportData) -> dict[Scale, Confirmation]:
    """What fresh seeds showed at each scale, the largest first; runs of a promotion count."""
    groups: dict[Scale, list[Observation]] = {}
    homes = {o.spec.scale for o in data.observations if o.spec.kind.confirms == RECOMMENDED}
    for seen in data.observations:
        kind, scale = seen.spec.kind, seen.spec.scale
        if kind.what in {What.CONFIRMATION, What.PROMOTION}:
            # at equal cost rivals are trained for other tokens: they belong to the recommendation
            near = [home for home in homes if home.params == scale.params]
            if kind.what is What.CONFIRMATION and near and scale not in homes:
                scale = max(near)
            named = replace(seen.spec, kind=Kind.confirmation(kind.candidate))
            groups.setdefault(scale, []).append(replace(seen, spec=named))
    if len(groups) <= 1:
        only = next(iter(groups), None)
        return {} if data.confirmation is None or only is None else {only: data.confirmation}
    shown = {}
    for scale in sorted(groups, reverse=True):
        try:
            shown[scale] = confirm(groups[scale], data.objective)
        except InputError:
            continue  # the recommendation has no run there: nothing to compare
    return shown


def gain(data: ReportData) -> Section | None:
    """Every baseline with its gain, as a picture and as tables."""
    by_scale = measured(data)
    predicted = {} if data.recommendation is None else dict(data.recommendation.gains)
    series: dict[str, dict[str, Interval]] = {
        f"measured at {scale_name(scale)}": {
            c.baseline: (c.difference, c.low, c.high) for c in shown.comparisons
        }
        for scale, shown in by_scale.items()
    }
    if predicted:
        series["predicted"] = {k: (g.raw, *g.interval) for k, g in predicted.items()}
    body = [*_picture(data, series), *_tables(data, by_scale)]
    if predicted:
        table = _predicted(data)
        body += [Fold("What the law predicts", [table])] if by_scale else [table]
    if not body:
        return None
    axis = data.objective_axis
    count = max((len(s) for s in series.values()), default=0)
    cut = f" The {count - _ROWS} easiest to beat are in the table alone." if count > _ROWS else ""
    captions = (
        f"How much lower {axis} is with the recommendation than with each baseline, with 90 % "
        "intervals; right of the line is better. Baselines far off stand at the edge with their "
        f"gain in figures.{cut}"
    )
    missing = "" if by_scale else " Nothing of this has been measured with fresh seeds."
    return Section("gain", "What is gained", body, captions + missing, "Gain")


def _picture(data: ReportData, series: dict[str, dict[str, Interval]]) -> list[Block]:
    finite = {
        where: values
        for where, values in series.items()
        if any(np.isfinite(v[0]) for v in values.values())
    }
    if not finite:
        return []
    drawing = plots.gains(finite, axis=f"gain in {data.objective_axis}", most=_ROWS)
    return [Plot("gain", ("",), (drawing.to_dict(),), drawing.height)]


def _tables(data: ReportData, by_scale: dict[Scale, Confirmation]) -> list[Block]:
    tables: list[Block] = []
    unit = f" ({data.objective_unit})" if data.objective_unit else ""
    heads = ["candidate", f"mean{unit}", "sd", "seeds", "worse by", "90 % interval"]
    heads.append("beyond noise?")
    if any(shown.longer for shown in by_scale.values()):
        heads.append("tokens")
    for scale, shown in by_scale.items():
        against = {c.baseline: c for c in shown.comparisons}
        rows = [_compared(c, against.get(c.name)) for c in shown.candidates]
        if "tokens" in heads:
            rows = [
                [*row, short_number(c.tokens)]
                for row, c in zip(rows, shown.candidates, strict=True)
            ]
        noise = (
            f"{with_unit(data.objective.describe(), data.objective_unit)}, lower is better. “Worse "
            "by” is the candidate's mean minus that of the recommendation; it counts as beyond "
            f"noise above twice the seed sd {_seed_sd(shown)}"
        )
        where = f"With fresh seeds at {scale_name(scale)}"
        tables += [Words(noise, where), Table(heads, rows, mark=(0,), tall=len(rows) > 16)]
    return tables


def _seed_sd(shown: Confirmation) -> str:
    if shown.noise:
        return f"of the two, where the interval does not reach zero. {shown.noise}"
    whole = f"pooled over candidates ({number(2 * shown.seed_sd)})"
    return f"{whole}, where the interval does not reach zero."


def _compared(c: Candidate, against: Comparison | None) -> list[Cell]:
    seeds = f"{c.seeds} (+ {c.failed} failed)" if c.failed else str(c.seeds)
    row: list[Cell] = [c.name, number(c.mean), number(c.sd), seeds]
    if against is None:
        return [*row, MISSING, MISSING, MISSING]
    interval = MISSING
    if np.isfinite(against.low) and np.isfinite(against.high):
        interval = f"{signed(against.low)} to {signed(against.high)}"
    known = np.isfinite(against.sd)
    chip = Chip("yes", "yes") if against.beyond_noise else Chip("no", "no")
    if against.lost:
        chip = Chip("better", "no")
    return [*row, signed(against.difference), interval, chip if known else "unknown"]


def _predicted(data: ReportData) -> Table:
    assert data.recommendation is not None
    gains = sorted(data.recommendation.gains.items(), key=lambda item: item[1].raw)
    rows: list[list[Cell]] = [
        [name, signed(g.raw), signed(g.shrunk), number(g.sd), "yes" if g.certain else "no"]
        for name, g in gains
    ]
    heads = ["baseline", "predicted gain", "with luck allowed for", "sd", "beyond doubt?"]
    return Table(heads, rows, tall=len(rows) > 16)
