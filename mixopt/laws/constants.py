"""Constants of a fitted law that mean something by themselves: what a token of a tier is worth.

Notation:
    k metrics; c things that have a number
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mixopt.space.simplex import Array


@dataclass(frozen=True, eq=False)
class Constants:
    """A number for each of some things, by metric.

    Attributes:
        title: what the numbers are, for the head of a table.
        names: (c,) the things.
        values: (k, c) the numbers, metrics in the order of the fit.
        caution: how far they are to be relied upon, a sentence.
    """

    title: str
    names: tuple[str, ...]
    values: Array
    caution: str = ""


@runtime_checkable
class HasConstants(Protocol):
    """A fitted law with constants to show beside its predictions."""

    def constants(self, domains: Sequence[str]) -> Constants:
        """Them, by metric.

        Args:
            domains: (m,) names, in the order of the fit.
        """
        ...
