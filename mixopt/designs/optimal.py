"""The I-optimal design: runs that make a quadratic model's predictions best on average.

Notation:
    x = features(w): (p,) w_i and w_i w_j of the quadratic Scheffe model, p = m (m + 1) / 2
    M = sum x x' + r I over the design, V = M^-1; B: (p, p) mean of x x' over the region
    average prediction variance: trace(V B)

References:
    data mixing as a mixture experiment: 2608.23922; Goos, Jones & Syafitri 2016 (I-optimality)
"""

import numpy as np

from mixopt.designs.base import distinct, honour
from mixopt.errors import InputError
from mixopt.space import MixtureSpace, simplex
from mixopt.space.simplex import Array

_RIDGE = 1e-3  # a weak prior on the coefficients, so that fewer runs than coefficients will do
_MOST_DOMAINS = 30


def i_optimal(
    space: MixtureSpace,
    n: int,
    *,
    rng: np.random.Generator,
    existing: Array | None = None,
    constrained: bool = True,
    sweeps: int = 2,
) -> Array:
    """Greedy addition and exchange over single domains, pairs, and random mixtures.

    Args:
        space: at most 30 domains (the quadratic model has 465 coefficients then).
        n: mixtures wanted.
        rng: of the candidates.
        existing: (k, m) runs that are there already; the design completes them.
        constrained: move candidates into the constraints.
        sweeps: exchanges of every run after the greedy pass.

    Raises:
        InputError: more than 30 domains, or fewer than n distinct candidates.
    """
    if space.dim > _MOST_DOMAINS:
        raise InputError(
            f"the I-optimal design of {space.dim} domains has too many coefficients; use "
            f"'maximin', or at most {_MOST_DOMAINS} domains"
        )
    pool = honour(space, _candidates(space, n, rng), constrained=constrained)
    pool = pool[distinct(pool, existing)]
    if len(pool) < n:
        raise InputError(
            f"only {len(pool)} distinct candidates for a design of {n}; ask for fewer, or loosen "
            "the constraints"
        )
    X = features(pool)
    region = space.sample(500, rng) if constrained else _anywhere(space, rng)
    F = features(region)
    exchange = _Exchange(X, F.T @ F / len(F), existing)
    for _ in range(n):
        exchange.add()
    for _ in range(sweeps):
        for i in list(exchange.chosen):
            exchange.drop(i)
            exchange.add()
    return pool[exchange.chosen]


def features(W: Array) -> Array:
    """(n, p) shares and products of pairs of shares."""
    i, j = np.triu_indices(W.shape[1], 1)
    return np.hstack([W, W[:, i] * W[:, j]])


def average_variance(W: Array, region: Array) -> float:
    """Mean variance of the quadratic model's prediction over a region, per unit of noise."""
    X, F = features(W), features(region)
    M = X.T @ X + _RIDGE * np.eye(X.shape[1])
    return float(np.trace(np.linalg.solve(M, F.T @ F / len(F))))


class _Exchange:
    """Design, its inverse information matrix, and what every candidate would add."""

    def __init__(self, X: Array, B: Array, existing: Array | None) -> None:
        self.X, self.B = X, B
        M = _RIDGE * np.eye(X.shape[1])
        if existing is not None and len(existing):
            known = features(np.atleast_2d(existing))
            M = M + known.T @ known
        self.VX = X @ np.linalg.inv(M)
        self.chosen: list[int] = []

    def add(self) -> None:
        """Take the candidate that lowers the average variance most."""
        leverage = np.einsum("cp,cp->c", self.VX, self.X)
        gain = np.einsum("cp,cp->c", self.VX @ self.B, self.VX) / (1.0 + leverage)
        gain[self.chosen] = -np.inf
        i = int(gain.argmax())
        self.chosen.append(i)
        self._update(i, 1.0)

    def drop(self, i: int) -> None:
        """Give one candidate back."""
        self.chosen.remove(i)
        self._update(i, -1.0)

    def _update(self, i: int, sign: float) -> None:
        """Sherman-Morrison: V changes by -+ V x x' V / (1 +- x' V x)."""
        v, x = self.VX[i].copy(), self.X[i]
        self.VX -= sign * np.outer(self.X @ v, v) / (1.0 + sign * float(v @ x))


def _candidates(space: MixtureSpace, n: int, rng: np.random.Generator) -> Array:
    eye = np.eye(space.dim)
    i, j = np.triu_indices(space.dim, 1)
    s = np.exp(rng.uniform(np.log(0.05), np.log(2.0), size=(max(500, 2 * n), 1)))
    random = simplex.dirichlet(s * np.ones(space.dim), rng)
    return np.vstack([eye, 0.5 * (eye[i] + eye[j]), space.prior, random])


def _anywhere(space: MixtureSpace, rng: np.random.Generator) -> Array:
    return simplex.dirichlet(np.ones((500, space.dim)), rng)
