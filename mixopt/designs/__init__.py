"""Mixtures to train before anything is known, found by name; and the baselines to beat."""

from typing import Any

import numpy as np

from mixopt.designs.base import Design
from mixopt.designs.baselines import baselines, singles, unimax
from mixopt.lazy import lookup
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array

DESIGNS: dict[str, str] = {
    "regmix": "mixopt.designs.swarms:regmix",
    "olmix": "mixopt.designs.swarms:olmix",
    "dirichlet": "mixopt.designs.swarms:dirichlet",
    "uniform": "mixopt.designs.cover:uniform",
    "maximin": "mixopt.designs.cover:maximin",
    "lattice": "mixopt.designs.structured:lattice",
    "vertices": "mixopt.designs.structured:vertices",
    "leave-one-out": "mixopt.designs.structured:leave_one_out",
    "one-at-a-time": "mixopt.designs.structured:one_at_a_time",
    "i-optimal": "mixopt.designs.optimal:i_optimal",
}
"""Name of a design to where it lives; a user's own design is named `"module:attribute"`."""


def design(
    name: str,
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
    **options: Any,
) -> Array:
    """(n, m) mixtures by the design of that name, distinct from each other and from `existing`.

    Raises:
        InputError: an unknown name; the message lists the known ones.
    """
    return named(name)(space, n, rng=rng, existing=existing, constrained=constrained, **options)


def named(name: str) -> Design:
    """The design of that name, or the user's own behind `"module:attribute"`.

    Raises:
        InputError: an unknown name; the message lists the known ones.
    """
    made: Design = lookup(name, DESIGNS, "design")
    return made


__all__ = ["DESIGNS", "Design", "baselines", "design", "named", "singles", "unimax"]
