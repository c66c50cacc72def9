"""Drawings of mixtures: shares against baselines, and over a run.

Notation:
    m domains
"""

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.plots.drawing import Drawing, draw
from mixopt.plots.style import AREAS, BLUE, FAINT, INK, RIM, label, plain, styles_of, titled
from mixopt.runs import Schedule
from mixopt.space import Mixture

SHARE_AXIS = "share of training tokens"
_AREAS = 12  # domains that are drawn one by one over a run
_REST = "all others"


def mixture_bars(
    mixtures: Mapping[str, Mixture],
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    shown: Collection[str] | None = None,
    most: int | None = None,
) -> Drawing:
    """The first mixture as bars with intervals, the others as marks on the same rows.

    Args:
        mixtures: name to mixture; all of the same domains, the first is the recommended one.
        intervals: domain to (least, most) share of the first mixture.
        shown: names to draw at once; the rest wait in the legend. None draws all.
        most: so many domains at most, those with the largest shares of the first mixture.
    """
    (name, first), *others = mixtures.items()
    order = np.argsort(first.array, kind="stable")  # plotly stacks rows from the bottom up
    order = order if most is None else order[-most:]
    rows = [label(first.domains[i]) for i in order]
    share = first.array[order]
    bars: dict[str, Any] = {
        "type": "bar",
        "x": plain(share),
        "y": rows,
        "orientation": "h",
        "name": label(name),
        "marker": {"color": BLUE, "opacity": 0.78},
        "hovertemplate": "%{y}: %{x:.1%}<extra>" + label(name) + "</extra>",
    }
    if intervals:
        bars["error_x"] = _between(first, intervals, order)
    traces, edge = [bars], float(share.max())
    styles = styles_of([other for other, _ in others])
    for other, mixture in others:
        visible = shown is None or other in shown
        weights = mixture.array[order]
        edge = max(edge, float(weights.max())) if visible else edge
        colour, symbol = styles[other]
        traces.append(
            {
                "type": "scatter",
                "x": plain(weights),
                "y": rows,
                "mode": "markers",
                "name": label(other),
                "visible": True if visible else "legendonly",
                "marker": {"color": colour, "symbol": symbol, "size": 9, "line": RIM},
                "hovertemplate": "%{y}: %{x:.1%}<extra>" + label(other) + "</extra>",
            }
        )
    reach = [(intervals or {}).get(first.domains[i], (np.nan, np.nan))[1] for i in order]
    edge = min(1.02, max([edge, *(high for high in reach if np.isfinite(high))]) * 1.06)
    ends = [-0.6, len(rows) - 0.4]
    return draw(
        traces,
        110 + (24 if len(rows) <= 30 else 19) * max(len(rows), 3),
        x=titled(SHARE_AXIS) | {"tickformat": ".0%", "range": [0, edge], "nticks": 8},
        y={"type": "category", "showgrid": False, "dtick": 1, "range": ends},
        bargap=0.42,
    )


def schedule_steps(schedule: Schedule) -> Drawing:
    """The mixture over the tokens of a run: stacked areas with a step at the end of each phase.

    The twelve domains with the largest share in a phase are drawn, the others as one. Where there
    are no more, a domain has one colour in all schedules of a study.
    """
    ends = [0.0, *(schedule.ends / schedule.tokens).tolist()]
    x = [edge for start, end in pairwise(ends) for edge in (start, end)]
    weights = schedule.weights
    order = np.argsort(-weights.max(axis=0), kind="stable")
    parts = {schedule.domains[i]: weights[:, i] for i in order[:_AREAS]}
    if len(order) > _AREAS:
        parts[_REST] = weights[:, order[_AREAS:]].sum(axis=1)
    places = list(parts) if len(order) > _AREAS else schedule.domains
    colours = dict(zip(places, AREAS, strict=False)) | {_REST: FAINT}
    areas = [
        {
            "type": "scatter",
            "x": x,
            "y": plain(np.repeat(shares, 2)),
            "name": label(name),
            "mode": "lines",
            "stackgroup": "run",
            "line": {"width": 0.5, "color": colours[name]},
            "hovertemplate": "%{y:.1%}<extra>" + label(name) + "</extra>",
        }
        for name, shares in parts.items()
    ]
    return draw(
        areas,
        340,
        x=titled("share of the run's tokens") | {"tickformat": ".0%", "range": [0, 1]},
        y=titled(SHARE_AXIS) | {"tickformat": ".0%", "range": [0, 1]},
    )


def _between(
    mixture: Mixture, intervals: Mapping[str, tuple[float, float]], order: NDArray[np.intp]
) -> dict[str, Any]:
    """Asymmetric error bars from (least, most) shares."""
    share = mixture.array[order]
    unsure = (np.nan, np.nan)
    ends = np.array([intervals.get(mixture.domains[i], unsure) for i in order], dtype=float)
    reach = np.nan_to_num(np.clip(np.column_stack([share - ends[:, 0], ends[:, 1] - share]), 0, 1))
    return {
        "type": "data",
        "symmetric": False,
        "array": plain(reach[:, 1]),
        "arrayminus": plain(reach[:, 0]),
        "color": INK,
        "thickness": 1.4,
        "width": 4,
    }
