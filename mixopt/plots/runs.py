"""Drawings of runs: learning curves, and the best so far against cost.

Notation:
    n runs
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixopt.plots.drawing import Drawing, draw
from mixopt.plots.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    NAMED,
    RECOMMENDED,
    RED,
    RIM,
    label,
    plain,
    styles_of,
    titled,
)
from mixopt.space.simplex import Array

SEARCH = "search runs"
_KINDS = {
    "design": ("#9AA5B1", "circle"),
    "proposal": ("#56B4E9", "diamond"),
    "confirm recommended": (BLUE, "star"),
    "confirm baselines": (MUTED, "star"),
}


def learning_curves(
    curves: Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]],
    *,
    axis: str,
    shown: Collection[str] | None = None,
) -> Drawing:
    """A metric over training tokens, one line per run.

    Args:
        curves: group to lines (tokens, values); the group `SEARCH` is drawn faint behind the
            others, `"recommended"` in front.
        axis: metric and unit.
        shown: groups to draw at once; the rest wait in the legend. None draws all.
    """
    traces: list[dict[str, Any]] = []
    styles = styles_of([g for g in curves if g not in {SEARCH, RECOMMENDED}])
    order = sorted(curves, key=lambda g: (g == RECOMMENDED, g != SEARCH))
    for place, group in enumerate(order):
        x: list[float | None] = []
        y: list[float | None] = []
        for tokens, values in curves[group]:
            x += [*plain(tokens), None]
            y += [*plain(values), None]
        colour, symbol = (
            (FAINT, "circle") if group == SEARCH else styles.get(group, NAMED[RECOMMENDED])
        )
        traces.append(
            {
                "type": "scatter",
                "x": x,
                "y": y,
                "mode": "lines" if group == SEARCH else "lines+markers",
                "name": label(group),
                "visible": True if shown is None or group in shown else "legendonly",
                "legendrank": _rank(group, place, shown),
                "line": {"color": colour, "width": 1 if group == SEARCH else 2},
                "marker": {"symbol": symbol, "size": 6},
                "opacity": 0.65 if group == SEARCH else 1.0,
                "hovertemplate": "%{x:.3s} tokens: %{y:.4f}<extra>" + label(group) + "</extra>",
            }
        )
    x_axis = titled("training tokens") | {"tickformat": "~s", "rangemode": "tozero"}
    return draw(traces, 430, x=x_axis, y=titled(axis))


def _rank(group: str, place: int, shown: Collection[str] | None) -> int:
    """The recommended group leads the legend, what is hidden ends it."""
    if group in {RECOMMENDED, SEARCH}:
        return 1 if group == RECOMMENDED else 500
    return (100 if shown is None or group in shown else 600) + place


def best_so_far(
    spent: ArrayLike,
    values: ArrayLike,
    kinds: Sequence[str],
    *,
    searched: Sequence[bool],
    axis: str,
    cost_axis: str,
) -> Drawing:
    """The objective of every run against what was spent by its end, and the best search run so far.

    Args:
        spent: (n,) cumulative cost in the order of the runs.
        values: (n,) objective, NaN for failed runs (marked at the foot).
        kinds: (n,) `"design"`, `"proposal"` or any other, one colour each.
        searched: (n,) whether a run enters the running best; those that confirm do not, since they
            repeat what the search showed.
        axis: objective and unit.
        cost_axis: what is spent and its unit.
    """
    x, y, kind = np.asarray(spent, float), np.asarray(values, float), np.asarray(kinds, object)
    good = np.isfinite(y)
    traces: list[dict[str, Any]] = []
    styles = _KINDS | styles_of(sorted({*kinds} - {*_KINDS}))
    for name in dict.fromkeys(kinds):
        at = np.flatnonzero(good & (kind == name))
        colour, symbol = styles[name]
        traces.append(
            {
                "type": "scatter",
                "x": plain(x[at]),
                "y": plain(y[at]),
                "mode": "markers",
                "name": label(name),
                "marker": {
                    "color": colour,
                    "symbol": symbol,
                    "size": 9,
                    "opacity": 0.9,
                    "line": RIM,
                },
                "hovertemplate": "%{y:.4f} after %{x:.3s}<extra>" + label(name) + "</extra>",
            }
        )
    search = np.flatnonzero(good & np.asarray(searched, dtype=bool))
    if len(search):
        traces.append(
            {
                "type": "scatter",
                "x": plain(x[search]),
                "y": plain(np.minimum.accumulate(y[search])),
                "mode": "lines",
                "name": "best search run so far",
                "line": {"color": INK, "width": 1.6, "shape": "hv"},
                "hoverinfo": "skip",
            }
        )
    if not good.all() and good.any():
        traces.append(_failed(x[~good], y[good]))
    x_axis = titled(cost_axis) | {"tickformat": "~s", "rangemode": "tozero"}
    return draw(traces, 400, x=x_axis, y=titled(axis))


def _failed(spent: Array, values: Array) -> dict[str, Any]:
    """Crosses at the foot of the values of the others."""
    foot = values.min() - 0.05 * (np.ptp(values) or 1.0)
    return {
        "type": "scatter",
        "x": plain(spent),
        "y": plain(np.full(len(spent), foot)),
        "mode": "markers",
        "name": "failed",
        "marker": {
            "color": RED,
            "symbol": "x-thin",
            "size": 9,
            "line": {"width": 2, "color": RED},
        },
        "hovertemplate": "failed<extra></extra>",
    }
