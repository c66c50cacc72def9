"""A part of many runs that covers what they cover, for laws that cannot take them all.

Notation:
    n runs; W: (n, m) mixtures; strata: (n,) number of each run's scale
"""

import numpy as np
from numpy.typing import NDArray

from mixopt.designs.base import farthest
from mixopt.space.simplex import Array

_POOL = 10  # times as many runs are drawn as are to be spread: distances to all are not needed


def covering_subset(
    W: Array, strata: NDArray[np.intp], n: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """(n,) positions, in order: of every scale as many runs as there are, up to equal parts.

    Half of a scale's part is spread over its mixtures (each the furthest from all before it), so
    that the ends are there; half is drawn at random, so that the bulk is.
    """
    picked: list[int] = []
    sizes = {int(s): int((strata == s).sum()) for s in np.unique(strata)}
    left = n
    for place, scale in enumerate(sorted(sizes, key=lambda s: (sizes[s], s))):
        part = min(sizes[scale], left // (len(sizes) - place))
        left -= part
        rows = rng.permutation(np.flatnonzero(strata == scale))
        if part == len(rows):
            picked += rows.tolist()
            continue
        bulk, pool = rows[: part // 2], rows[part // 2 : part // 2 + _POOL * part]
        spread = farthest(W[pool], part - len(bulk), rng, W[bulk] if len(bulk) else None)
        picked += [*bulk.tolist(), *pool[spread].tolist()]
    return np.array(sorted(picked), dtype=np.intp)
