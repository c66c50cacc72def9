"""By how much intervals at each scale are too wide or too narrow, from held-out runs.

A factor for every scale and metric: of few runs it is drawn to the one of the scale, which is drawn
to the one of all scales, and this to 1. What is held out is predicted by quicker laws, so that
factors are theirs times how much wider they are than the laws that will be asked, on new mixtures.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; scale: (n, 2) parameters and tokens; z: error over sd
    weights: (l, k) of l laws; r groups: scales of several mixtures each, and the rest together
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.base import FittedLaw, Ints, Prediction, Runs
from mixopt.laws.mean import combine
from mixopt.space.simplex import Array

MIXTURES = 4
"""Scales with fewer mixtures have one factor together."""
_ALL, _SCALE, _OWN = 10.0, 10.0, 8.0
"""Runs' worth of belief in 1, in the factor of all scales, in that of all metrics of a scale; of 2
to 20, 2 to 20 and 4 to 16 these were best on tables for choices, by little."""
_OUTLIER = 5.0  # sds: how wide intervals of 90 % ought to be is not told by one run far off
_LEAST, _MOST = 0.3, 4.0
_FAR = 10.0  # by how much quick laws may be wider or narrower than those that are asked


def scale_factors(
    runs: Runs,
    held: Sequence[Prediction],
    weights: Array,
    quick: Sequence[FittedLaw],
    asked: Sequence[FittedLaw],
) -> tuple[Array, Array]:
    """Scales (s, 2) that were seen, and the factors (s, k) of the sds at each.

    Args:
        runs: of several scales.
        held: what each law predicts for the runs without those of their mixtures; means and sds
            count, the noise is that of `quick` at the scale.
        weights: of the laws.
        quick: the laws that predicted `held`, fitted to all runs.
        asked: the laws that will be asked, whose sds are scaled.
    """
    assert runs.scale is not None
    scales, at = np.unique(runs.scale, axis=0, return_inverse=True)
    at = np.asarray(at, dtype=np.intp).reshape(-1)
    between = (runs.W + np.roll(runs.W, 1, axis=0)) / 2  # mixtures that no law has seen
    Z = np.empty_like(runs.Y)
    groups = list(_groups(runs.groups, at))
    for rows in groups:
        where = np.resize(runs.scale[rows], (len(between), 2))
        narrow = [x.predict(between, where) for x in quick]
        wide = combine([x.predict(between, where) for x in asked], weights)
        ratio = np.clip(_typical(combine(narrow, weights)) / _typical(wide), 1 / _FAR, _FAR)
        told = combine(
            [Prediction(h.mean[rows], h.sd[rows], x.noise)
             for h, x in zip(held, narrow, strict=True)],
            weights,
        )  # fmt: skip
        off = (runs.Y[rows] - told.mean) / np.maximum(told.total_sd, 1e-300)
        Z[rows] = np.clip(off, -_OUTLIER, _OUTLIER) * ratio
    factors = np.ones((len(scales), runs.Y.shape[1]))
    everywhere = _drawn(Z.ravel(), 0.0, _ALL, Z.shape[1])
    for rows in groups:
        here = _drawn(Z[rows].ravel(), everywhere, _SCALE, Z.shape[1])
        own = np.exp([_drawn(z, here, _OWN, 1) for z in Z[rows].T])
        factors[np.unique(at[rows])] = np.clip(own, _LEAST, _MOST)
    return scales, factors


def nearest(scales: Array, asked: Array) -> Ints:
    """(n,) number of the seen scale (s, 2) nearest in log to each that is asked for (n, 2)."""
    away = np.abs(np.log(asked[:, None] / scales)).max(axis=2)
    return np.asarray(away.argmin(axis=1), dtype=np.intp)


def _groups(mixtures: NDArray[np.intp], at: Ints) -> Iterator[Ints]:
    """Rows of every scale with several mixtures, then those of all others."""
    filled = [i for i in range(int(at.max()) + 1) if np.unique(mixtures[at == i]).size >= MIXTURES]
    for i in filled:
        yield np.flatnonzero(at == i)
    rest = np.flatnonzero(~np.isin(at, filled))
    if rest.size:
        yield rest


def _typical(prediction: Prediction) -> Array:
    """(k,) geometric mean of the sds of new runs."""
    return np.asarray(np.exp(np.log(np.maximum(prediction.total_sd, 1e-300)).mean(axis=0)))


def _drawn(z: Array, to: float, belief: float, metrics: int) -> float:
    """Log of the rms of z, drawn to `to`; runs of many metrics err alike and count by the root."""
    z = z[np.isfinite(z)]
    if not z.any():
        return to
    count = z.size / np.sqrt(metrics)
    share = count / (count + belief)
    return float(to + share * (0.5 * np.log(np.mean(z**2)) - to))
