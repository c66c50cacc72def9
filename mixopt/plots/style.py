"""The look of every drawing: palette, marks, fonts, axes; plain numbers for JSON.

One look for all: the recommended mixture is blue everywhere, natural orange, uniform green, other
baselines muted; marks differ in shape as well (Okabe and Ito's palette, safe for colour blindness).
"""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

Z90 = 1.645  # half a 90 % interval, in sd
INK, MUTED, FAINT, GRID, PAPER = "#1f2933", "#66727f", "#c3cad2", "#e8ebef", "#ffffff"
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
NIGHT = {
    INK: "#e3e8ed",
    MUTED: "#a3afbb",
    FAINT: "#5b6773",
    GRID: "#2f3842",
    PAPER: "#1a2027",
    BLUE: "#4aa8e0",
    ORANGE: "#f0b429",
    GREEN: "#35c79d",
    RED: "#f0803c",
    "#5F6B76": "#93a0ad",
    "#9AA5B1": "#7d8a97",
    "#8C6D31": "#b8924a",
}
"""What stands for each colour on a dark page; others stay."""
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
AREAS = (*(colour for colour, _ in _OTHERS), BLUE, ORANGE, GREEN, RED, "#B5BD4C", "#6A4C93")
"""Of stacked areas, which have no marks to tell two of one colour apart."""
RIM = {"width": 1, "color": PAPER}
FONT = {"family": "system-ui, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK}
AXIS: dict[str, Any] = {
    "gridcolor": GRID,
    "linecolor": FAINT,
    "zeroline": False,
    "automargin": True,
    "tickfont": {"size": 12},
}


def label(text: object) -> str:
    """Text that plotly, which reads some HTML in names, shows as it is."""
    return html.escape(str(text), quote=False)


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters, its middle left out.

    >>> shortened("mean of one, two and three [bits]", 20)
    'mean of on… [bits]'
    """
    if len(text) <= most:
        return text
    tail = text[text.rfind(" ") :] if 0 < len(text) - text.rfind(" ") <= most // 2 else ""
    return f"{text[: most // 2]}…{tail or text[-(most - most // 2 - 1) :]}"


def titled(text: str) -> dict[str, Any]:
    """The title of an axis."""
    return {"title": {"text": label(text), "font": {"size": 13}}}


def styles_of(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and symbol per name: the known names have their own, the rest take turns."""
    free = [n for n in names if n not in NAMED]
    turns = {n: _OTHERS[i % len(_OTHERS)] for i, n in enumerate(free)}
    return {n: NAMED.get(n) or turns[n] for n in names}


def soft(colour: str, strength: float = 0.35) -> str:
    """A hexadecimal colour at a part of its strength, for intervals."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{strength:g})"


def plain(values: Any) -> list[float | None]:
    """Numbers for JSON: 6 significant digits, None where not finite."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]
