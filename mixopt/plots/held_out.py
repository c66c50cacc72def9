"""Drawings of how far predictions can be relied on: held-out runs, calibration, small and large.

Notation:
    n runs; l levels; 90 % intervals are mean +- 1.645 sd
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixopt.plots.drawing import Drawing, draw
from mixopt.plots.style import (
    BLUE,
    FAINT,
    MUTED,
    RECOMMENDED,
    RED,
    RIM,
    Z90,
    label,
    plain,
    soft,
    styles_of,
    titled,
)
from mixopt.space.simplex import Array

_SHOWN_LINES = 5  # of calibration; the others wait in the legend


def predicted_observed(
    observed: ArrayLike, mean: ArrayLike, sd: ArrayLike, *, axis: str, names: Sequence[str] = ()
) -> Drawing:
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
    traces: list[dict[str, Any]] = []
    limits: dict[str, Any] = {}
    if keep.any():
        both = np.concatenate([y[keep], x[keep]])
        limits = {"range": _padded(both)}
        traces.append(_diagonal(both, "perfect prediction"))
    for chosen, colour, symbol, name in (
        (keep & inside, BLUE, "circle", "inside its 90 % interval"),
        (keep & ~inside, RED, "diamond", "outside"),
    ):
        at = np.flatnonzero(chosen)
        if not len(at):
            continue
        bars = {"type": "data", "array": plain(half[at]), "thickness": 1, "width": 0}
        traces.append(
            {
                "type": "scatter",
                "x": plain(y[at]),
                "y": plain(x[at]),
                "mode": "markers",
                "name": f"{name} ({len(at)})",
                "text": [labels[i] for i in at],
                "marker": {"color": colour, "symbol": symbol, "size": 7, "opacity": 0.85},
                "error_y": bars | {"color": soft(colour)},
                "hovertemplate": (
                    "%{text}<br>observed %{x:.4f}<br>predicted %{y:.4f}<extra></extra>"
                ),
            }
        )
    return draw(
        traces,
        460,
        x=titled(f"observed {axis}") | limits,
        y=titled(f"predicted {axis}") | limits,
    )


def coverage(claimed: ArrayLike, inside: Mapping[str, ArrayLike], *, runs: int) -> Drawing:
    """How many runs intervals really hold, against how many they claim to.

    Args:
        claimed: (l,) of the intervals, e.g. 0.9.
        inside: what is predicted to (l,) share of its held-out runs that the intervals hold.
        runs: how many there are, for the band of what luck alone explains (nine in ten).
    """
    levels = np.asarray(claimed, dtype=float)
    spread = Z90 * np.sqrt(levels * (1 - levels) / max(runs, 1))
    band = {
        "type": "scatter",
        "mode": "lines",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "x": plain(levels),
    }
    traces: list[dict[str, Any]] = [
        band | {"y": plain(np.clip(levels - spread, 0, 1)), "showlegend": False},
        band
        | {"y": plain(np.clip(levels + spread, 0, 1)), "name": f"luck alone, of {runs} runs"}
        | {"fill": "tonexty", "fillcolor": soft(MUTED, 0.16)},
        _diagonal(np.array([0.0, 1.0]), "as claimed"),
    ]
    styles = styles_of([n for n in inside if n != RECOMMENDED])
    for place, (name, shares) in enumerate(inside.items()):
        colour = BLUE if place == 0 else styles[name][0]
        traces.append(
            {
                "type": "scatter",
                "x": plain(levels),
                "y": plain(np.asarray(shares, dtype=float)),
                "mode": "lines+markers",
                "name": label(name),
                "line": {"color": colour, "width": 2 if place == 0 else 1.2},
                "marker": {"size": 6},
                "visible": True if place < _SHOWN_LINES else "legendonly",
                "hovertemplate": (
                    "%{x:.0%} intervals hold %{y:.0%}<extra>" + label(name) + "</extra>"
                ),
            }
        )
    share = {"tickformat": ".0%", "range": [0, 1.02]}
    return draw(
        traces,
        400,
        x=titled("intervals claim to hold") | share,
        y=titled("they hold") | share,
    )


def small_large(
    small: ArrayLike,
    large: ArrayLike,
    *,
    axes: tuple[str, str],
    names: Sequence[str] = (),
    marked: Collection[str] = (),
) -> Drawing:
    """The same mixtures at two scales; where the order is the same, small runs can choose.

    Args:
        small: (n,) objective at the small scale.
        large: (n,) at the large one.
        axes: what is along the bottom, and upwards.
        names: (n,) of the mixtures, for the pointer; may be left out.
        marked: names that are written beside their points.
    """
    x, y = np.asarray(small, dtype=float), np.asarray(large, dtype=float)
    names = names or [f"mixture {i}" for i in range(len(x))]
    points = {
        "type": "scatter",
        "x": plain(x),
        "y": plain(y),
        "mode": "markers+text",
        "name": "a mixture",
        "text": [label(n) if n in marked else "" for n in names],
        "hovertext": [label(n) for n in names],
        "textposition": "top center",
        "textfont": {"size": 12, "color": MUTED},
        "marker": {"color": BLUE, "size": 9, "line": RIM},
        "hovertemplate": "%{hovertext}<br>small %{x:.4f}<br>large %{y:.4f}<extra></extra>",
    }
    room: dict[str, Any] = {"margin": {"l": 10, "r": 30, "t": 16, "b": 10}, "showlegend": False}
    bottom, upwards = (
        titled(name) | ({"range": _padded(v, 0.14)} if len(v) else {})
        for name, v in zip(axes, (x, y), strict=True)
    )
    return draw([points], 400, x=bottom, y=upwards, **room)


def _padded(values: Array, part: float = 0.08) -> list[float]:
    low, high = float(values.min()), float(values.max())
    pad = part * (high - low) or 0.01
    return [low - pad, high + pad]


def _diagonal(values: Array, name: str) -> dict[str, Any]:
    ends = [float(values.min()), float(values.max())]
    return {
        "type": "scatter",
        "x": ends,
        "y": ends,
        "mode": "lines",
        "name": name,
        "line": {"color": FAINT, "width": 1.5, "dash": "dash"},
        "hoverinfo": "skip",
    }
