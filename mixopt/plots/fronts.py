"""The picture of a Pareto front: two objectives against each other.

Notation:
    n mixtures of the front
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mixopt.plots.drawing import Drawing, draw
from mixopt.plots.style import BLUE, RIM, label, plain, soft, titled

_MARGIN = {"l": 10, "r": 30, "t": 20, "b": 10}
_NAMED = 4  # largest shares of a mixture that the pointer shows


def trade_off(
    first: ArrayLike,
    second: ArrayLike,
    *,
    axes: tuple[str, str],
    mixtures: Sequence[Sequence[tuple[str, float]]] = (),
) -> Drawing:
    """Two objectives over the mixtures of a front.

    Args:
        first: (n,) along the bottom.
        second: (n,) upwards.
        axes: names of both, with units.
        mixtures: (n,) domains with their shares, for the pointer.
    """
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    order = np.argsort(x, kind="stable")
    front = {
        "type": "scatter",
        "x": plain(x[order]),
        "y": plain(y[order]),
        "mode": "lines+markers",
        "name": "the front",
        "line": {"color": soft(BLUE), "width": 1.5},
        "marker": {"color": BLUE, "size": 8, "line": RIM},
        "hovertemplate": ("%{text}<br>" if mixtures else "") + "%{x:.4f}, %{y:.4f}<extra></extra>",
    }
    if mixtures:
        front["text"] = [_largest(mixtures[i]) for i in order]
    return draw([front], 400, x=titled(axes[0]), y=titled(axes[1]), margin=_MARGIN)


def _largest(shares: Sequence[tuple[str, float]]) -> str:
    largest = sorted(shares, key=lambda item: -item[1])[:_NAMED]
    return ", ".join(f"{label(name)} {share:.0%}" for name, share in largest if share > 0)
