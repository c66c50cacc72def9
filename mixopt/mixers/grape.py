"""GRAPE: domains for the tasks, tasks by how slowly they improve (2505.20380).

Notation:
    m domains, n tasks (targets); w: (m,) weights of domains; z: (n,) weights of tasks
    T: (m, n) products of the gradients of domains and of task losses l
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen
from mixopt.space.numbers import Within


@dataclass(frozen=True)
class Grape(Periodic):
    """GRAPE (2505.20380), by its authors' code.

    First domains: log w_i += lr <g_i, h> / mu, h the gradient of the log of the task losses mixed
    by z (or the plain mix of their gradients). Then tasks, with the new w: a task whose log loss
    falls fast loses weight. Steps are in units of squared gradients: if gradients double, steps
    are four times as large, so `mu` must be found anew for another model, or `scaled` be set.

    Departs from the paper: gradients are means over one batch, not sums over two; the variant `gap`
    (over a reference) is configured in the authors' code and not in their trainer, and is left out.

    Args:
        every: steps between updates; 100.
        rate: learning rate lr in both steps.
        mu, mu_tasks: 1e-3 and 2e-4.
        loss: `"log"` (shipped): gradients of the log of the loss of the mixed tasks; `"plain"`.
        smoothing: beta of the mean over time of the losses that the task step divides by; 0: none.
        scaled: divide products by their largest absolute value, so that steps have no unit (ours).
        clip: norm to which gradients are clipped; 5.
        scope: of gradients; all parameters in the paper.
    """

    every: Annotated[int, Within(1)] = 100
    rate: Annotated[float, Within(0.0, open=True)] = 1e-3
    mu: Annotated[float, Within(0.0, open=True)] = 1e-3
    mu_tasks: Annotated[float, Within(0.0, open=True)] = 2e-4
    loss: Literal["log", "plain"] = "log"
    smoothing: Annotated[float, Within(0.0, 0.9999)] = 0.0
    scaled: bool = False
    clip: Annotated[float, Within(0.0, open=True)] = 5.0
    scope: Literal["full", "last", "head", "sketch"] = "full"

    name: ClassVar[str] = "grape"

    def needs(self) -> Needs:
        """Products with the tasks' gradients, and the tasks' losses."""
        signals = frozenset({"gram_target", "heldout"})
        return Needs(signals, self.every, scope=self.scope, clip=self.clip)

    def begin(self, setup: Setup) -> Learned:
        """Where the run starts; tasks by their weights."""
        return Learned(np.array(setup.start), {"tasks": np.array(setup.target_weights)})

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """Both steps."""
        del setup
        values, z = seen[-1].values, state.memory["tasks"]
        T = np.nan_to_num(values["gram_target"])
        if self.scaled:
            T = T / max(float(np.abs(T).max()), 1e-300)
        losses = np.maximum(values["heldout"], 1e-12)
        mean = losses
        if self.smoothing:
            old = state.memory.get("loss", losses)
            mean = self.smoothing * old + (1.0 - self.smoothing) * losses
        aligned = T @ z
        if self.loss == "log":
            aligned = aligned / float(z @ losses)
        w = multiplicative(state.weights, self.rate * aligned / self.mu)
        improving = (w @ T) / mean
        z = multiplicative(z, -self.rate * improving / self.mu_tasks)
        return Learned(w, {"tasks": z, "loss": mean})
