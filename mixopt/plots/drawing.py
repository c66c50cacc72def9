"""A picture as plotly.js draws it: plain data, made without plotly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixopt.lazy import require
from mixopt.plots.style import AXIS, FAINT, FONT, INK, MUTED, PAPER

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Drawing:
    """Traces and layout in the words of plotly.js.

    A notebook shows a drawing by itself; `figure` makes a plotly figure of it, to be changed.

    Attributes:
        data: the traces, plain JSON values.
        layout: of the whole.
        narrow: what differs in the layout on a screen as narrow as a phone's.
    """

    data: tuple[Values, ...] = field(hash=False)
    layout: Values = field(hash=False)
    narrow: Values = field(default_factory=dict, hash=False)

    @property
    def height(self) -> int:
        """In pixels, on a wide screen."""
        return int(self.layout["height"])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = {"data": [dict(t) for t in self.data], "layout": dict(self.layout)}
        return values | ({"narrow": dict(self.narrow)} if self.narrow else {})

    def figure(self) -> Any:
        """A `plotly.graph_objects.Figure`.

        Raises:
            MissingDependencyError: plotly is not installed.
        """
        return require("plotly.graph_objects").Figure(list(self.data), dict(self.layout))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """What a notebook shows."""
        return self.figure()._repr_mimebundle_(include, exclude)


def draw(
    traces: Sequence[Values],
    height: int,
    *,
    x: Values | None = None,
    y: Values | None = None,
    narrow: Values | None = None,
    **layout: Any,
) -> Drawing:
    """A drawing in the look of all.

    Args:
        traces: in plotly's words, back to front.
        height: in pixels.
        x: what the axis along the bottom has beside the common look; None leaves it out.
        y: the same, upwards.
        narrow: see `Drawing`.
        layout: what else the layout has; replaces the common look.
    """
    look: dict[str, Any] = {
        "height": height,
        "font": FONT,
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "margin": {"l": 10, "r": 48, "t": 46, "b": 10},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 0.995,
            "yanchor": "top",
            "yref": "container",
            "traceorder": "normal",
        },
        "modebar": {
            "orientation": "v",
            "color": FAINT,
            "activecolor": MUTED,
            "bgcolor": "rgba(0,0,0,0)",
        },
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": FAINT, "font": {"color": INK}},
    }
    if x is not None:
        look["xaxis"] = AXIS | {"ticks": "outside", "tickcolor": FAINT} | dict(x)
    if y is not None:
        look["yaxis"] = AXIS | dict(y)
    return Drawing(tuple(traces), look | layout, dict(narrow or {}))
