"""Rank correlation and its uncertainty.

Notation:
    x, y: (n,) predicted and true values of one target
"""

import numpy as np
import scipy
from numpy.typing import NDArray

from mixopt.space.simplex import Array


def spearman(x: Array, y: Array) -> float:
    """Spearman's rho of the pairs that are both there; NaN where fewer than 3 or no spread."""
    seen = np.isfinite(x) & np.isfinite(y)
    x, y = x[seen], y[seen]
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(x, y).statistic)


def spearman_within(x: Array, y: Array, strata: NDArray[np.intp]) -> float:
    """Mean of rho within strata (scales), weighted by their pairs; across them it would flatter."""
    correlations = [
        (spearman(x[strata == s], y[strata == s]), (strata == s).sum()) for s in set(strata)
    ]
    known = [(rho, count) for rho, count in correlations if np.isfinite(rho)]
    if not known:
        return float("nan")
    rhos, counts = zip(*known, strict=True)
    return float(np.average(rhos, weights=counts))


def bootstrap_spearman(
    x: Array, y: Array, *, rng: np.random.Generator, draws: int = 400
) -> tuple[float, float]:
    """5 % and 95 % points of rho over resampled pairs."""
    resampled = []
    for _ in range(draws):
        rows = rng.integers(len(x), size=len(x))
        resampled.append(spearman(x[rows], y[rows]))
    known = np.array([r for r in resampled if np.isfinite(r)])
    if known.size == 0:
        return float("nan"), float("nan")
    return float(np.quantile(known, 0.05)), float(np.quantile(known, 0.95))


def decision_accuracy(x: Array, y: Array) -> float:
    """Share of pairs of mixtures that both order the same way (DataDecide, 2504.11393)."""
    seen = np.isfinite(x) & np.isfinite(y)
    x, y = x[seen], y[seen]
    first, second = np.triu_indices(len(x), 1)
    dx, dy = x[first] - x[second], y[first] - y[second]
    told = dy != 0
    if not told.any():
        return float("nan")
    return float(((dx * dy)[told] > 0).mean() + 0.5 * (dx[told] == 0).mean())
