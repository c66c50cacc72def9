"""Whether experiments that share a run interfere, as a heat map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixopt.plots.drawing import Drawing
from mixopt.plots.pairs import pair_map
from mixopt.plots.style import plain, titled
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
    more = {
        "customdata": [plain(row) for row in np.asarray(effect, dtype=float)],
        "text": [[MARK if flag else "" for flag in row] for row in flagged.tolist()],
        "texttemplate": "%{text}",
        "hovertemplate": (
            "%{x} changes what %{y} shows<br>by %{customdata:.2g} (z %{z:.1f})<extra></extra>"
        ),
    }
    return pair_map(
        names,
        z,
        more,
        bar={"title": {"text": "z", "font": {"size": 11}}},
        least=4.0,
        size=(210, 30),
        titles=(titled("data of"), titled("outcome of")),
    )
