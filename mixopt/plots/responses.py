"""Drawings of what a law says of domains: response curves, and pairs that help each other.

Notation:
    m domains; g points along a curve; 90 % intervals are mean +- 1.645 sd
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixopt.plots.drawing import Drawing, draw
from mixopt.plots.pairs import pair_map
from mixopt.plots.style import (
    AXIS,
    BLUE,
    FAINT,
    INK,
    NAMED,
    RECOMMENDED,
    RIM,
    Z90,
    label,
    plain,
    shortened,
    soft,
)
from mixopt.space.simplex import Array

_COLUMNS, _NARROW_COLUMNS = 4, 2
_TITLE = 18  # characters of a name over its panel
_PANEL, _TOP, _FOOT, _GAP = 190, 76, 56, 56  # pixels: a row of panels, above, below, between


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
) -> Drawing:
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
    window = _near(shares, mean, sd, at)
    traces: list[dict[str, Any]] = []
    titles = []
    for i, name in enumerate(domains):
        marks = {against[0]: float(against[1][i]), RECOMMENDED: float(at[i])}
        traces += _panel(i, (shares[i], mean[i], sd[i]), marks)
        place = {"xref": f"x{i + 1} domain", "yref": f"y{i + 1} domain", "x": 0.5, "y": 1.0}
        if i == 0:
            place |= {"xref": "x domain", "yref": "y domain"}
        titles.append(_text(shortened(name, _TITLE), **place, yanchor="bottom"))
    wide, narrow = (_axes(shares, window, c) for c in (_COLUMNS, _NARROW_COLUMNS))
    titles += [
        _text("share of tokens", xref="paper", yref="paper", x=0.5, y=0, yshift=-28, yanchor="top"),
        _text(
            shortened(axis, 30), xref="paper", yref="paper", x=0, y=0.5, xshift=-52, textangle=-90
        ),
    ]
    margin = {"l": 70, "r": 20, "t": _TOP, "b": _FOOT}
    height = int(wide.pop("height"))
    kept = ("domain", "anchor", "matches", "showticklabels")
    changes = {
        key: value if key == "height" else {k: value[k] for k in kept if k in value}
        for key, value in narrow.items()
    }
    return draw(traces, height, narrow=changes, annotations=titles, margin=margin, **wide)


def _text(text: str, **place: Any) -> dict[str, Any]:
    return {"text": label(text), "showarrow": False, "font": {"size": 13, "color": INK}, **place}


def _axes(shares: Array, window: list[float] | None, columns: int) -> dict[str, Any]:
    """Height, and the axes of every panel, in so many columns; rows share their scale."""
    columns = min(columns, len(shares))
    rows = -(-len(shares) // columns)
    height = _TOP + _FOOT + rows * _PANEL - (0 if rows == 1 else _GAP)
    inside = height - _TOP - _FOOT
    gap, step = 0.05, (inside + _GAP) / inside / rows
    wide = (1.0 - gap * (columns - 1)) / columns
    axes: dict[str, Any] = {"height": height}
    for i, x in enumerate(shares):
        row, column = divmod(i, columns)
        end = "" if i == 0 else str(i + 1)
        left, top = column * (wide + gap), 1.0 - row * step
        margin = 0.03 * float(np.ptp(x)) or 0.01
        axes[f"xaxis{end}"] = AXIS | {
            "anchor": f"y{end}",
            "domain": [round(left, 5), round(min(left + wide, 1.0), 5)],
            "range": [float(x.min()) - margin, float(x.max()) + margin],
            "tickformat": ".0%",
            "nticks": 5,
            "ticks": "outside",
            "tickcolor": FAINT,
        }
        axes[f"yaxis{end}"] = AXIS | {
            "anchor": f"x{end}",
            "domain": [round(max(top - step + _GAP / inside, 0.0), 5), round(top, 5)],
            "showticklabels": column == 0,
            **({"range": window} if window else {}),
            **({"matches": "y"} if i else {}),
        }
    return axes


def _panel(
    i: int, curve: tuple[Array, Array, Array], marks: Mapping[str, float]
) -> list[dict[str, Any]]:
    x, y, sd = curve
    end = "" if i == 0 else str(i + 1)
    place = {"type": "scatter", "xaxis": f"x{end}", "yaxis": f"y{end}"}
    band = place | {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    spread = Z90 * np.where(np.isfinite(sd), sd, 0.0)
    traces = [
        band | {"x": plain(x), "y": plain(y - spread), "showlegend": False},
        band
        | {"x": plain(x), "y": plain(y + spread), "fill": "tonexty", "fillcolor": soft(BLUE, 0.15)}
        | {"showlegend": i == 0, "name": "90 % interval of the law", "legendgroup": "band"},
        place
        | {
            "x": plain(x),
            "y": plain(y),
            "mode": "lines",
            "line": {"color": BLUE, "width": 2},
            "name": "predicted",
            "showlegend": False,
            "hovertemplate": "share %{x:.1%}: %{y:.4f}<extra></extra>",
        },
    ]
    for name, share in marks.items():
        colour, symbol = NAMED[name]
        traces.append(
            place
            | {
                "x": [round(share, 6)],
                "y": plain([np.interp(share, x, y)]),
                "mode": "markers",
                "name": f"{name} share",
                "legendgroup": name,
                "showlegend": i == 0,
                "marker": {"color": colour, "symbol": symbol, "size": 9, "line": RIM},
                "hovertemplate": f"{name} share %{{x:.1%}}<extra></extra>",
            }
        )
    return traces


def _near(shares: Array, mean: Array, sd: Array, at: Array) -> list[float] | None:
    """The range of the curves within 0.35 of the recommended share: the far ends may leave it."""
    close = (np.abs(shares - at[:, None]) <= 0.35) & np.isfinite(mean)
    if not close.any():
        return None
    spread = np.where(np.isfinite(sd), sd, 0.0)
    low, high = (mean - spread)[close].min(), (mean + spread)[close].max()
    pad = 0.06 * (high - low) or 0.01
    return [float(low - pad), float(high + pad)]


def interactions(domains: Sequence[str], effect: Array, *, step: float) -> Drawing:
    """Which pairs of domains help or replace each other, as a heat map.

    Args:
        domains: m names.
        effect: (m, m) how much more the objective changes when two grow together than each adds;
            below zero they help each other. The diagonal is left out.
        step: share of the mixture that is moved.
    """
    more = {
        "hovertemplate": (
            "%{x} and %{y} together: %{z:.2g}<br>beyond what "
            f"{100 * step:.0f} % more of each adds<extra></extra>"
        ),
    }
    title = {"text": "replace ▲<br>help ▼", "font": {"size": 11}}
    return pair_map(domains, effect, more, bar={"exponentformat": "power", "title": title})
