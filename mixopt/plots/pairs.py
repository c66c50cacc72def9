"""Numbers of pairs of names, above and below zero, as a heat map."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixopt.plots.drawing import Drawing, draw
from mixopt.plots.style import BLUE, ORANGE, PAPER, label, plain
from mixopt.space.simplex import Array

_BAR: dict[str, Any] = {"thickness": 12, "outlinewidth": 0}
_EVEN: dict[str, Any] = {"type": "category", "showgrid": False, "dtick": 1}


def pair_map(
    names: Sequence[str],
    values: Array,
    more: dict[str, Any],
    *,
    bar: dict[str, Any],
    least: float = 0.0,
    size: tuple[int, int] = (190, 26),
    titles: tuple[dict[str, Any], dict[str, Any]] | None = None,
) -> Drawing:
    """A cell for each pair; zero is the colour of the paper.

    Args:
        names: n, of rows and columns.
        values: (n, n); the diagonal is left out.
        more: of the cells, as what is said of one (`hovertemplate`).
        bar: of the colour bar.
        least: value that has the full colour where none is larger.
        size: pixels of height besides the rows, and of a row.
        titles: of columns and rows.
    """
    shown = np.array(values, dtype=float)
    np.fill_diagonal(shown, np.nan)
    reach = float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 0.0
    reach = max(reach, least) or 1.0
    marked = [label(name) for name in names]
    cells: dict[str, Any] = {
        "type": "heatmap",
        "x": marked,
        "y": marked,
        "z": [plain(row) for row in shown],
        "zmin": -reach,
        "zmax": reach,
        "colorscale": [[0, BLUE], [0.5, PAPER], [1, ORANGE]],
        "hoverongaps": False,
        "xgap": 1,
        "ygap": 1,
        "colorbar": _BAR | bar,
    }
    around, row = size
    columns, rows = titles or ({}, {})
    return draw(
        [cells | more],
        around + row * max(len(marked), 4),
        x=_EVEN | {"tickangle": -45, "ticks": ""} | columns,
        y=_EVEN | {"autorange": "reversed"} | rows,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
    )
