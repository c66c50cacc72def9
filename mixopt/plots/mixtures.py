"""Figures of mixtures: shares against baselines, confirmed candidates, per-domain response.

Notation:
    m domains; g points along a curve; 90 % intervals are mean +- 1.645 sd
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.lazy import require
from mixopt.plots.style import (
    BLUE,
    INK,
    MUTED,
    NAMED,
    RECOMMENDED,
    RIM,
    Z90,
    Figure,
    dress,
    label,
    new_figure,
    plain,
    styles_of,
)
from mixopt.runs import Schedule
from mixopt.space import Mixture
from mixopt.space.simplex import Array

SHARE_AXIS = "share of training tokens"
_AREAS = 12  # domains that are drawn one by one over a run


def mixture_bars(
    mixtures: Mapping[str, Mixture],
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    shown: Collection[str] | None = None,
) -> Figure:
    """The first mixture as bars with intervals, the others as marks on the same rows.

    Args:
        mixtures: name to mixture; all of the same domains, the first is the recommended one.
        intervals: domain to (least, most) share of the first mixture.
        shown: names to draw at once; the rest wait in the legend. None draws all.
    """
    (name, first), *others = mixtures.items()
    order = np.argsort(first.array, kind="stable")  # plotly stacks rows from the bottom up
    rows = [label(first.domains[i]) for i in order]
    figure = new_figure(height=110 + max(24 if len(rows) <= 30 else 19, 1) * max(len(rows), 3))
    share = first.array[order]
    figure.add_bar(
        x=plain(share),
        y=rows,
        orientation="h",
        name=label(name),
        marker={"color": BLUE, "opacity": 0.78},
        error_x=_between(first, intervals, order) if intervals else None,
        hovertemplate="%{y}: %{x:.1%}<extra>" + label(name) + "</extra>",
    )
    styles = styles_of([other for other, _ in others])
    edge = float(share.max())
    for other, mixture in others:
        visible = shown is None or other in shown
        weights = mixture.array[order]
        edge = max(edge, float(weights.max())) if visible else edge
        colour, symbol = styles[other]
        figure.add_scatter(
            x=plain(weights),
            y=rows,
            mode="markers",
            name=label(other),
            visible=True if visible else "legendonly",
            marker={"color": colour, "symbol": symbol, "size": 9, "line": RIM},
            hovertemplate="%{y}: %{x:.1%}<extra>" + label(other) + "</extra>",
        )
    highs = [high for _, high in (intervals or {}).values() if np.isfinite(high)]
    figure.update_layout(bargap=0.42)
    edge = min(1.02, max([edge, *highs]) * 1.06)
    figure.update_xaxes(title_text=SHARE_AXIS, tickformat=".0%", range=[0, edge])
    ends = [-0.6, len(rows) - 0.4]
    figure.update_yaxes(type="category", showgrid=False, dtick=1, range=ends)
    return figure


def schedule_steps(schedule: Schedule) -> Figure:
    """The mixture over the tokens of a run: stacked areas with a step at the end of each phase.

    The twelve domains with the largest share in a phase are drawn, the others as one.
    """
    ends = [0.0, *(schedule.ends / schedule.tokens).tolist()]
    x = [edge for start, end in pairwise(ends) for edge in (start, end)]
    weights = schedule.weights
    order = np.argsort(-weights.max(axis=0), kind="stable")
    parts = {schedule.domains[i]: weights[:, i] for i in order[:_AREAS]}
    if len(order) > _AREAS:
        parts["all others"] = weights[:, order[_AREAS:]].sum(axis=1)
    figure = new_figure(height=340)
    styles = styles_of(list(parts))
    for name, shares in parts.items():
        colour, _ = styles[name]
        figure.add_scatter(
            x=x,
            y=plain(np.repeat(shares, 2)),
            name=label(name),
            mode="lines",
            stackgroup="run",
            line={"width": 0.5, "color": colour},
            hovertemplate="%{y:.1%}<extra>" + label(name) + "</extra>",
        )
    figure.update_xaxes(title_text="share of the run's tokens", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title_text=SHARE_AXIS, tickformat=".0%", range=[0, 1])
    return figure


def confirmed(seeds: Mapping[str, Sequence[float]], seed_sd: float, *, axis: str) -> Figure:
    """Every candidate with its mean and every seed, best on top.

    The band is the mean of the recommendation +- twice the seed sd: a baseline whose mean lies
    right of it is worse beyond noise.

    Args:
        seeds: candidate to its objective per seed (lower is better), `"recommended"` among them.
        seed_sd: pooled over candidates; NaN draws no band.
        axis: objective and unit.
    """
    means = {name: float(np.mean(values)) for name, values in seeds.items() if len(values)}
    order = sorted(means, key=lambda name: -means[name])  # plotly stacks rows from the bottom up
    rows = [label(name) for name in order]
    figure = new_figure(height=120 + 30 * max(len(rows), 2))
    if RECOMMENDED in means and np.isfinite(seed_sd):
        _noise_band(figure, means[RECOMMENDED], 2 * seed_sd)
    colours = {name: BLUE if name == RECOMMENDED else MUTED for name in order}
    every = [(name, value) for name in order for value in seeds[name]]
    figure.add_scatter(
        x=plain(value for _, value in every),
        y=[label(name) for name, _ in every],
        mode="markers",
        name="one seed",
        marker={"color": [colours[name] for name, _ in every], "size": 7, "opacity": 0.5},
        hovertemplate="%{y}, one seed: %{x:.4f}<extra></extra>",
    )
    line = {"width": 3, "color": list(colours.values())}
    figure.add_scatter(
        x=plain(means[name] for name in order),
        y=rows,
        mode="markers",
        name="mean over seeds",
        marker={"color": list(colours.values()), "symbol": "line-ns", "size": 17, "line": line},
        hovertemplate="%{y}, mean: %{x:.4f}<extra></extra>",
    )
    figure.update_xaxes(title_text=label(axis))
    figure.update_yaxes(type="category", dtick=1, categoryorder="array", categoryarray=rows)
    return figure


def _noise_band(figure: Figure, centre: float, reach: float) -> None:
    band = {"fillcolor": BLUE, "opacity": 0.1, "line_width": 0, "layer": "below"}
    figure.add_vrect(x0=centre - reach, x1=centre + reach, **band)
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        name="recommended ± 2 seed sd",
        marker={"color": "rgba(0,114,178,0.18)", "symbol": "square", "size": 14},
    )


def along(mixture: Array, domain: int, shares: ArrayLike) -> Array:
    """(g, m) mixtures with one domain's share set, the others re-balanced in proportion.

    Where the others hold nothing, what is left is spread evenly over them.

    >>> along(np.array([0.5, 0.3, 0.2]), 0, [0.0, 0.5]).round(3)
    array([[0. , 0.6, 0.4],
           [0.5, 0.3, 0.2]])
    """
    at = np.asarray(shares, dtype=float)
    rest = np.array(mixture, dtype=float)
    rest[domain] = 0.0
    if rest.sum() < 1e-12:
        rest = np.ones(len(rest))
        rest[domain] = 0.0
    W = np.outer(1.0 - at, rest / max(rest.sum(), 1e-12))
    W[:, domain] = at
    return np.asarray(W)


def response_curves(
    domains: Sequence[str],
    shares: Array,
    mean: Array,
    sd: Array,
    *,
    at: Array,
    against: tuple[str, Array],
    axis: str,
) -> Figure:
    """One panel per domain: the predicted value as that domain's share varies.

    Args:
        domains: m names.
        shares: (m, g) where the curve is drawn.
        mean: (m, g) predicted there.
        sd: (m, g) what the law does not know of it.
        at: (m,) recommended shares, marked in each panel.
        against: a mixture that is marked as well: its name and (m,) shares.
        axis: metric and unit.
    """
    columns = min(4, len(domains))
    rows = -(-len(domains) // columns)
    figure = require("plotly.subplots").make_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes=True,
        subplot_titles=[label(d) for d in domains],
        x_title="share of tokens",
        y_title=label(axis),
        horizontal_spacing=0.05 if columns > 1 else 0.0,
        vertical_spacing=0.36 / max(rows, 1) if rows > 1 else 0.0,
    )
    dress(figure, height=130 + 190 * rows)
    for i in range(len(domains)):
        marks = {against[0]: float(against[1][i]), RECOMMENDED: float(at[i])}
        _response_panel(figure, i, (shares[i], mean[i], sd[i]), marks)
    figure.update_annotations(font={"size": 13, "color": INK})
    figure.update_yaxes(range=_near(shares, mean, sd, at))
    figure.update_xaxes(tickformat=".0%", nticks=5)
    figure.update_layout(margin={"l": 70, "t": 74, "b": 56})
    return figure


def _response_panel(
    figure: Figure, i: int, curve: tuple[Array, Array, Array], marks: Mapping[str, float]
) -> None:
    x, y, sd = curve
    columns = len(figure._grid_ref[0])
    place = {"row": i // columns + 1, "col": i % columns + 1}
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    margin = 0.03 * float(np.ptp(x)) or 0.01
    figure.update_xaxes(range=[float(x.min()) - margin, float(x.max()) + margin], **place)
    spread = Z90 * np.where(np.isfinite(sd), sd, 0.0)
    figure.add_scatter(x=plain(x), y=plain(y - spread), **band, **place)
    band |= {"fill": "tonexty", "fillcolor": "rgba(0,114,178,0.15)"}
    band |= {"showlegend": i == 0, "name": "90 % interval of the law", "legendgroup": "band"}
    figure.add_scatter(x=plain(x), y=plain(y + spread), **band, **place)
    figure.add_scatter(
        x=plain(x),
        y=plain(y),
        mode="lines",
        line={"color": BLUE, "width": 2},
        name="predicted",
        showlegend=False,
        hovertemplate="share %{x:.1%}: %{y:.4f}<extra></extra>",
        **place,
    )
    for name, share in marks.items():
        colour, symbol = NAMED[name]
        figure.add_scatter(
            x=[round(share, 6)],
            y=plain([np.interp(share, x, y)]),
            mode="markers",
            name=f"{name} share",
            legendgroup=name,
            showlegend=i == 0,
            marker={"color": colour, "symbol": symbol, "size": 9, "line": RIM},
            hovertemplate=f"{name} share %{{x:.1%}}<extra></extra>",
            **place,
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
        "array": plain(reach[:, 1]),
        "arrayminus": plain(reach[:, 0]),
        "color": INK,
        "thickness": 1.4,
        "width": 4,
    }


def _near(shares: Array, mean: Array, sd: Array, at: Array) -> list[float] | None:
    """The range of the curves within 0.35 of the recommended share: the far ends may leave it."""
    close = (np.abs(shares - at[:, None]) <= 0.35) & np.isfinite(mean)
    if not close.any():
        return None
    spread = np.where(np.isfinite(sd), sd, 0.0)
    low, high = (mean - spread)[close].min(), (mean + spread)[close].max()
    pad = 0.06 * (high - low) or 0.01
    return [float(low - pad), float(high + pad)]
