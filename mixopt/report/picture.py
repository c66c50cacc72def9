"""The answer as one still picture, for a README, a slide or a message: mixture against baselines.

The words are those of the report's first card; what is drawn is its mixture and its candidates, or,
where experiments were tested, which of them change what another shows.
"""

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from mixopt.diagnostics import Dependence
from mixopt.errors import InputError
from mixopt.evidence.confirmation import Confirmation
from mixopt.lazy import require
from mixopt.plots import RECOMMENDED, toughest
from mixopt.plots.candidates import window
from mixopt.plots.style import BLUE, FAINT, GREEN, INK, MUTED, ORANGE, RED, shortened
from mixopt.report.data import ReportData
from mixopt.report.wording import headline, number, percent, signed, verdict
from mixopt.space.short import largest, others

FORMATS = ("svg", "png", "pdf")
_DOMAINS, _CANDIDATES = 12, 8  # rows that are drawn
_WIDE, _ROW = 9.2, 0.27  # inches
_COLOURS = {"shown": GREEN, "not-shown": RED, "untested": MUTED}
# Names of users are text, never formulas; letters are outlines, so that every viewer shows them.
_STYLE = {
    "text.parse_math": False,
    "svg.hashsalt": "mixopt",
    "font.family": "DejaVu Sans",
    "font.size": 9,
}


def picture(data: ReportData, form: str = "svg") -> bytes:
    """The picture as a file; the same data give the same bytes.

    Args:
        data: of a report.
        form: `svg`, `png` or `pdf`.

    Raises:
        InputError: an unknown form, or there is no recommendation yet.
        MissingDependencyError: matplotlib is not installed.
    """
    if form not in FORMATS:
        raise InputError(
            f"cannot draw a picture as {form or 'a file without ending'!r}; let its name end with "
            f"one of {', '.join('.' + known for known in FORMATS)}"
        )
    if data.recommendation is None:
        raise InputError(f"there is no answer to draw yet: {verdict(data).sentence}")
    with require("matplotlib").rc_context(_STYLE):
        out = io.BytesIO()
        stamp = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}[form]
        _figure(data).savefig(out, format=form, dpi=150, metadata={stamp: None})
    return out.getvalue()


def _figure(data: ReportData) -> Any:
    if data.dependence is not None:
        return _experiments(data, data.dependence)
    rows = max(min(data.space.dim, _DOMAINS + 1), 5)
    asked = textwrap.wrap(shortened(data.origin.question or data.title, 200), 106)
    words = textwrap.wrap(headline(data), 100)
    top = 0.5 + 0.16 * len(asked) + 0.19 * len(words)
    height = top + 0.8 + _ROW * rows
    figure = require("matplotlib.figure").Figure(figsize=(_WIDE, height), facecolor="white")
    shares, against = figure.subplots(ncols=2, width_ratios=(1.0, 1.05))
    figure.subplots_adjust(
        left=0.125, right=0.985, wspace=0.42, bottom=0.74 / height, top=1 - top / height
    )
    _words(figure, data, asked, words)
    _shares(shares, data)
    if data.confirmation is not None and data.confirmation.comparisons:
        _confirmed(against, data.confirmation, data.objective_axis)
    else:
        _predicted(against, data)
    for axes in (shares, against):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
        axes.tick_params(color=FAINT, labelcolor=INK, left=False)
    return figure


def _experiments(data: ReportData, told: Dependence) -> Any:
    """Outcomes by rows, data by columns; changes in numbers, colours by how far beyond chance."""
    names = told.names[:_DOMAINS]
    n = len(names)
    asked = textwrap.wrap(shortened(data.origin.question or data.title, 200), 106)
    words = textwrap.wrap(headline(data), 100)
    top = 0.5 + 0.16 * len(asked) + 0.19 * len(words)
    height = top + 1.0 + 0.34 * n
    figure = require("matplotlib.figure").Figure(figsize=(_WIDE, height), facecolor="white")
    axes = figure.subplots()
    figure.subplots_adjust(left=0.16, right=0.985, bottom=0.62 / height, top=1 - top / height)
    _words(figure, data, asked, words)
    shown = np.where(np.eye(n, dtype=bool), np.nan, told.z[:n, :n])
    reach = max(4.0, float(np.nanmax(np.abs(shown), initial=0.0)))
    colours = require("matplotlib.colors").LinearSegmentedColormap.from_list(
        "change", [BLUE, "#ffffff", ORANGE]
    )
    axes.imshow(shown, cmap=colours, vmin=-reach, vmax=reach, aspect="auto")
    for i, j in np.ndindex(n, n):
        flag, strong = told.flagged[i, j], abs(told.z[i, j]) > 0.6 * reach and i != j
        axes.text(
            j, i, f"{signed(float(told.effect[i, j]))}{' *' if flag else ''}",
            ha="center", va="center", size=8, weight="bold" if flag else "normal",
            color="white" if strong else MUTED if i == j else INK,
        )  # fmt: skip
    axes.set_xticks(range(n), [shortened(name, 16) for name in names])
    axes.set_yticks(range(n), [shortened(name, 16) for name in names])
    axes.set_ylabel("outcome of", color=MUTED)
    axes.set_xlabel("with the data of (* beyond chance for all pairs together)", color=MUTED)
    axes.spines[:].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK, left=False, bottom=False)
    return figure


def _words(figure: Any, data: ReportData, asked: Sequence[str], words: Sequence[str]) -> None:
    judged, height = verdict(data), figure.get_figheight()
    badge = {"boxstyle": "round,pad=0.35", "facecolor": _COLOURS[judged.state], "lw": 0}
    figure.text(
        0.02, 1 - 0.13 / height, judged.badge, color="white", weight="bold", va="top", bbox=badge
    )
    figure.text(0.125, 1 - 0.13 / height, "\n".join(asked), color=MUTED, va="top")
    below = 1 - (0.3 + 0.16 * len(asked)) / height
    figure.text(0.013, below, "\n".join(words), color=INK, weight="bold", va="top", size=10)


def _shares(axes: Any, data: ReportData) -> None:
    """Bars of the recommended shares with their intervals, and the natural ones as marks."""
    answer, space = data.recommendation, data.space
    assert answer is not None
    mixture = space.mixture(answer.mixture.to_dict())
    names, rest = largest(mixture.to_dict(), _DOMAINS)
    place = {name: i for i, name in enumerate(space.names)}
    rows = [[place[name]] for name in names] + ([[place[name] for name in rest]] if rest else [])
    share, prior = (
        np.array([of[row].sum() for row in rows]) for of in (mixture.array, space.prior)
    )
    names += [others(rest)] if rest else []
    y = np.arange(len(names))
    axes.barh(y, share, 0.62, color=BLUE, alpha=0.85, label=RECOMMENDED)
    ends = np.array([answer.intervals.get(n, (np.nan, np.nan)) for n in names])
    axes.hlines(y, ends[:, 0], ends[:, 1], color=INK, lw=1.1)
    axes.plot(prior, y, "D", color=ORANGE, ms=4.5, label=space.prior_name)
    column = axes.get_yaxis_transform()
    for row, value in enumerate(share):
        axes.text(1.0, row, percent(value), transform=column, ha="right", va="center",
                  color=BLUE, size=8, weight="bold")  # fmt: skip
    axes.set_xlim(0, 1.22 * np.nanmax([share.max(), prior.max(), *ends[:, 1]]))
    _rows(axes, names)
    axes.xaxis.set_major_formatter(require("matplotlib.ticker").PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("share of training tokens", color=MUTED)
    axes.legend(
        frameon=False, fontsize=8, loc="lower right", labelcolor=INK, bbox_to_anchor=(0.88, 0)
    )


def _confirmed(axes: Any, shown: Confirmation, axis: str) -> None:
    """Every candidate with every seed and their mean; those far off at the edge, in figures."""
    seeds = {c.name: c.values for c in shown.candidates if c.values}
    means = {name: float(np.mean(values)) for name, values in seeds.items()}
    names = sorted(toughest(means, _CANDIDATES), key=lambda name: means[name])
    band = 2 * shown.common_sd if np.isfinite(shown.common_sd) else 0.0
    ours = means[RECOMMENDED]
    low, high = window(
        {n: (means[n], min(seeds[n]), max(seeds[n])) for n in names}, [ours - band, ours + band]
    )
    if band:
        axes.axvspan(ours - band, ours + band, color=BLUE, alpha=0.12, lw=0)
    for row, name in enumerate(names):
        colour = BLUE if name == RECOMMENDED else _colour(name)
        if means[name] > high:
            axes.plot(high, row, ">", color=colour, ms=6, clip_on=False)
        else:
            axes.plot(seeds[name], [row] * len(seeds[name]), "o", color=colour, ms=4.5, alpha=0.45)
            axes.plot(means[name], row, "|", color=colour, ms=13, mew=2.6)
        last = min(max(means[name], *seeds[name]), high)
        axes.annotate(number(means[name]), (last, row), (-9, 0) if means[name] > high else (7, 0),
                      textcoords="offset points", va="center", color=MUTED, size=8,
                      ha="right" if means[name] > high else "left")  # fmt: skip
    axes.set_xlim(low, high + 0.1 * (high - low))
    _rows(axes, names)
    counts = sorted({len(values) for values in seeds.values()})
    often = f"{counts[0]} fresh seeds each" if len(counts) == 1 else "fresh seeds"
    left = len(seeds) - len(names)
    more = f"; {left} worse ones left out" if left else ""
    axes.set_xlabel(
        f"{shortened(axis, 44)}, lower is better\n{often}{more}\n{_band_told(shown)}",
        color=MUTED,
        size=8.5,
    )


def _band_told(shown: Confirmation) -> str:
    return "noise differs between candidates" if shown.noise else "band: recommended ± 2 seed sd"


def _predicted(axes: Any, data: ReportData) -> None:
    """Where nothing was trained with fresh seeds: what the law predicts."""
    assert data.recommendation is not None
    gains = {k: g for k, g in data.recommendation.gains.items() if np.isfinite(g.raw)}
    names = toughest({name: gain.raw for name, gain in gains.items()}, _CANDIDATES)
    names.sort(key=lambda name: gains[name].raw)
    axes.axvline(0, color=FAINT, lw=1.2)
    for row, name in enumerate(names):
        axes.hlines(row, *gains[name].interval, color=_colour(name), lw=1.4)
        axes.plot(gains[name].raw, row, "o", color=_colour(name), ms=5.5)
    _rows(axes, names)
    axes.set_xlabel(
        f"predicted gain in {shortened(data.objective_axis, 40)}\n90 % intervals; not tested",
        color=MUTED,
    )


def _colour(name: str) -> str:
    return {"natural": ORANGE, "uniform": GREEN}.get(name, MUTED)


def _rows(axes: Any, names: Sequence[str]) -> None:
    """One row per name, the first on top."""
    axes.set_yticks(range(len(names)), [shortened(name, 18) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
