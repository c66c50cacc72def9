"""The look of every figure: palette, marks, fonts, axes; plain numbers for JSON.

One look for all: the recommended mixture is blue everywhere, natural orange, uniform green, other
baselines muted; marks differ in shape as well (Okabe and Ito's palette, safe for colour blindness).
"""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from mixopt.lazy import require

Figure = Any
"""A `plotly.graph_objects.Figure`; plotly is an extra and ships no types."""

Z90 = 1.645  # half a 90 % interval, in sd
INK, MUTED, FAINT, GRID = "#1f2933", "#66727f", "#c3cad2", "#e8ebef"
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
RECOMMENDED = "recommended"
NAMED = {
    RECOMMENDED: (BLUE, "circle"),
    "natural": (ORANGE, "diamond"),
    "uniform": (GREEN, "square"),
}
_OTHERS = (
    ("#CC79A7", "triangle-up"),
    ("#56B4E9", "triangle-down"),
    ("#8C6D31", "cross"),
    ("#5F6B76", "x"),
    ("#9A8FBF", "star"),
    ("#7FA37F", "hexagon"),
)
RIM = {"width": 1, "color": "white"}


def label(text: object) -> str:
    """Text that plotly, which reads some HTML in names, shows as it is."""
    return html.escape(str(text), quote=False)


def styles_of(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and symbol per name: the known names have their own, the rest take turns."""
    free = [n for n in names if n not in NAMED]
    turns = {n: _OTHERS[i % len(_OTHERS)] for i, n in enumerate(free)}
    return {n: NAMED.get(n) or turns[n] for n in names}


def new_figure(height: int) -> Figure:
    """An empty figure in this look.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    return dress(require("plotly.graph_objects").Figure(), height)


def dress(figure: Figure, height: int) -> Figure:
    """The look of every figure; margins grow with the labels."""
    line = {"gridcolor": GRID, "linecolor": FAINT, "zeroline": False, "automargin": True}
    line |= {"title": {"font": {"size": 13}}, "tickfont": {"size": 12}}
    font = {"family": "system-ui, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK}
    figure.update_layout(
        template={},
        height=height,
        font=font,
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 10, "r": 48, "t": 46, "b": 10},
        legend={"orientation": "h", "x": 0, "y": 0.995, "yanchor": "top", "yref": "container"},
        modebar={"orientation": "v", "color": FAINT, "activecolor": MUTED, "bgcolor": "white"},
        hoverlabel={"bgcolor": "white", "bordercolor": FAINT, "font": {"color": INK}},
    )
    figure.update_xaxes(**line, ticks="outside", tickcolor=FAINT)
    figure.update_yaxes(**line)
    return figure


def soft(colour: str) -> str:
    """A hexadecimal colour at a third of its strength, for intervals."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.35)"


def plain(values: Any) -> list[float | None]:
    """Numbers for JSON: 6 significant digits, None where not finite."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]
