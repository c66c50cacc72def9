"""FastMix: AdamW on the logits of the weights, by gradients of a validation loss (2606.14971)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import softmax
from mixopt.mixers.periodic import Learned, Periodic, Seen
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array

_BETAS = (0.9, 0.95)


@dataclass(frozen=True)
class FastMix(Periodic):
    """FastMix (2606.14971), by its authors' code. Its answer is the last weights.

    Domains are drawn by the mixture that the run starts from (uniform in the paper), losses weighed
    by softmax(z). AdamW makes the size of the signal irrelevant: the first update moves every logit
    by `rate`, and a logit travels at most 1.17 `rate` an update, so **the number of updates sets
    how far the weights can go** (u updates: a ratio of at most e^(.0234 u) at .01). The record has
    it.

    Departs from the paper: products are of each domain's plain mean gradient, without its weight
    (theirs is measured on the weighted loss); a domain without a gradient has a product of 0, as in
    the paper.

    Args:
        every: steps between updates; 20 micro-batches in the paper.
        rate: of AdamW; .01.
        lr: of the model, in the derivative; 4e-4. Only against `epsilon` does it matter.
        epsilon: of AdamW; 1e-8.
        entropy: weight of the negative entropy of the weights; 0.
        scope: of gradients; `"head"`.
    """

    every: Annotated[int, Within(1)] = 20
    rate: Annotated[float, Within(0.0, open=True)] = 0.01
    lr: Annotated[float, Within(0.0, open=True)] = 4e-4
    epsilon: Annotated[float, Within(0.0)] = 1e-8
    entropy: Annotated[float, Within(0.0)] = 0.0
    scope: Literal["full", "last", "head", "sketch"] = "head"

    name: ClassVar[str] = "fastmix"
    acts_on: ClassVar[Literal["sampling", "loss"]] = "loss"
    product: ClassVar[Literal["average", "last", "course"]] = "last"

    def needs(self) -> Needs:
        """Products of domains' and targets' gradients."""
        return Needs(frozenset({"gram_target"}), self.every, scope=self.scope, loss_weights=True)

    def begin(self, setup: Setup) -> Learned:
        """Logits of one, where the run starts from uniform weights."""
        start = np.array(setup.start)
        z = 1.0 + np.log(np.maximum(start * len(start), 1e-12))
        nothing = np.zeros(len(start))
        return Learned(
            start, {"logits": z, "mean": nothing, "square": nothing, "updates": np.zeros(1)}
        )

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """One step of AdamW."""
        product = np.nan_to_num(seen[-1].values["gram_target"]) @ np.array(setup.target_weights)
        memory = dict(state.memory)
        p = softmax(memory["logits"])
        by_weight = -self.lr * product
        if self.entropy:
            by_weight = by_weight + self.entropy * (np.log(np.maximum(p, 1e-300)) + 1.0)
        g = p * (by_weight - float(p @ by_weight))
        u = float(memory["updates"][0]) + 1.0
        memory["mean"] = _BETAS[0] * memory["mean"] + (1.0 - _BETAS[0]) * g
        memory["square"] = _BETAS[1] * memory["square"] + (1.0 - _BETAS[1]) * g**2
        memory["updates"] = np.array([u])
        memory["logits"] = memory["logits"] - self.rate * self._direction(memory, u)
        note = ("updates, each of which moves a logit by about its rate (number)", u)
        return Learned(softmax(memory["logits"]), memory, (note,))

    def _direction(self, memory: dict[str, Array], u: float) -> Array:
        mean = memory["mean"] / (1.0 - _BETAS[0] ** u)
        size = np.sqrt(memory["square"] / (1.0 - _BETAS[1] ** u)) + self.epsilon
        return np.asarray(np.divide(mean, size, out=np.zeros_like(mean), where=size > 0))
