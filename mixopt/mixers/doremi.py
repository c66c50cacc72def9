"""DoReMi: weigh up what is learnt less well than a frozen reference model did (2305.10429)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen
from mixopt.space.numbers import Within


@dataclass(frozen=True)
class DoReMi(Periodic):
    """DoReMi (2305.10429), by its authors' code: group DRO on the excess over a reference.

    Domains are drawn by the mixture that the run starts from, losses weighed by w / that mixture;
    the answer is the average of w over the run. A domain that was not drawn keeps its last score.
    Answers depend on `clip`: Aioli's copy of the method clips means, DoGE's clips nothing.

    Departs from the paper: the excess of a step changes the weights of the next step and not of its
    own; w starts where the run starts (the strategy starts from uniform, as the paper does).

    Args:
        every: steps between updates; 1 in the paper.
        eta: step size; 1.
        smoothing: c, share that is given to all alike: 1e-4 in the code, 1e-3 in the paper.
        clip: `"token"`: the excess of every token is at least 0 before the mean, as in the code;
            `"mean"`: that of the mean is.
        reference: mixture of the reference run.
    """

    every: Annotated[int, Within(1)] = 1
    eta: Annotated[float, Within(0.0, open=True)] = 1.0
    smoothing: Annotated[float, Within(0.0, 1.0)] = 1e-4
    clip: Literal["token", "mean"] = "token"
    reference: Literal["start", "uniform", "natural"] = "start"

    name: ClassVar[str] = "doremi"
    acts_on: ClassVar[Literal["sampling", "loss"]] = "loss"
    product: ClassVar[Literal["average", "last", "course"]] = "average"

    def needs(self) -> Needs:
        """The excess over a reference run."""
        signal = "excess" if self.clip == "token" else "excess_mean"
        return Needs(frozenset({signal}), self.every, loss_weights=True, reference=self.reference)

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """W <- (1 - c) N(w exp(eta excess)) + c / m."""
        (excess,) = seen[-1].values.values()
        last = state.memory.get("score", np.zeros(setup.space.dim))
        score = np.where(np.isfinite(excess), np.maximum(excess, 0.0), last)
        weights = multiplicative(state.weights, self.eta * score, self.smoothing)
        return Learned(weights, {"score": score})
