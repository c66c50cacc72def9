"""Splits that never leak: runs of one mixture stay together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def group_folds(groups: NDArray[Any], folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(n,) number of the fold of each row; groups are spread evenly and never split.

    Args:
        groups: (n,) label of each row: replicates of a mixture share one.
        folds: how many; at most the number of groups.
        rng: draws the assignment.
    """
    labels, inverse = np.unique(groups, return_inverse=True)
    order = rng.permutation(labels.size)
    fold_of = np.empty(labels.size, dtype=np.intp)
    fold_of[order] = np.arange(labels.size) % max(1, min(folds, labels.size))
    return fold_of[np.asarray(inverse).reshape(-1)]
