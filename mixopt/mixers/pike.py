"""PiKE: weights by gradient norms against gradient noise (2502.06244)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import multiplicative, softmax
from mixopt.mixers.periodic import Learned, Periodic, Seen
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class PiKE(Periodic):
    """PiKE (2502.06244, read in the paper): w <- N(w exp(z1 |g_k|^2 - z2 / (2b) var_k)).

    The paper's step sizes are in units of squared gradients, and so hold for one model alone. By
    default both terms are divided by the sum of squared norms (ours).

    Departs from the paper: as said; squared norms and variances are means over time (estimates of
    a squared norm can be negative, and are cut at 0 after that mean, never before); batches are not
    rounded, since trainers draw shares exactly over steps, unless `rounded`. Balanced mode: the
    gradient of log sum exp(tau L) / tau is sum y_k g_k with y = softmax(tau L), so both terms are
    multiplied by (m y_k)^2. This is our reading.

    Args:
        every: steps between updates.
        gain: z1, what a large gradient brings.
        penalty: z2, what a noisy one costs.
        batch: b, sequences of a step.
        balance: tau, 1 to 3; 0: not balanced.
        smoothing: weight of older estimates.
        relative: divide both terms by the sum of squared norms.
        rounded: draw whole sequences of a batch, by largest remainders.
        scope: of gradients.
    """

    every: Annotated[int, Within(1)] = 100
    gain: Annotated[float, Within(0.0, open=True)] = 0.1
    penalty: Annotated[float, Within(0.0)] = 0.05
    batch: Annotated[int, Within(1)] = 64
    balance: Annotated[float, Within(0.0)] = 0.0
    smoothing: Annotated[float, Within(0.0, 0.9999)] = 0.9
    relative: bool = True
    rounded: bool = False
    scope: Literal["full", "last", "head", "sketch"] = "full"

    name: ClassVar[str] = "pike"

    def needs(self) -> Needs:
        """Squared norms and variances of gradients; losses too where it balances."""
        signals = {"grad_sq", "grad_var"} | ({"train_loss"} if self.balance else set())
        return Needs(frozenset(signals), self.every, scope=self.scope)

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """One update; of a domain that is missing the last estimates are used."""
        values, m = seen[-1].values, setup.space.dim
        memory = {
            name: self._mean(values[name], state.memory.get(name, np.full(m, np.nan)))
            for name in ("grad_sq", "grad_var")
        }
        square = np.maximum(np.nan_to_num(memory["grad_sq"]), 0.0)
        noise = np.maximum(np.nan_to_num(memory["grad_var"]), 0.0)
        if self.balance:
            losses = values["train_loss"]
            losses = np.where(np.isfinite(losses), losses, np.nanmean(losses))
            tilt = (m * softmax(self.balance * losses)) ** 2
            square, noise = tilt * square, tilt * noise
        unit = float(square.sum()) if self.relative else 1.0
        score = (self.gain * square - self.penalty / (2.0 * self.batch) * noise) / (unit or 1.0)
        weights = multiplicative(state.weights, score)
        if self.rounded:
            weights = batch_counts(weights, self.batch) / self.batch
        return Learned(weights, memory)

    def _mean(self, now: Array, old: Array) -> Array:
        mean = np.where(np.isfinite(old), self.smoothing * old + (1.0 - self.smoothing) * now, now)
        return np.asarray(np.where(np.isfinite(now), mean, old))


def batch_counts(weights: Array, batch: int) -> Array:
    """(m,) whole sequences of a batch, by largest remainders; they sum to `batch`.

    >>> batch_counts(np.array([0.578272, 0.228613, 0.193115]), 64)
    array([37., 15., 12.])
    """
    exact = weights * batch
    counts = np.floor(exact + 1e-12)
    left = batch - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1.0
    return np.asarray(counts)
