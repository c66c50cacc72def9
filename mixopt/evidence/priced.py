"""What an answer's tiers cost: asked where predictions are meant as levels, and said in words."""

from typing import Any

import numpy as np

from mixopt.diagnostics.gates import Level
from mixopt.proposers import Recommendation, Surrogate
from mixopt.proposers.prices import LEAST, Price, Prices, prices
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array

_CAUTIONS: dict[Level, str] = {
    "trust": "",
    "ranking only": "the model is trusted to rank mixtures, not for values: read the sign of a "
    "cost rather than its size",
    "do not trust": "guesses without an interval, of a model that is not to be trusted: train what "
    "is best under a bound before deciding by its cost",
}
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


def told(price: Price, level: Level) -> str:
    """What the interval of a cost says, in two or three words.

    Args:
        price: with its interval.
        level: to which the answer is to be trusted, and with it the model that priced its tiers.
    """
    if price.mixture is None:
        return "not possible"
    if _absent(price):
        return "not in the answer"
    if price.reason:
        return "breaks a guard"
    if level == "do not trust":
        return "not to be trusted"
    low, high = price.interval
    if low > 0:
        return "costs"
    return "wins" if high < 0 else "within its error"


def interval(price: Price, level: Level) -> tuple[float, float] | None:
    """The cost, 90 % of the time; none where nothing was asked of the model, or it is in doubt.

    A model whose checks failed claims an interval as any other does, and that claim is what failed.
    """
    untold = price.mixture is None or _absent(price) or level == "do not trust"
    return None if untold else price.interval


def _absent(price: Price) -> bool:
    """Whether leaving it out changes nothing, so that nothing was asked of the model."""
    return price.change == "without" and price.share <= LEAST


def caution(level: Level) -> str:
    """How far the costs are to be relied upon, by the verdict on the answer; empty for trust."""
    return _CAUTIONS[level]


def prices_as_json(asked: Prices, level: Level) -> dict[str, Any]:
    """Plain JSON values for programs; for the level see `told`."""
    return {
        "caution": caution(level),
        "tiers": [price_as_json(row, level) for row in asked.rows],
        "unasked": list(asked.unasked),
        "reason": asked.reason,
    }


def price_as_json(price: Price, level: Level) -> dict[str, Any]:
    """Plain JSON values of one price; for the level see `told`."""
    known, sure = price.mixture is not None, interval(price, level)
    return {
        "tier": price.tier.name,
        "also": list(price.tier.also),
        "domains": list(price.tier.domains),
        "bounds": [price.tier.lower, price.tier.upper],
        "change": price.change,
        "share": price.share,
        "allowed": price.allowed,
        "cost": price.cost if known else None,
        "sd": price.sd if sure is not None else None,
        "interval": None if sure is None else list(sure),
        "told": told(price, level),
        "reason": price.reason,
        "mixture": None if price.mixture is None else price.mixture.to_dict(),
    }
