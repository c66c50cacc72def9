"""Runs that a law is checked on, and domains of which it may be told what a space knows of them.

Notation:
    n runs, m domains, k metrics; W: (n, m) mixtures; Y: (n, k) losses; at: (n, 2) scales
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixopt.laws import Law, law_for
from mixopt.space import Domain, MixtureSpace
from mixopt.space.simplex import Array

SCALES = np.array([[1e7, 2e8], [3e7, 6e8], [1e8, 2e9]])
"""(3, 2) parameters and tokens of `LawWorld.planted_scales`."""
_NAMES = "abcdefghijkl"
_TIERS = 3
_WORTH = (1.0, 0.5, 0.2)  # of a token, by tier
_NOISE = 0.005


def fresh(m: int = 4, n: int = 25, seed: int = 9) -> Array:
    """(n, m) mixtures that no world draws for its runs."""
    return np.random.default_rng(seed).dirichlet(np.ones(m), size=n)


@dataclass(frozen=True)
class LawWorld:
    """Domains, what is known of them, and what their tokens do to the losses.

    Attributes:
        tiers: the domains are of three tiers, as their tags say, and a token of a noisier one
            counts for less in every metric. Without them every metric falls with a domain of its
            own, and a little with the others.
        sizes: the unique tokens of every domain and the budget are known; losses do not depend on
            them.
    """

    tiers: bool = False
    sizes: bool = False

    def space(self, m: int = 4, order: Sequence[int] | None = None) -> MixtureSpace:
        """The domains.

        Args:
            m: how many, 12 at most.
            order: in which they stand; as they are without it.
        """
        return MixtureSpace(
            [
                Domain(
                    _NAMES[i],
                    tokens=0.5 + 0.1 * i if self.sizes else None,
                    tags={"tier": str(_tier(i))} if self.tiers else {},
                )
                for i in (range(m) if order is None else order)
            ],
            budget=1.0 if self.sizes else None,
        )

    def tell(self, law: Law, m: int = 4, order: Sequence[int] | None = None) -> Law:
        """The law told of these domains, as sweeps and studies tell it; see `space`."""
        return law_for(law, None, self.space(m, order))

    def planted(self, n: int = 32, m: int = 4, k: int = 3, seed: int = 0) -> tuple[Array, Array]:
        """(n, m) mixtures and (n, k) losses that decay with shares, a little noisy."""
        rng = np.random.default_rng(seed)
        W = rng.dirichlet(np.ones(m), size=n)
        if self.tiers:
            value = 2.0 + 0.6 * _clean(W)[:, None] ** -_rates(k)
        else:
            value = 2.0 + np.exp(0.3 + W @ _slopes(m, k, rng))
        return W, value + _NOISE * rng.standard_normal((n, k))

    def planted_scales(self, n: int = 14, m: int = 4, k: int = 3) -> tuple[Array, Array, Array]:
        """(3 n, m) mixtures, (3 n, k) losses that fall with the scale, and the (3 n, 2) scales."""
        W, _ = self.planted(3 * n, m, k)
        rng = np.random.default_rng(1)
        at = np.repeat(SCALES, n, axis=0)
        size = (at[:, :1] / SCALES[0, 0]) ** -0.2
        if self.tiers:
            clean = _clean(W) * at[:, 1] / SCALES[0, 1]
            Y = 1.5 + 0.5 * size + 0.6 * clean[:, None] ** -_rates(k)
        else:
            Y = 1.5 + 0.5 * size + (0.5 + 0.5 * size) * np.exp(0.3 + W @ _slopes(m, k, rng))
        return W, Y + _NOISE * rng.standard_normal(Y.shape), at


ALIKE = LawWorld()
"""Domains of which nothing is known."""


def _slopes(m: int, k: int, rng: np.random.Generator) -> Array:
    return np.asarray(-rng.uniform(0.0, 0.6, size=(m, k)) - 1.5 * np.eye(m, k))


def _rates(k: int) -> Array:
    """(k,) exponents of the losses: every metric has its own."""
    return np.linspace(0.3, 0.5, k)


def _tier(domain: int) -> int:
    return 1 + domain % _TIERS


def _clean(W: Array) -> Array:
    """(n,) share that is worth as much of the cleanest tier."""
    return np.asarray(W @ np.array([_WORTH[_tier(i) - 1] for i in range(W.shape[1])]))
