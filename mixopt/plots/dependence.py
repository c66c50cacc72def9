"""Whether experiments that share a run interfere, as a heat map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixopt.plots.drawing import Drawing, draw
from mixopt.plots.style import BLUE, ORANGE, PAPER, label, plain, titled
from mixopt.space.simplex import Array

MARK = "✱"


def interference(
    names: Sequence[str], z: Array, effect: Array, flagged: NDArray[np.bool_]
) -> Drawing:
    """What the data of each experiment change in the outcomes of the others.

    Args:
        names: n of the experiments.
        z: (n, n) changes in sd of what chance makes of them: rows are outcomes, columns data. The
            diagonal, an experiment's own effect, is left out.
        effect: (n, n) the same changes in the unit of the outcomes.
        flagged: (n, n) those beyond chance, which are marked.
    """
    shown = np.array(z, dtype=float)
    np.fill_diagonal(shown, np.nan)
    reach = float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 0.0
    marked = [label(name) for name in names]
    cells = {
        "type": "heatmap",
        "x": marked,
        "y": marked,
        "z": [plain(row) for row in shown],
        "customdata": [plain(row) for row in np.asarray(effect, dtype=float)],
        "text": [[MARK if flag else "" for flag in row] for row in flagged.tolist()],
        "texttemplate": "%{text}",
        "zmin": -max(reach, 4.0),
        "zmax": max(reach, 4.0),
        "colorscale": [[0, BLUE], [0.5, PAPER], [1, ORANGE]],
        "hoverongaps": False,
        "xgap": 1,
        "ygap": 1,
        "colorbar": {
            "thickness": 12,
            "outlinewidth": 0,
            "title": {"text": "z", "font": {"size": 11}},
        },
        "hovertemplate": (
            "%{x} changes what %{y} shows<br>by %{customdata:.2g} (z %{z:.1f})<extra></extra>"
        ),
    }
    even = {"type": "category", "showgrid": False, "dtick": 1}
    return draw(
        [cells],
        210 + 30 * max(len(marked), 4),
        x=even | {"tickangle": -45, "ticks": ""} | titled("data of"),
        y=even | {"autorange": "reversed"} | titled("outcome of"),
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
    )
