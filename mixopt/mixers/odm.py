"""ODM: online data mixing as a bandit over domains (2312.02406)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen, check_own_targets
from mixopt.mixers.rewards import Reward, rewards, signal_of
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class ODM(Periodic):
    """ODM (2312.02406), by its authors' code: EXP3 with exploration that falls with time.

    Exactly uniform while t <= m ln m. Published with the training loss as reward, which prefers
    what is noisy or cannot be compressed; the default here is progress (see `rewards`).

    Departs from the paper: reward, as said. The variant `linear` is that of the authors' grouped
    code: weights in proportion to a mean over time of e^reward.

    Args:
        every: steps between updates; 1.
        reward: `"progress"`, `"loss"` or `"heldout"` (a target for each domain).
        scale: rewards are divided by it; 10, for losses in nats.
        form: `"exponential"` or `"linear"`.
        warmup: steps before the first update counts.
    """

    every: Annotated[int, Within(1)] = 1
    reward: Reward = "progress"
    scale: Annotated[float, Within(0.0, open=True)] = 10.0
    form: Literal["exponential", "linear"] = "exponential"
    warmup: Annotated[int, Within(0)] = 0

    name: ClassVar[str] = "odm"

    def needs(self) -> Needs:
        """Losses by domain."""
        return Needs(frozenset({signal_of(self.reward)}), self.every)

    def begin(self, setup: Setup) -> Learned:
        """Where the run starts; nothing is known of any domain."""
        m = setup.space.dim
        if self.reward == "heldout":
            check_own_targets(setup, self.name)
        return Learned(np.array(setup.start), {"sum": np.zeros(m), "time": np.zeros(1)})

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """One update; a domain that was not seen keeps its sum."""
        del setup
        if state.step <= self.warmup:
            return Learned(np.array(state.weights), state.memory)
        (losses,) = seen[-1].values.values()
        total = float(seen[-1].tokens.sum())
        drawn = np.array(seen[-1].segment.sampling)
        share = seen[-1].tokens / total if total > 0 else drawn
        gained, kept = rewards(self.reward, losses, share, state.memory)
        t = int(state.memory["time"][0]) + 1
        sums, observed = state.memory["sum"], np.isfinite(gained)
        gained = np.where(observed, gained, 0.0)
        if self.form == "linear":
            fresh = 0.9 * sums + 0.1 * np.exp(np.minimum(gained, 50.0))
            sums = np.where(observed, fresh, sums)
            weights = linear_weights(sums, t)
        else:
            added = gained / self.scale / np.maximum(drawn, 1e-9)
            sums = np.where(observed, sums + added, sums)
            weights = exponential_weights(sums, t)
        return Learned(weights, {"sum": sums, "time": np.array([float(t)]), **kept})


def exploration(t: int, m: int) -> float:
    """epsilon_t: the least weight of each of m domains at update t; 1 / m before the first."""
    return 1.0 / m if t < 1 else min(1.0 / m, float(np.sqrt(np.log(m) / (m * t))))


def exponential_weights(sums: Array, t: int) -> Array:
    """(m,) (1 - m e_t) N(exp(e_{t-1} R)) + e_t from sums R (m,) of rewards over probabilities."""
    m = len(sums)
    return multiplicative(np.ones(m), exploration(t - 1, m) * sums, m * exploration(t, m))


def linear_weights(means: Array, t: int) -> Array:
    """(m,) (1 - m e_t) N(R) + e_t from means R (m,) of rewards, not negative."""
    m = len(means)
    total = float(means.sum())
    share = means / total if total > 0 else np.full(m, 1.0 / m)
    return np.asarray((1.0 - m * exploration(t, m)) * share + exploration(t, m))
