"""Figures for papers: matplotlib drawings of the same frames that the interactive ones show.

Each takes a frame (columns as said) and gives a `matplotlib.figure.Figure` that no window shows.
"""

from typing import Any

import numpy as np
import pandas as pd

from mixopt.lazy import require
from mixopt.plots.style import BLUE, FAINT, GREEN, INK, ORANGE
from mixopt.space.short import largest, others

_ROW = 0.28  # inches per domain
_ROWS = 24  # domains that have a row of their own


def _figure(width: float, height: float, **grid: Any) -> tuple[Any, Any]:
    """A figure and its axes, made without pyplot so that nothing is kept or shown."""
    made = require("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(**grid)


def _plain(figure: Any) -> Any:
    """The figure with every text as it is: names of users are no formulas between dollars."""
    for text in figure.findobj(require("matplotlib.text").Text):
        text.set_parse_math(False)
    return figure


def weights(frame: pd.DataFrame, prior: str) -> Any:
    """Bars of `share` per `domain` with `low` and `high`, and the column `prior` as marks.

    Of more than 25 domains the 24 with the largest shares have rows, and the others one together.
    """
    named, rest = largest(dict(zip(frame["domain"], frame["share"], strict=True)), _ROWS)
    if rest:
        rows = frame.set_index("domain")
        sums = {"domain": others(rest), **rows.loc[rest, ["share", prior]].sum()}
        frame = pd.concat([rows.loc[named].reset_index(), pd.DataFrame([sums])], ignore_index=True)
    rows = frame.iloc[::-1]
    figure, axes = _figure(5.0, 1.1 + _ROW * len(rows))
    reach = np.clip([rows["share"] - rows["low"], rows["high"] - rows["share"]], 0.0, None)
    axes.barh(rows["domain"], rows["share"], color=BLUE, alpha=0.75, label="recommended")
    axes.errorbar(rows["share"], rows["domain"], xerr=reach, fmt="none", ecolor=INK, capsize=2)
    axes.plot(rows[prior], rows["domain"], "D", color=ORANGE, ms=4, label=prior)
    axes.set_xlabel("share of training tokens")
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    return _plain(figure)


def response(frame: pd.DataFrame, axis: str) -> Any:
    """One panel per `domain`: `mean` over `share`, with the band from `low` to `high`."""
    names = list(dict.fromkeys(frame["domain"]))
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    grid = {"nrows": rows, "ncols": columns, "sharey": True, "squeeze": False}
    figure, axes = _figure(2.2 * columns, 1.9 * rows, **grid)
    for place, name in zip(axes.flat, names, strict=False):
        part = frame[frame["domain"] == name]
        place.fill_between(part["share"], part["low"], part["high"], color=BLUE, alpha=0.2, lw=0)
        place.plot(part["share"], part["mean"], color=BLUE)
        place.set_title(name, fontsize="small")
    for place in axes.flat[len(names) :]:
        place.set_visible(False)
    figure.supxlabel("share of tokens", fontsize="small")
    figure.supylabel(axis, fontsize="small")
    return _plain(figure)


def scatter(
    frame: pd.DataFrame, x: str, y: str, *, line: bool = False, error: str | None = None
) -> Any:
    """Column `y` over column `x`; the diagonal where `line`, error bars of the column `error`."""
    figure, axes = _figure(4.2, 3.6)
    if error is not None:
        axes.errorbar(frame[x], frame[y], yerr=frame[error], fmt="none", ecolor=FAINT, lw=1)
    axes.plot(frame[x], frame[y], "o", color=BLUE, ms=4, alpha=0.8)
    if line:
        ends = [frame[[x, y]].min(axis=None), frame[[x, y]].max(axis=None)]
        axes.plot(ends, ends, "--", color=FAINT)
    axes.locator_params(nbins=5)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return _plain(figure)


def history(frame: pd.DataFrame, axis: str) -> Any:
    """Column `objective` of every run over `spent`, and `best` as a falling line."""
    figure, axes = _figure(4.8, 3.2)
    axes.plot(frame["spent"], frame["objective"], "o", color=GREEN, ms=4, alpha=0.8, label="runs")
    axes.step(frame["spent"], frame["best"], where="post", color=INK, label="best so far")
    axes.set_xlabel("spent")
    axes.set_ylabel(axis)
    axes.legend(frameon=False, fontsize="small")
    return _plain(figure)
