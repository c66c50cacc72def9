"""What grain (0.2) makes of the weights of a mix, for the trainers that rest on it.

Notation:
    w: weights; k: the whole numbers that grain draws by

grain scales weights so that the smallest is 100 and cuts off the rest: k = int(100 w / min w),
whoever normalises before. 0.368421 and 0.631579 become 100 and 171, a share of .369. We write
weights whose k is the nearest whole number, not the next below, and count with k.
"""

from collections.abc import Mapping

SMALLEST = 100
_OVER = 1 + 1e-12  # so that no rounding of floats cuts a whole number to the one below


def drawn_by(weights: Mapping[str, float]) -> dict[str, float]:
    """Domain to the share that grain draws by."""
    scale = SMALLEST / min(weights.values())
    counts = {d: int(w * scale) for d, w in weights.items()}
    total = sum(counts.values())
    return {d: k / total for d, k in counts.items()}


def settled(weights: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Weights to write, and the shares that grain then draws by.

    >>> written, drawn = settled({"web": 0.368421, "code": 0.631579})
    >>> drawn == {"web": 100 / 271, "code": 171 / 271} == drawn_by(written)
    True
    """
    least = min(weights.values())
    counts = {d: round(SMALLEST * w / least) for d, w in weights.items()}
    total = sum(counts.values())
    written = {d: k / total * (_OVER if k > SMALLEST else 1.0) for d, k in counts.items()}
    return written, {d: k / total for d, k in counts.items()}
