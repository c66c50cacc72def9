"""The picture of earlier promotions: how much of what was predicted came true.

Notation:
    n promotions; share: measured gain / predicted gain
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mixopt.plots.drawing import Drawing, draw
from mixopt.plots.style import BLUE, FAINT, ORANGE, RED, RIM, label, plain, titled

_ROW = 34  # pixels of a promotion


def past_promotions(
    names: Sequence[str],
    predicted: ArrayLike,
    measured: ArrayLike,
    *,
    intervals: ArrayLike | None = None,
    large: Sequence[bool] = (),
    threshold: float = 0.5,
) -> Drawing:
    """Share of the predicted gain that each promotion realised; those without one are left out.

    Studies have gains in units of their own, so that shares are compared. On the line of 1 a
    prediction came true; left of 0 the promoted mixture was worse than the baseline.

    Args:
        names: (n,) of the promotions, oldest first.
        predicted: (n,) gains.
        measured: (n,) gains.
        intervals: (n, 2) of the measured gains, NaN where there is none.
        large: (n,) whether the large run measured it; else the promotion's own runs.
        threshold: share below which the gate says no.
    """
    claimed, seen = np.asarray(predicted, dtype=float), np.asarray(measured, dtype=float)
    ends = np.full((len(claimed), 2), np.nan)
    if intervals is not None:
        ends = np.asarray(intervals, dtype=float).reshape(-1, 2)
    kept = np.flatnonzero((claimed > 0) & np.isfinite(seen))
    shares, spans = seen[kept] / claimed[kept], ends[kept] / claimed[kept, None]
    by_large = np.array(list(large) or [False] * len(claimed), dtype=bool)[kept]
    rows = [f"{n}. {label(names[i])}" for n, i in enumerate(kept.tolist(), start=1)]
    traces = []
    for mask, name, colour, symbol in (
        (~by_large, "runs of the promotion", BLUE, "circle"),
        (by_large, "large run", ORANGE, "diamond"),
    ):
        at = np.flatnonzero(mask).tolist()
        if not at:
            continue
        traces.append(
            {
                "type": "scatter",
                "x": plain(shares[at]),
                "y": [rows[i] for i in at],
                "mode": "markers",
                "name": name,
                "marker": {"color": colour, "symbol": symbol, "size": 10, "line": RIM},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": plain(spans[at, 1] - shares[at]),
                    "arrayminus": plain(shares[at] - spans[at, 0]),
                    "color": colour,
                },
                "hovertemplate": "%{y}: %{x:.0%} of the predicted gain<extra></extra>",
            }
        )
    x = titled("share of the predicted gain that was measured") | {
        "tickformat": ".0%",
        "rangemode": "tozero",
    }
    y = {"categoryorder": "array", "categoryarray": rows[::-1]}
    lines = [_upright(1.0, FAINT, "solid"), _upright(threshold, RED, "dot")]
    return draw(traces, 150 + _ROW * max(len(kept), 1), x=x, y=y, shapes=lines)


def _upright(at: float, colour: str, dash: str) -> dict[str, object]:
    line = {"color": colour, "width": 1.5, "dash": dash}
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line}
