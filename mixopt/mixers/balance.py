"""The balancing half of R&B: weights by the direction of the gradient of what is evaluated.

(2505.00358.) The other half regroups documents; here domains are the groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import softmax
from mixopt.mixers.periodic import Learned, Periodic, Seen, check_own_targets
from mixopt.space.numbers import Within


@dataclass(frozen=True)
class Balance(Periodic):
    """R&B's balance (2505.00358, read in the paper): w = softmax(lambda G p / |G p|).

    G are products of the domains' gradients, p the proportions of what is evaluated (here the
    weights of the targets, one for each domain). The direction has unit length whatever its size,
    so the weights never calm down near an optimum, and leave each other by at most e^(sqrt 2
    lambda): look at their average.

    Departs from the paper: gradients are means over one batch at the end of a period, not sums over
    the period; where G p is zero (which gave the authors no number) the weights stay. A domain
    whose gradient is missing counts for nothing.

    Args:
        every: steps of a round.
        strength: lambda; 3 in the one setting that the paper states.
        scope: of gradients; `"last"`.
    """

    every: Annotated[int, Within(1)] = 100
    strength: Annotated[float, Within(0.0, open=True)] = 3.0
    scope: Literal["full", "last", "head", "sketch"] = "last"

    name: ClassVar[str] = "r&b"

    def needs(self) -> Needs:
        """Products of the domains' gradients."""
        return Needs(frozenset({"gram"}), self.every, scope=self.scope)

    def begin(self, setup: Setup) -> Learned:
        """Where the run starts.

        Raises:
            InputError: not one target for each domain.
        """
        check_own_targets(setup, self.name)
        return Learned(np.array(setup.start), {})

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """Overwrites the weights."""
        pull = np.nan_to_num(seen[-1].values["gram"]) @ np.array(setup.target_weights)
        norm = float(np.linalg.norm(pull))
        if not np.isfinite(norm) or norm <= 0.0:
            note = ("the evaluated domains have no gradient: the weights stay", 0.0)
            return Learned(np.array(state.weights), {}, (note,))
        return Learned(softmax(self.strength * pull / norm), {})
