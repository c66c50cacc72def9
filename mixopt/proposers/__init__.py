"""What to train next, and what to train at last: designs, batches and recommendations.

A design proposes mixtures before anything is known; `propose_batch` and `recommend` use a fitted
law through a `Surrogate`.
"""

from typing import Any

import numpy as np

from mixopt.lazy import lookup
from mixopt.proposers.base import Design
from mixopt.proposers.batch import propose_batch
from mixopt.proposers.pareto import Front, pareto_front
from mixopt.proposers.recommend import Gain, Recommendation, recommend
from mixopt.proposers.reference import baselines, singles, unimax
from mixopt.proposers.search import minimize
from mixopt.proposers.sensitivity import Active
from mixopt.proposers.simulate import simulate
from mixopt.proposers.surrogate import Surrogate
from mixopt.simplex import Array
from mixopt.space import MixtureSpace

DESIGNS: dict[str, str] = {
    "regmix": "mixopt.proposers.designs:regmix",
    "olmix": "mixopt.proposers.designs:olmix",
    "dirichlet": "mixopt.proposers.designs:dirichlet",
    "uniform": "mixopt.proposers.cover:uniform",
    "maximin": "mixopt.proposers.cover:maximin",
    "lattice": "mixopt.proposers.structured:lattice",
    "vertices": "mixopt.proposers.structured:vertices",
    "leave-one-out": "mixopt.proposers.structured:leave_one_out",
    "one-at-a-time": "mixopt.proposers.structured:one_at_a_time",
    "i-optimal": "mixopt.proposers.optimal:i_optimal",
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
    made: Design = lookup(name, DESIGNS, "design")
    return made(space, n, rng=rng, existing=existing, constrained=constrained, **options)


__all__ = [
    "DESIGNS",
    "Active",
    "Design",
    "Front",
    "Gain",
    "Recommendation",
    "Surrogate",
    "baselines",
    "design",
    "minimize",
    "pareto_front",
    "propose_batch",
    "recommend",
    "simulate",
    "singles",
    "unimax",
]
