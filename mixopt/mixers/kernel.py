"""The one step of all multiplicative methods: w+ = floor(N(base * exp(score))).

Notation:
    m domains; base: (m,) weights that are scaled; score: (m,) exponents; c: share spread over all
"""

import numpy as np
from numpy.typing import ArrayLike

from mixopt.space.simplex import Array

_LEAST = 1e-12  # a weight that a huge score drives to zero can come back


def multiplicative(base: ArrayLike, score: ArrayLike, floor: float = 0.0) -> Array:
    """(m,) the weights N(base * exp(score)), of which a share `floor` is spread over all alike.

    A base of zero stays zero, but for the floor; other weights stay above 1e-12.

    Args:
        base: (m,) the present weights, or ones where a method starts afresh at each update.
        score: (m,) finite exponents of any size; only their differences count.
        floor: c of (1 - c) w + c / m.
    """
    start, exponents = np.asarray(base, dtype=float), np.asarray(score, dtype=float)
    alive = start > 0
    if alive.all():
        logs = np.log(start) + exponents
        w = np.exp(logs - logs.max())
        w = np.maximum(w / w.sum(), _LEAST)
    else:
        logs = np.where(alive, np.log(np.where(alive, start, 1.0)) + exponents, -np.inf)
        w = np.exp(logs - logs.max())
        w = np.where(alive, np.maximum(w / w.sum(), _LEAST), 0.0)
    return np.asarray((1.0 - floor) * w / w.sum() + floor / len(w))


def softmax(z: ArrayLike) -> Array:
    """(m,) N(exp z)."""
    logits = np.asarray(z, dtype=float)
    return multiplicative(np.ones(len(logits)), logits)
