"""Is an answer near what was measured? Distance to the runs, and epochs of proxy and target.

Notation:
    W: (n, m) mixtures of the runs; P: (a, m) proposals; tokens: (m,) unique tokens per domain
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import InputError
from mixopt.laws.base import as_mixtures
from mixopt.space.simplex import Array, hellinger_distance


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """How far proposals are from all runs.

    Attributes:
        distance: (a,) Hellinger distance to the nearest run, in [0, 1].
        typical, wide: median and 95 % point of each run's distance to its nearest neighbour.
        unseen: (a,) largest weight on a domain above what any run had, in excess of it.
    """

    distance: Array
    typical: float
    wide: float
    unseen: Array

    @property
    def far(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """(a,) further from all runs than 95 % of the runs are from each other."""
        return np.asarray(self.distance > self.wide)

    def lines(self) -> list[str]:
        """In plain words, about the first proposal."""
        first, ratio = self.distance[0], self.distance[0] / max(self.typical, 1e-12)
        told = (
            f"the proposal is {ratio:.1f} times as far from the nearest run as runs are from each "
            f"other (Hellinger {first:.2f} against {self.typical:.2f})"
        )
        if self.far[0]:
            told += ": the law extrapolates there; train that mixture before trusting it"
        out = [told]
        if self.unseen[0] > 0.01:
            out.append(
                f"it gives a domain {self.unseen[0]:.2f} more weight than any run had: beyond the "
                "data in that direction"
            )
        return out


def extrapolation(proposals: ArrayLike, W: ArrayLike) -> Extrapolation:
    """Distance of proposals (a, m) or (m,) to the runs W (n, m), against the runs' own spacing.

    Raises:
        InputError: fewer than two different runs, or another number of domains.
    """
    runs = np.unique(np.round(np.atleast_2d(np.asarray(W, dtype=float)), 9), axis=0)
    if len(runs) < 2:
        raise InputError("all runs are at one mixture; their spacing says nothing, add runs")
    P = as_mixtures(proposals, runs.shape[1])
    between = hellinger_distance(runs, runs)
    np.fill_diagonal(between, np.inf)
    spacing = between.min(axis=1)
    unseen = np.maximum(P - runs.max(axis=0), 0.0).max(axis=1)
    return Extrapolation(
        distance=hellinger_distance(P, runs).min(axis=1),
        typical=float(np.median(spacing)),
        wide=float(np.quantile(spacing, 0.95)),
        unseen=unseen,
    )


@dataclass(frozen=True, eq=False)
class EpochMismatch:
    """Passes over each domain in the proxies and in the target run.

    Attributes:
        domains: (m,) names. weights: (m,) of the mixture.
        proxy, target: (m,) epochs at these weights; NaN where tokens are unknown.
    """

    domains: tuple[str, ...]
    weights: Array
    proxy: Array
    target: Array

    @property
    def mismatched(self) -> tuple[str, ...]:
        """Domains of more than 1 % whose target repeats its data and whose proxy did otherwise.

        More than 25 % apart counts (METHODS 3.7); two runs that both stay below one epoch agree,
        for neither repeats anything.
        """
        # Below one epoch nothing is repeated, whatever the number.
        proxy, target = np.maximum(self.proxy, 1.0), np.maximum(self.target, 1.0)
        apart = (self.weights > 0.01) & (np.abs(proxy / target - 1.0) > 0.25)
        return tuple(d for d, off in zip(self.domains, apart, strict=True) if off)

    @property
    def told(self) -> tuple[str, ...]:
        """The mismatched domains with the epochs of proxy and target."""
        off = self.mismatched
        return tuple(
            f"{d} ({self.proxy[i]:.2g} and {self.target[i]:.2g})"
            for i, d in enumerate(self.domains)
            if d in off
        )

    def lines(self) -> list[str]:
        """In plain words."""
        if not self.told:
            return ["proxies and target repeat every domain about as often"]
        return [
            "the proxies saw these domains another number of times than the target will (epochs of "
            f"proxy and target): {', '.join(self.told[:6])}; subsample their pools by the ratio of "
            "the budgets (2606.07597)"
        ]


def epoch_mismatch(
    domains: Sequence[str],
    weights: ArrayLike,
    tokens: ArrayLike,
    *,
    proxy_budget: float,
    target_budget: float,
    proxy_tokens: ArrayLike | None = None,
) -> EpochMismatch:
    """Compare how often the proxies and the target pass over each domain.

    Args:
        domains: (m,) names.
        weights: (m,) the mixture.
        tokens: (m,) unique tokens that the target has, NaN where unknown.
        proxy_budget: training tokens of a proxy.
        target_budget: training tokens of the target.
        proxy_tokens: (m,) unique tokens that the proxies had; `tokens` if left out (unmatched).

    Raises:
        InputError: a budget or a token count that is not positive.
    """
    w, pool = np.asarray(weights, dtype=float), np.asarray(tokens, dtype=float)
    seen = pool if proxy_tokens is None else np.asarray(proxy_tokens, dtype=float)
    if not (proxy_budget > 0 and target_budget > 0):
        raise InputError(
            f"budgets are {proxy_budget} and {target_budget} tokens; both must be above 0"
        )
    for values in (pool, seen):
        if (values <= 0).any():
            at = int(np.argmax(values <= 0))
            raise InputError(
                f"domain {domains[at]!r} has {values[at]} tokens; give a number above 0"
            )
    return EpochMismatch(tuple(domains), w, w * proxy_budget / seen, w * target_budget / pool)
