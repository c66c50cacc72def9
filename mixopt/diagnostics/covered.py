"""Which part of the allowed space do the runs tell nothing of, and could be better than the answer?

Notation:
    W: (n, m) mixtures of the runs; P: (p, m) mixtures drawn uniformly from the allowed space
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixopt.errors import InputError
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array, hellinger_distance

_DRAWS = 1000
REACH = 1.55
"""How far a run tells of its surroundings, in units of the 95 % point of the spacing of runs. In a
random design 1 % of the space is beyond 1.0 to 1.5 of it, where a part was left out beyond 1.6."""
SPACING = 0.18
"""Hellinger distance: the spacing of runs that are closer counts as this, for what a law learns
reaches at least so far."""
_BETTER = 0.3  # sd of the objective over the runs: a regret that matters
_Z95 = 1.645


@dataclass(frozen=True, eq=False)
class Covered:
    """What the runs leave open of the allowed space.

    Attributes:
        bare: share of the space that is further from all runs than they reach.
        open: share of the space of which the law cannot say (at 95 %) that it is not better than
            the answer by 0.3 sd of the objective.
        mixtures: (q, m) where runs would cover most of either, most first.
    """

    bare: float
    open: float
    mixtures: Array

    def lines(self) -> list[str]:
        """In plain words."""
        return [
            f"{100 * self.bare:.0f} % of the allowed space is out of reach of all runs; of "
            f"{100 * self.open:.0f} % the law cannot say that it is not better than the answer"
        ]


def covered(
    moments: Callable[[Array], tuple[Array, Array]],
    space: MixtureSpace,
    W: Array,
    *,
    value: float,
    unit: float,
    rng: np.random.Generator,
    most: int = 4,
) -> Covered:
    """Look at mixtures all over the allowed space.

    Args:
        moments: mean and sd of the objective at mixtures (p, m), as the law has them.
        space: what is allowed.
        W: (n, m) the runs.
        value: predicted objective of the answer.
        unit: sd of the objective over the runs.
        rng: draws the mixtures that are looked at.
        most: how many mixtures to name at most.

    Raises:
        InputError: fewer than two different runs.
    """
    runs = np.unique(np.round(W, 9), axis=0)
    if len(runs) < 2:
        raise InputError("all runs are at one mixture; they cover no space, add runs")
    P = space.sample(_DRAWS, rng)
    bare = hellinger_distance(P, runs).min(axis=1) > reach(runs)
    mean, sd = moments(P)
    better = mean - _Z95 * sd < value - _BETTER * unit
    return Covered(float(bare.mean()), float(better.mean()), _spread(P[bare | better], runs, most))


def reach(runs: Array) -> float:
    """Hellinger distance up to which different runs (n, m) tell of their surroundings."""
    between = hellinger_distance(runs, runs)
    np.fill_diagonal(between, np.inf)
    return REACH * max(float(np.quantile(between.min(axis=1), 0.95)), SPACING)


def _spread(P: Array, runs: Array, most: int) -> Array:
    """Some of P, each as far as can be from the runs and from those before it."""
    chosen: list[Array] = []
    near = runs
    for _ in range(min(most, len(P))):
        distance = hellinger_distance(P, near).min(axis=1)
        chosen.append(P[int(distance.argmax())])
        near = np.vstack([near, chosen[-1]])
    return np.array(chosen).reshape(len(chosen), runs.shape[1])
