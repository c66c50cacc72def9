"""The picture of a Pareto front: two objectives against each other.

Notation:
    n mixtures of the front
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mixopt.plots.style import BLUE, RIM, Figure, label, new_figure, plain, soft

_NAMED = 4  # largest shares of a mixture that the pointer shows


def trade_off(
    first: ArrayLike,
    second: ArrayLike,
    *,
    axes: tuple[str, str],
    mixtures: Sequence[Sequence[tuple[str, float]]] = (),
) -> Figure:
    """Two objectives over the mixtures of a front.

    Args:
        first: (n,) along the bottom.
        second: (n,) upwards.
        axes: names of both, with units.
        mixtures: (n,) domains with their shares, for the pointer.
    """
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    order = np.argsort(x, kind="stable")
    texts = [_largest(mixtures[i]) for i in order] if mixtures else None
    figure = new_figure(height=430)
    figure.add_scatter(
        x=plain(x[order]),
        y=plain(y[order]),
        mode="lines+markers",
        name="the front",
        text=texts,
        line={"color": soft(BLUE), "width": 1.5},
        marker={"color": BLUE, "size": 8, "line": RIM},
        hovertemplate=("%{text}<br>" if texts else "") + "%{x:.4f}, %{y:.4f}<extra></extra>",
    )
    figure.update_xaxes(title_text=label(axes[0]))
    figure.update_yaxes(title_text=label(axes[1]))
    return figure


def against(first: ArrayLike, second: ArrayLike, *, axes: tuple[str, str]) -> Figure:
    """One value over another of the same mixtures, a point each: small runs and large ones.

    Args:
        first: (n,) along the bottom.
        second: (n,) upwards.
        axes: names of both, with units.
    """
    figure = new_figure(height=430)
    figure.add_scatter(
        x=plain(np.asarray(first, dtype=float)),
        y=plain(np.asarray(second, dtype=float)),
        mode="markers",
        name="one mixture",
        marker={"color": BLUE, "size": 8, "line": RIM},
        hovertemplate="%{x:.4f}, %{y:.4f}<extra></extra>",
    )
    figure.update_xaxes(title_text=label(axes[0]))
    figure.update_yaxes(title_text=label(axes[1]))
    return figure


def _largest(shares: Sequence[tuple[str, float]]) -> str:
    largest = sorted(shares, key=lambda item: -item[1])[:_NAMED]
    return ", ".join(f"{label(name)} {share:.0%}" for name, share in largest if share > 0)
