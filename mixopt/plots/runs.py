"""Figures of runs: predicted against observed, learning curves, the best so far against cost.

Notation:
    n runs; 90 % intervals are mean +- 1.645 sd
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mixopt.plots.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    NAMED,
    RECOMMENDED,
    RED,
    RIM,
    Z90,
    Figure,
    label,
    new_figure,
    plain,
    soft,
    styles_of,
)

SEARCH = "search runs"
_KINDS = {
    "design": ("#9AA5B1", "circle"),
    "proposal": ("#56B4E9", "diamond"),
    "confirm recommended": (BLUE, "star"),
    "confirm baselines": (MUTED, "star"),
}


def predicted_observed(
    observed: ArrayLike, mean: ArrayLike, sd: ArrayLike, *, axis: str, names: Sequence[str] = ()
) -> Figure:
    """Held-out predictions with 90 % intervals against what the runs measured.

    Args:
        observed: (n,).
        mean: (n,) predicted without the run itself.
        sd: (n,) of one new run around the prediction.
        axis: metric and unit.
        names: (n,) of the runs, for the pointer.
    """
    y, x, half = (np.asarray(v, dtype=float) for v in (observed, mean, sd))
    keep = np.isfinite(y) & np.isfinite(x)
    labels = (
        [label(n) for n in names] if len(names) == len(y) else [f"run {i}" for i in range(len(y))]
    )
    half = Z90 * np.where(np.isfinite(half), half, 0.0)
    inside = np.abs(y - x) <= half
    figure = new_figure(height=460)
    window = None
    if keep.any():
        both = np.concatenate([y[keep], x[keep]])
        ends = [float(both.min()), float(both.max())]
        pad = 0.08 * (ends[1] - ends[0]) or 0.01
        window = [ends[0] - pad, ends[1] + pad]
        figure.add_scatter(
            x=ends,
            y=ends,
            mode="lines",
            name="perfect prediction",
            line={"color": FAINT, "width": 1.5, "dash": "dash"},
            hoverinfo="skip",
        )
    for chosen, colour, symbol, name in (
        (keep & inside, BLUE, "circle", "inside its 90 % interval"),
        (keep & ~inside, RED, "diamond", "outside"),
    ):
        at = np.flatnonzero(chosen)
        if not len(at):
            continue
        figure.add_scatter(
            x=plain(y[at]),
            y=plain(x[at]),
            mode="markers",
            name=f"{name} ({len(at)})",
            text=[labels[i] for i in at],
            marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.85},
            error_y={"array": plain(half[at]), "thickness": 1, "width": 0, "color": soft(colour)},
            hovertemplate="%{text}<br>observed %{x:.4f}<br>predicted %{y:.4f}<extra></extra>",
        )
    figure.update_xaxes(title_text=f"observed {label(axis)}", range=window)
    figure.update_yaxes(title_text=f"predicted {label(axis)}", range=window)
    return figure


def learning_curves(
    curves: Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]],
    *,
    axis: str,
    shown: Collection[str] | None = None,
) -> Figure:
    """A metric over training tokens, one line per run.

    Args:
        curves: group to lines (tokens, values); the group `SEARCH` is drawn faint behind the
            others, `"recommended"` in front.
        axis: metric and unit.
        shown: groups to draw at once; the rest wait in the legend. None draws all.
    """
    figure = new_figure(height=430)
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
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines" if group == SEARCH else "lines+markers",
            name=label(group),
            visible=True if shown is None or group in shown else "legendonly",
            legendrank=_rank(group, place, shown),
            line={"color": colour, "width": 1 if group == SEARCH else 2},
            marker={"symbol": symbol, "size": 6},
            opacity=0.65 if group == SEARCH else 1.0,
            hovertemplate="%{x:.3s} tokens: %{y:.4f}<extra>" + label(group) + "</extra>",
        )
    figure.update_xaxes(title_text="training tokens", tickformat="~s", rangemode="tozero")
    figure.update_yaxes(title_text=label(axis))
    return figure


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
) -> Figure:
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
    figure = new_figure(height=400)
    styles = _KINDS | styles_of(sorted({*kinds} - {*_KINDS}))
    for name in dict.fromkeys(kinds):
        at = np.flatnonzero(good & (kind == name))
        colour, symbol = styles[name]
        figure.add_scatter(
            x=plain(x[at]),
            y=plain(y[at]),
            mode="markers",
            name=label(name),
            marker={"color": colour, "symbol": symbol, "size": 9, "opacity": 0.9, "line": RIM},
            hovertemplate="%{y:.4f} after %{x:.3s}<extra>" + label(name) + "</extra>",
        )
    search = np.flatnonzero(good & np.asarray(searched, dtype=bool))
    if len(search):
        figure.add_scatter(
            x=plain(x[search]),
            y=plain(np.minimum.accumulate(y[search])),
            mode="lines",
            name="best search run so far",
            line={"color": INK, "width": 1.6, "shape": "hv"},
            hoverinfo="skip",
        )
    if not good.all() and good.any():
        failed = np.flatnonzero(~good)
        foot = y[good].min() - 0.05 * (np.ptp(y[good]) or 1.0)
        figure.add_scatter(
            x=plain(x[failed]),
            y=plain(np.full(len(failed), foot)),
            mode="markers",
            name="failed",
            marker={
                "color": RED,
                "symbol": "x-thin",
                "size": 9,
                "line": {"width": 2, "color": RED},
            },
            hovertemplate="failed<extra></extra>",
        )
    figure.update_xaxes(title_text=label(cost_axis), tickformat="~s", rangemode="tozero")
    figure.update_yaxes(title_text=label(axis))
    return figure
