"""Dynamic sampling by the routers of a mixture of experts (2406.11256)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Gates(Periodic):
    """Dynamic sampling (2406.11256): domains whose tokens go to other experts are weighed up.

    w <- (1 - c) N(w exp(eta D)) + c / m, D the mean distance of a domain's router load to all.
    Needs a model with experts. A domain that is missing keeps its last load.

    Args:
        every: steps between updates.
        eta: how far a difference of loads moves the weights; 10.
        smoothing: c, share given to all alike; .05.
    """

    every: Annotated[int, Within(1)] = 100
    eta: Annotated[float, Within(0.0, open=True)] = 10.0
    smoothing: Annotated[float, Within(0.0, 1.0)] = 0.05

    name: ClassVar[str] = "moe"

    def needs(self) -> Needs:
        """What the routers do, by domain."""
        return Needs(frozenset({"gate_load"}), self.every)

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """One update."""
        del setup
        load = seen[-1].values["gate_load"]
        gone = ~np.isfinite(load).all(axis=1, keepdims=True)
        fallback = state.memory.get("load", np.broadcast_to(np.nanmean(load, axis=0), load.shape))
        load = np.where(gone, fallback, load)
        score = self.eta * gate_distance(load)
        return Learned(multiplicative(state.weights, score, self.smoothing), {"load": load})


def gate_distance(load: Array) -> Array:
    """(m,) mean Euclidean distance of a domain's load (scaled to sum 1) to those of all domains."""
    total = np.abs(load).sum(axis=1, keepdims=True)
    shares = np.divide(load, total, out=np.zeros_like(load), where=total > 0)
    return np.asarray(np.linalg.norm(shares[:, None] - shares[None], axis=2).mean(axis=1))
