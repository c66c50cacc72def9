"""Velocitune: weigh up domains that are far from their target loss (2411.14318)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen, check_own_targets
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Velocitune(Periodic):
    """Velocitune (2411.14318, read in the paper): w <- N(w exp V), V the share of the way to go.

    V_i = (L_i - goal_i) / (L_i at the start - goal_i), within [0, 1]. The exponent is one a period:
    the speed is in proportion to 1 / `every`.

    Departs from the paper: goals come from a law of size and tokens there, and are given here; a
    domain whose goal is not below its loss at the start has a V of 0.

    Args:
        goals: domain to the loss that its target is to reach.
        every: steps between updates.
    """

    goals: Mapping[str, float]
    every: Annotated[int, Within(1)] = 500

    name: ClassVar[str] = "velocitune"
    looks_first: ClassVar[bool] = True

    def needs(self) -> Needs:
        """Held-out losses, one for each domain."""
        return Needs(frozenset({"heldout"}), self.every)

    def begin(self, setup: Setup) -> Learned:
        """Where the run starts.

        Raises:
            InputError: not one target for each domain, or a domain without a goal.
        """
        check_own_targets(setup, self.name)
        for domain in setup.space.names:
            if domain not in self.goals:
                raise InputError(
                    f"goals has none for {domain!r}; {did_you_mean(domain, self.goals)}; give the "
                    "loss that each domain's target is to reach"
                )
        return Learned(np.array(setup.start), {})

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """One update; the first look is kept."""
        now = seen[-1].values["heldout"]
        if "start" not in state.memory:
            return Learned(np.array(state.weights), {"start": now})
        goal = np.array([self.goals[domain] for domain in setup.space.names])
        score = left_to_go(now, state.memory["start"], goal)
        return Learned(multiplicative(state.weights, score), state.memory)


def left_to_go(now: Array, start: Array, goal: Array) -> Array:
    """(m,) V: the share of the way from start to goal that is left; 0 where there is none."""
    way = start - goal
    share = np.divide(now - goal, way, out=np.zeros_like(way), where=way > 0)
    return np.clip(share, 0.0, 1.0)
