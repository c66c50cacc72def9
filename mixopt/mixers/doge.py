"""DoGE: weigh up domains whose gradients agree with those of the targets (2310.15393)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen, importance
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array

_TINY = 1e-6


@dataclass(frozen=True)
class DoGE(Periodic):
    """DoGE (2310.15393), by its authors' code; the answer is the average of w over the run.

    A domain's score is the sum over targets of the products of gradients, divided by the mean norm
    of the domains' gradients, cut to [0, 5 lr]. So a domain that does harm is never pushed below
    one that does nothing. The learning rate is inside the score: its schedule weighs the steps.

    Departs from the paper: gradients of a step are taken of the model as it stands before it, on
    data of their own; a domain whose gradient is missing has a score of 0.

    Args:
        every: steps between updates; 1 in the paper.
        rate: largest learning rate lr of the model, as it stands in the score.
        mu: .01; scores are divided by it.
        smoothing: c, share given to all alike; 0.
        targets: `"domains"`: every training domain counts, itself included (the shipped
            configuration); `"others"`: itself left out; `"heldout"`: the run's targets.
        normalised: divide by the mean norm, and cut; False: score = lr times the products.
        clip: norm to which gradients are clipped; 5.
        scope: of gradients; all parameters in the paper.
    """

    every: Annotated[int, Within(1)] = 1
    rate: Annotated[float, Within(0.0, open=True)] = 1e-3
    mu: Annotated[float, Within(0.0, open=True)] = 0.01
    smoothing: Annotated[float, Within(0.0, 1.0)] = 0.0
    targets: Literal["domains", "others", "heldout"] = "domains"
    normalised: bool = True
    clip: Annotated[float, Within(0.0, open=True)] = 5.0
    scope: Literal["full", "last", "head", "sketch"] = "full"

    name: ClassVar[str] = "doge"
    acts_on: ClassVar[Literal["sampling", "loss"]] = "loss"
    product: ClassVar[Literal["average", "last", "course"]] = "average"
    looks_first: ClassVar[bool] = True

    def needs(self) -> Needs:
        """Products of gradients; of domains also where targets are others, for their norms."""
        signals = {"gram"} if self.targets != "heldout" else {"gram_target"}
        if self.normalised:
            signals.add("gram")
        return Needs(
            frozenset(signals), self.every, scope=self.scope, clip=self.clip, loss_weights=True
        )

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """W <- (1 - c) N(w exp(score / mu)) + c / m."""
        values, lr = seen[-1].values, seen[-1].lr
        rate = self.rate * (1.0 if lr is None else lr)
        gram = values.get("gram", np.zeros((0, 0)))
        if self.targets == "heldout":
            agreement = np.nan_to_num(values["gram_target"]) @ importance(setup)
        else:
            agreement = np.nansum(gram, axis=1)
            if self.targets == "others":
                agreement = agreement - np.nan_to_num(np.diag(gram))
        score = self.score(agreement, gram, rate) / self.mu
        return Learned(multiplicative(state.weights, score, self.smoothing), {})

    def score(self, agreement: Array, gram: Array, rate: float) -> Array:
        """(m,) scores before they are divided by mu.

        Args:
            agreement: (m,) sums of products with the targets' gradients.
            gram: (m, m) products of the domains' gradients; empty where not normalised.
            rate: lr of the step.
        """
        if not self.normalised:
            return rate * agreement
        norm = float(np.nanmean(np.sqrt(np.maximum(np.diag(gram), 0.0))))
        return np.clip(rate * agreement / (norm + _TINY), 0.0, 5.0 * rate)
