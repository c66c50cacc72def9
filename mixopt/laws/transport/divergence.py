"""The Sinkhorn divergence between a mixture of clouds of points and a target, by POT.

    S(p) = OT(p, q) - OT(p, p) / 2 - OT(q, q) / 2

OT is entropic optimal transport of squared distances (Cuturi 2013), without its bias (Feydy et al.,
1810.08278): 0 where both are the same, and smooth in the shares.

Notation:
    p: (m,) shares of the clouds; q: the target, T points of equal weight
    a: (N,) weights of all points; f: (N,) dual potentials: how S changes with a point's weight
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import InputError
from mixopt.lazy import require
from mixopt.space.simplex import Array

EPSILON = 0.01
"""Of the entropy, in units of the median cost between a point and the target."""
_STEPS, _STOP = 5000, 1e-7
_UNDERFLOW = 500.0  # cost / entropy from which on the kernel has to stay in logarithms


@dataclass(frozen=True)
class Distance:
    """How far a mixture is from the target.

    Attributes:
        value: S(p).
        potentials: (m,) mean potential of each cloud's points: the gradient of S by its share; NaN
            of a cloud without a share, since S falls off steeply at the edge.
    """

    value: float
    potentials: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Clouds:
    """Clouds of points and a target, with the costs between them.

    Attributes:
        names: (m,) of the clouds.
        owner: (N,) which cloud a point is of. sizes: (m,) points of each.
        across: (N, T) costs to the target, (N, N) `within`.
        entropy: in the unit of costs.
        bias: OT(q, q) / 2.
    """

    names: tuple[str, ...]
    owner: Any
    sizes: Array
    across: Array
    within: Array
    entropy: float
    bias: float

    @classmethod
    def of(
        cls, points: Mapping[str, ArrayLike], target: ArrayLike, epsilon: float = EPSILON
    ) -> "Clouds":
        """Measure the costs.

        Args:
            points: cloud to its points (n, d).
            target: (T, d).
            epsilon: see `EPSILON`.

        Raises:
            InputError: a cloud without points, of other dimensions, or with a value that is no
                number; or an epsilon that is not positive.
        """
        if not epsilon > 0:
            raise InputError(f"epsilon is {epsilon}; give a number above 0, e.g. {EPSILON}")
        q = _checked("the target", target, None)
        clouds = [_checked(repr(name), rows, q.shape[1]) for name, rows in points.items()]
        if len(clouds) < 2:
            raise InputError(f"{len(clouds)} clouds of points; a mixture is of two or more")
        X, sizes = np.vstack(clouds), np.array([len(rows) for rows in clouds])
        dist = require("ot").dist
        across, within, among = dist(X, q), dist(X), dist(q)
        entropy = epsilon * float(np.median(across))
        if not entropy > 0:
            raise InputError(
                "half of all documents are at no distance from the target: they are the same text "
                "or their embeddings say nothing; leave the target's own documents out"
            )
        even = np.full(len(q), 1 / len(q))
        value, _ = _self_cost(even, among, entropy)
        owner = np.repeat(np.arange(len(clouds)), sizes)
        return cls(tuple(points), owner, sizes, across, within, entropy, value)

    def at(self, p: ArrayLike) -> Distance:
        """The distance of a mixture p (m,), and how it changes with the shares."""
        shares = np.asarray(p, dtype=float)
        a = shares[self.owner] / self.sizes[self.owner]
        there = a > 0
        b = np.full(self.across.shape[1], 1 / self.across.shape[1])
        f, g = _duals(a[there], b, self.across[there], self.entropy)
        half, h = _self_cost(a[there], self.within[np.ix_(there, there)], self.entropy)
        points = np.full(len(a), np.nan)
        points[there] = f - h
        potentials = np.bincount(self.owner, weights=points) / self.sizes
        value = float(a[there] @ f + b @ g) - half - self.bias
        return Distance(value, tuple(potentials.tolist()))


def exchange_gradient(potentials: ArrayLike, p: ArrayLike) -> Array:
    """(m,) how a distance changes as one source grows at the others' expense, in proportion.

    Projektor's calibrated gradient (2307.02460): the potential of the source, less the mean of the
    others by their shares. NaN of a source that is all there is.

    >>> exchange_gradient([0.0, 1.0, 9.0], [0.5, 0.3, 0.2]).round(3).tolist()
    [-4.2, -1.571, 8.625]
    """
    f, share = np.asarray(potentials, dtype=float), np.asarray(p, dtype=float)
    others = np.divide(
        share @ f - share * f, 1 - share, out=np.full(len(f), np.nan), where=share < 1
    )
    return np.asarray(f - others)


def _checked(what: str, rows: ArrayLike, dimensions: int | None) -> Array:
    points = np.asarray(rows, dtype=float)
    if points.ndim != 2 or points.size == 0:
        raise InputError(
            f"the points of {what} have the shape {points.shape}; give (documents, dimensions)"
        )
    if dimensions is not None and points.shape[1] != dimensions:
        raise InputError(
            f"the points of {what} have {points.shape[1]} dimensions, and those of the target "
            f"{dimensions}; embed all by one model"
        )
    if not np.isfinite(points).all():
        row = int(np.argmax(~np.isfinite(points).all(axis=1)))
        raise InputError(f"point {row} of {what} has a missing or infinite value")
    return points


def _duals(a: Array, b: Array, cost: Array, entropy: float) -> tuple[Array, Array]:
    """Potentials (n,), (T,) with sum P = 1 at P = a b exp((f + g - cost) / entropy)."""
    logs = cost.max() > _UNDERFLOW * entropy
    with np.errstate(over="ignore"):  # on the way to far points; the end is finite
        _, log = require("ot").sinkhorn(
            a,
            b,
            cost,
            entropy,
            method="sinkhorn_log" if logs else "sinkhorn",
            numItermax=_STEPS,
            stopThr=_STOP,
            warn=False,
            log=True,
        )
    u, v = (log["log_u"], log["log_v"]) if logs else (np.log(log["u"]), np.log(log["v"]))
    return np.asarray(entropy * (u - np.log(a))), np.asarray(entropy * (v - np.log(b)))


def _self_cost(a: Array, cost: Array, entropy: float) -> tuple[float, Array]:
    """Half of OT(a, a), and its potentials (n,), which are the same on both sides.

    By the symmetric iteration, a few dozen steps (Feydy et al., 1810.08278, 3.1): POT alternates
    sides, and had not settled after 5,000 where points are far apart.
    """
    kernel, u = np.exp(-cost / entropy), a
    for _ in range(_STEPS):
        across = kernel @ u
        if np.abs(u * across - a).sum() < _STOP:
            break
        u = np.sqrt(u * a / across)
    f = entropy * np.log(u / a)
    return float(a @ f), np.asarray(f)
