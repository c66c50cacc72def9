"""Drawings of candidates that were trained: their values, and the gain over each.

Notation:
    gain: objective of a baseline minus that of the recommendation; above zero is better
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixopt.plots.drawing import Drawing, draw
from mixopt.plots.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    ORANGE,
    RECOMMENDED,
    label,
    plain,
    soft,
    titled,
)

Interval = tuple[float, float, float]
"""A value with the ends of its 90 % interval; NaN where unknown."""
PLAIN = ("natural", "uniform")
ALONE = "only-"
"""How the names of mixtures of one domain begin."""
_TOUGH = 3  # baselines that set the window beside the plain ones
_MARKS = (("circle", BLUE), ("square", INK), ("diamond", MUTED), ("triangle-up", ORANGE))


def toughest(values: Mapping[str, float], most: int) -> list[str]:
    """The names that a picture has room for: what one would train anyway, then the hardest to beat.

    Mixtures of one domain alone (`only-...`) come last: they are there to be beaten.

    Args:
        values: name to its objective, or to the gain over it; the lowest are the hardest.
        most: so many names.
    """
    sure = [name for name in values if np.isfinite(values[name])]
    first = (RECOMMENDED, *PLAIN)
    ranked = sorted(
        sure, key=lambda name: (name not in first, name.startswith(ALONE), values[name])
    )
    return ranked[:most]


def window(values: Mapping[str, Interval], others: Sequence[float] = ()) -> tuple[float, float]:
    """The stretch of an axis that shows what matters, however far off some baselines are.

    What matters are natural and uniform, and the three baselines that are hardest to beat (lowest
    values, mixtures of one domain last), with their intervals. Half as much again is shown.

    Args:
        values: baseline to its value.
        others: what is to be seen in any case, e.g. zero.

    >>> low, high = window({"natural": (2, 1, 3), "a": (1, 0, 2), "b": (3, 2, 4), "c": (90, 8, 99)})
    >>> round(low, 3), round(high, 3)
    (-0.24, 6.0)
    """
    sure = {k: v for k, v in values.items() if np.isfinite(v[0])}
    several = {k: v[0] for k, v in sure.items() if not k.startswith(ALONE)}
    among = several or {k: v[0] for k, v in sure.items()}
    tough = sorted(among, key=lambda name: among[name])[:_TOUGH]
    ends = [e for k in {*tough, *PLAIN} & {*sure} for e in sure[k] if np.isfinite(e)]
    ends += [float(o) for o in others if np.isfinite(o)]
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    farthest = max([high, *(e for v in sure.values() for e in v if np.isfinite(e))])
    room = (high - low) or abs(high) or 1.0
    return low - 0.06 * room, min(high + 0.5 * room, farthest + 0.06 * room)


def gains(
    series: Mapping[str, Mapping[str, Interval]],
    *,
    axis: str,
    most: int = 16,
    best_first: bool = False,
) -> Drawing:
    """The gain over every baseline with its interval, at one scale or several; toughest on top.

    Baselines far off are drawn at the edge with their gain in figures, so that they do not squeeze
    those that matter.

    Args:
        series: what was measured or predicted where (a scale), baseline to gain.
        axis: objective and unit.
        most: so many baselines at most.
        best_first: the largest gain on top, where rows are no baselines.
    """
    lowest: dict[str, float] = {}
    for values in series.values():
        for name, value in values.items():
            if np.isfinite(value[0]):
                lowest[name] = min(value[0], lowest.get(name, np.inf))
    kept = toughest(lowest, most)
    # rows from the bottom up
    order = sorted(kept, key=lambda name: lowest[name] if best_first else -lowest[name])
    rows = [label(name) for name in order]
    low, high = window({n: _span(series, n) for n in kept}, [0.0])
    traces = []
    count = len(series)
    for place, (where, values) in enumerate(series.items()):
        shift = 0.0 if count == 1 else 0.22 * (place - (count - 1) / 2)
        symbol, colour = _MARKS[place % len(_MARKS)]
        traces += _interval_trace(where, values, order, (high, shift, symbol, colour))
    zero = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1,
            "line": {"color": FAINT, "width": 1.5}, "layer": "below"}  # fmt: skip
    return draw(
        traces,
        120 + (26 + 8 * (count - 1)) * max(len(rows), 3),
        x=titled(axis) | {"range": [low, high]},
        y={
            "tickvals": list(range(len(rows))),
            "ticktext": rows,
            "range": [-0.6, len(rows) - 0.4],
            "showgrid": True,
        },
        shapes=[zero],
    )


def _span(series: Mapping[str, Mapping[str, Interval]], name: str) -> Interval:
    """The lowest value of a baseline over all series, and the ends of all its intervals."""
    values = [s[name] for s in series.values() if name in s and np.isfinite(s[name][0])]
    ends = [end for value in values for end in value if np.isfinite(end)]
    return min(v[0] for v in values), min(ends), max(ends)


def _interval_trace(
    where: str,
    values: Mapping[str, Interval],
    order: Sequence[str],
    look: tuple[float, float, str, str],
) -> list[dict[str, Any]]:
    """Marks with whiskers, and arrows at the edge for what lies beyond it."""
    edge, shift, symbol, colour = look
    at = [(i, values[n]) for i, n in enumerate(order) if n in values]
    near = [(i, v) for i, v in at if np.isfinite(v[0]) and v[0] <= edge]
    far = [(i, v) for i, v in at if np.isfinite(v[0]) and v[0] > edge]
    names = [label(order[i]) for i, _ in near]
    marks: dict[str, Any] = {
        "type": "scatter",
        "x": plain(v[0] for _, v in near),
        "y": [i + shift for i, _ in near],
        "text": names,
        "mode": "markers",
        "name": label(where),
        "legendgroup": label(where),
        "marker": {"color": colour, "symbol": symbol, "size": 9},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": plain(np.nan_to_num([v[2] - v[0] for _, v in near])),
            "arrayminus": plain(np.nan_to_num([v[0] - v[1] for _, v in near])),
            "color": colour,
            "thickness": 1.6,
            "width": 4,
        },
        "hovertemplate": "%{text}: %{x:.4f}<extra>" + label(where) + "</extra>",
    }
    if not far:
        return [marks]
    beyond = {
        "type": "scatter",
        "x": [edge] * len(far),
        "y": [i + shift for i, _ in far],
        "mode": "markers+text",
        "text": [f"{v[0]:.3g} " for _, v in far],
        "textposition": "middle left",
        "textfont": {"color": MUTED, "size": 12},
        "marker": {"color": colour, "symbol": "triangle-right", "size": 10},
        "name": f"{label(where)}, beyond the edge",
        "legendgroup": label(where),
        "showlegend": False,
        "cliponaxis": False,
        "hovertemplate": "%{text} beyond the edge<extra>" + label(where) + "</extra>",
    }
    return [marks, beyond]


def confirmed(seeds: Mapping[str, Sequence[float]], seed_sd: float, *, axis: str) -> Drawing:
    """Every candidate with its mean and every seed, best on top.

    The band is the mean of the recommendation +- twice the seed sd: a baseline whose mean lies
    right of it is worse beyond noise. Candidates far off are drawn at the edge, as in `gains`.

    Args:
        seeds: candidate to its objective per seed (lower is better), `"recommended"` among them.
        seed_sd: of all candidates; NaN, where it is unknown or each has its own, draws no band.
        axis: objective and unit.
    """
    means = {name: float(np.mean(values)) for name, values in seeds.items() if len(values)}
    order = sorted(means, key=lambda name: -means[name])  # plotly stacks rows from the bottom up
    rows = [label(name) for name in order]
    spans = {n: (means[n], min(seeds[n]), max(seeds[n])) for n in means}
    band = 2 * seed_sd if np.isfinite(seed_sd) else 0.0
    ours = [means[RECOMMENDED] - band, means[RECOMMENDED] + band] if RECOMMENDED in means else []
    low, high = window(spans, ours)
    colours = {name: BLUE if name == RECOMMENDED else MUTED for name in order}
    near = [name for name in order if means[name] <= high]
    every = [(name, value) for name in near for value in seeds[name]]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "x": plain(value for _, value in every),
            "y": [label(name) for name, _ in every],
            "mode": "markers",
            "name": "one seed",
            "marker": {"color": [colours[n] for n, _ in every], "size": 7, "opacity": 0.5},
            "hovertemplate": "%{y}, one seed: %{x:.4f}<extra></extra>",
        },
        {
            "type": "scatter",
            "x": plain(means[name] for name in near),
            "y": [label(name) for name in near],
            "mode": "markers",
            "name": "mean over seeds",
            "marker": {
                "color": [colours[n] for n in near],
                "symbol": "line-ns",
                "size": 17,
                "line": {"width": 3, "color": [colours[n] for n in near]},
            },
            "hovertemplate": "%{y}, mean: %{x:.4f}<extra></extra>",
        },
    ]
    far = [name for name in order if means[name] > high]
    if far:
        traces.append(_edge(high, [(label(n), means[n]) for n in far]))
    shapes = []
    if ours and np.isfinite(seed_sd):
        traces.append(_swatch())
        shapes.append(_band(*ours))
    return draw(
        traces,
        120 + 30 * max(len(rows), 2),
        x=titled(axis) | {"range": [low, high]},
        y={"type": "category", "dtick": 1, "categoryorder": "array", "categoryarray": rows},
        shapes=shapes,
    )


def _edge(edge: float, far: Sequence[tuple[str, float]]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [edge] * len(far),
        "y": [name for name, _ in far],
        "mode": "markers+text",
        "text": [f"{value:.4g} " for _, value in far],
        "textposition": "middle left",
        "textfont": {"color": MUTED, "size": 12},
        "marker": {"color": MUTED, "symbol": "triangle-right", "size": 10},
        "name": "beyond the edge",
        "cliponaxis": False,
        "hovertemplate": "%{y}, mean: %{text}<extra></extra>",
    }


def _band(low: float, high: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": low,
        "x1": high,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "fillcolor": soft(BLUE, 0.1),
        "line": {"width": 0},
        "layer": "below",
    }


def _swatch() -> dict[str, Any]:
    """The band in the legend."""
    return {
        "type": "scatter",
        "x": [None],
        "y": [None],
        "mode": "markers",
        "name": "recommended ± 2 seed sd",
        "marker": {"color": soft(BLUE, 0.18), "symbol": "square", "size": 14},
    }
