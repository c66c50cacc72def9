"""EXP3 in its textbook form, and the softmax of losses: bandits over domains."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import multiplicative, softmax
from mixopt.mixers.periodic import Learned, Periodic, Seen, check_own_targets
from mixopt.mixers.rewards import Reward, rewards, signal_of
from mixopt.space.numbers import Within


@dataclass(frozen=True)
class EXP3(Periodic):
    """EXP3 (Auer et al. 2002) with fixed exploration, as in published plug-ins for trainers.

    Raw weights are multiplied by exp(eta (r / p) / m); what is drawn is (1 - gamma) N(W) + gamma/m.

    Departs from those plug-ins: the reward is progress by default (see `rewards`), and logs of the
    raw weights are kept, which do not overflow.

    Args:
        every: steps between updates.
        reward: `"progress"`, `"loss"` or `"heldout"` (a target for each domain).
        eta: how far a reward moves the weights; .3.
        gamma: share that is drawn from all domains alike, to go on seeing each; .1.
    """

    every: Annotated[int, Within(1)] = 1
    reward: Reward = "progress"
    eta: Annotated[float, Within(0.0, open=True)] = 0.3
    gamma: Annotated[float, Within(0.0, 1.0)] = 0.1

    name: ClassVar[str] = "exp3"

    def needs(self) -> Needs:
        """Losses by domain."""
        return Needs(frozenset({signal_of(self.reward)}), self.every)

    def begin(self, setup: Setup) -> Learned:
        """Where the run starts; raw weights alike."""
        if self.reward == "heldout":
            check_own_targets(setup, self.name)
        return Learned(np.array(setup.start), {"logs": np.zeros(setup.space.dim)})

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """One update; a domain that was not seen keeps its raw weight."""
        (losses,) = seen[-1].values.values()
        drawn, total = np.array(seen[-1].segment.sampling), float(seen[-1].tokens.sum())
        share = seen[-1].tokens / total if total > 0 else drawn
        gained, kept = rewards(self.reward, losses, share, state.memory)
        per_draw = np.nan_to_num(gained) / np.maximum(drawn, 1e-9)
        logs = state.memory["logs"] + self.eta * per_draw / setup.space.dim
        logs = logs - logs.max()
        weights = multiplicative(np.ones(len(logs)), logs, self.gamma)
        return Learned(weights, {"logs": logs, **kept})


@dataclass(frozen=True)
class SoftmaxLoss(Periodic):
    """w = softmax(loss / temperature), as offered by trainers without a paper.

    It rewards what is noisy or cannot be learnt. A domain that was not seen keeps its last loss.

    Args:
        every: steps between updates.
        temperature: of the softmax, in nats.
    """

    every: Annotated[int, Within(1)] = 100
    temperature: Annotated[float, Within(0.0, open=True)] = 1.0

    name: ClassVar[str] = "softmax-loss"

    def needs(self) -> Needs:
        """Training losses by domain."""
        return Needs(frozenset({"train_loss"}), self.every)

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """Overwrites the weights."""
        losses = seen[-1].values["train_loss"]
        last = state.memory.get("loss", np.full(setup.space.dim, np.nanmean(losses)))
        losses = np.where(np.isfinite(losses), losses, last)
        return Learned(softmax(losses / self.temperature), {"loss": losses})
