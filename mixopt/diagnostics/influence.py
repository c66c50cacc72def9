"""What more of a domain does, as a fitted law sees it.

Notation:
    w: (m,) base mixture; e_i: domain i alone; F: objective, lower is better
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixopt.laws.base import FittedLaw
from mixopt.runs.objective import Objective
from mixopt.space.simplex import Array


@dataclass(frozen=True, eq=False)
class Influence:
    """Effect of moving a share `step` of the mixture to a domain, the others giving in proportion.

    Attributes:
        domains: (m,), metrics: (k,) names.
        effect: (m, k) change of each metric. objective: (m,) change of the objective.
        sd: (m,) standard deviation of the latter, as the law knows it (an upper bound: what the
            law does not know at the base and beside it is taken as independent).
        interaction: (m, m) how much more the objective changes when two domains grow together
            than each adds on its own; below zero they help each other.
        step: share that is moved.
    """

    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    effect: Array
    objective: Array
    sd: Array
    interaction: Array
    step: float

    def lines(self, count: int = 3) -> list[str]:
        """In plain words: what helps, what hurts, which pair depends on each other."""
        order = np.argsort(self.objective)
        helps = [i for i in order[:count] if self.objective[i] < 0]
        hurts = [i for i in order[::-1][:count] if self.objective[i] > 0]
        share = f"{100 * self.step:.0f} % more"
        out = []
        for verb, chosen in (("helps", helps), ("hurts", hurts)):
            if chosen:
                shown = ", ".join(f"{self.domains[i]} ({self.objective[i]:+.2g})" for i in chosen)
                out.append(f"{share} of these {verb} the objective most: {shown}")
        strongest = np.abs(self.interaction)
        i, j = np.unravel_index(int(strongest.argmax()), strongest.shape)
        if strongest[i, j] > 0.25 * np.abs(self.objective).max() and strongest[i, j] > 0:
            kind = "help" if self.interaction[i, j] < 0 else "replace"
            out.append(f"{self.domains[i]} and {self.domains[j]} {kind} each other most")
        return out


def influence(
    fitted: FittedLaw,
    base: ArrayLike,
    objective: Objective,
    *,
    domains: Sequence[str],
    metrics: Sequence[str],
    scale: tuple[float, float] | None = None,
    step: float = 0.05,
) -> Influence:
    """Effects and pairwise interactions around a mixture.

    Args:
        fitted: the law.
        base: (m,) mixture around which to look.
        objective: what is minimised.
        domains: (m,) names.
        metrics: (k,) names of the metrics that the law predicts.
        scale: parameters and tokens at which to predict.
        step: share that is moved to a domain (half of it to each of a pair).
    """
    w = np.asarray(base, dtype=float)
    m = w.size
    alone = (1.0 - step) * w + step * np.eye(m)
    half = (1.0 - step / 2) * w + step / 2 * np.eye(m)
    first, second = np.triu_indices(m, 1)
    pairs = (1.0 - step) * w + step / 2 * (np.eye(m)[first] + np.eye(m)[second])
    points = np.vstack([w, alone, half, pairs])
    at = None if scale is None else np.tile(np.asarray(scale, dtype=float), (len(points), 1))
    predicted = fitted.predict(points, at)
    F, sd = objective.moments(predicted.mean, predicted.sd, tuple(metrics))
    one, small = F[1 : m + 1] - F[0], F[m + 1 : 2 * m + 1] - F[0]
    interaction = np.zeros((m, m))
    interaction[first, second] = F[2 * m + 1 :] - F[0] - small[first] - small[second]
    return Influence(
        tuple(domains),
        tuple(metrics),
        predicted.mean[1 : m + 1] - predicted.mean[0],
        one,
        np.sqrt(sd[1 : m + 1] ** 2 + sd[0] ** 2),
        interaction + interaction.T,
        step,
    )
