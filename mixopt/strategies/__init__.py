"""Strategies: recipes over designs, laws and proposers, found by name."""

from typing import Any

from mixopt.lazy import build, lookup
from mixopt.strategies.base import Problem, Strategy

STRATEGIES: dict[str, str] = {"auto": "mixopt.strategies.auto:Auto"}
"""Name of a strategy to where it lives."""


def strategy(name: str, **settings: Any) -> Strategy:
    """The strategy of that name.

    Raises:
        InputError: an unknown name or setting; the message lists the known ones.
    """
    recipe = lookup(name, STRATEGIES, "strategy")
    made: Strategy = build(recipe, settings, f"strategy {name!r}")
    return made


__all__ = ["STRATEGIES", "Problem", "Strategy", "strategy"]
