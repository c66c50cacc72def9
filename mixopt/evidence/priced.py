"""What an answer's tiers cost: asked where predictions are meant as levels, and said in words."""

from typing import Any

import numpy as np

from mixopt.proposers import Recommendation, Surrogate
from mixopt.proposers.prices import Price, Prices, prices
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array

_CHANGES = {"without": "left out", "half": "half of it", "free": "its bounds dropped"}


def priced(
    surrogate: Surrogate,
    answer: Recommendation,
    space: MixtureSpace,
    *,
    W: Array,
    rng: np.random.Generator,
    measured: bool = False,
) -> Prices:
    """The prices of an answer's tiers; none where the model predicts no levels of the objective.

    Args:
        surrogate: that made the answer.
        answer: the recommendation.
        space: its constraints.
        W: (k, m) mixtures observed.
        rng: source of randomness; what others draw from it stays the same.
        measured: whether the answer was measured against its rivals, not predicted.
    """
    if measured:
        return Prices(reason="the answer was measured against its rivals, and no model made it")
    if not answer.levels:
        return Prices(reason="no run was trained at the scale that the answer is for")
    return prices(surrogate, space, answer.mixture.array, W=W, rng=rng.spawn(1)[0])


def change_in_words(price: Price) -> str:
    """`"left out"`, `"at most 5 %"`."""
    return _CHANGES.get(price.change) or f"at most {100 * price.allowed:.3g} %"


def told(price: Price) -> str:
    """What the interval of a cost says, in two or three words."""
    if price.mixture is None:
        return "not possible"
    if price.change == "without" and price.share == 0.0:
        return "not in the answer"
    if price.reason:
        return "breaks a guard"
    low, high = price.interval
    if low > 0:
        return "costs"
    return "wins" if high < 0 else "within its error"


def prices_as_json(asked: Prices) -> dict[str, Any]:
    """Plain JSON values for programs."""
    return {
        "tiers": [price_as_json(row) for row in asked.rows],
        "unasked": list(asked.unasked),
        "reason": asked.reason,
    }


def price_as_json(price: Price) -> dict[str, Any]:
    """Plain JSON values of one price."""
    known = price.mixture is not None
    return {
        "tier": price.tier.name,
        "also": list(price.tier.also),
        "domains": list(price.tier.domains),
        "bounds": [price.tier.lower, price.tier.upper],
        "change": price.change,
        "share": price.share,
        "allowed": price.allowed,
        "cost": price.cost if known else None,
        "sd": price.sd if known else None,
        "interval": list(price.interval) if known else None,
        "told": told(price),
        "reason": price.reason,
        "mixture": None if price.mixture is None else price.mixture.to_dict(),
    }
