"""ADO: draw by how fast each domain's scaling law says that it still learns (2410.11820).

    L_k(n) = e^{E_k} + e^{a_k} n^{-alpha_k};   slope_k = max(alpha_k, .05) (L_k - e^{E_k}) / n

Notation:
    m domains; q: (m,) prior; h: (m,) mean over time of what was drawn; p: (m,) what is drawn
    n: steps so far, or each domain's own tokens in units of steps
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from mixopt.mixers.base import Needs, Setup, State
from mixopt.mixers.periodic import Learned, Periodic, Seen
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array

_LEAST_SLOPE = 0.05
_LEAST_SHARE = 0.01
_ALPHAS = np.geomspace(1e-3, 0.8, 60)
_HUBER = 1e-3
_POINTS = 512


@dataclass(frozen=True)
class Law:
    """The laws of all domains.

    Attributes:
        floor: (m,) e^E. scale: (m,) a. exponent: (m,) alpha.
    """

    floor: Array
    scale: Array
    exponent: Array

    def loss(self, n: Array) -> Array:
        """(m,) predicted losses."""
        return np.asarray(self.floor + np.exp(self.scale) * n**-self.exponent)

    def slope(self, n: Array) -> Array:
        """(m,) how fast they fall."""
        alpha = np.maximum(self.exponent, _LEAST_SLOPE)
        return np.asarray(alpha * (self.loss(n) - self.floor) / n)


@dataclass(frozen=True)
class ADO(Periodic):
    """ADO (2410.11820), by its authors' code.

    **Its default drifts from the prior.** With credit s the fixed point is in proportion to
    (q B)^(1 / (1 - s)) where all domains count the same n (B: amplitude of the law), to
    (q B)^(1 / (2 + alpha - s)) where they count their own. At s = .5 even equal laws square the
    prior. The static optimum of the summed losses, B^(1 / (1 + alpha)), is reached from a uniform
    prior with `own_counts` and a credit of 1 alone. How far the weights are from where the run
    started is in the record.

    Departs from the paper: curves are means over `stride` steps in place of a Savitzky-Golay
    filter, at most 512 points of them, fitted by least squares with Huber weights on logs over a
    grid of alpha in place of a grid of starts; until the first fit the prior is drawn. It assumes a
    constant learning rate: a decay looks like learning.

    Args:
        every: steps between updates; 1.
        credit: exponent s of h; .5.
        own_counts: each domain counts its own tokens; False in the paper.
        warmup: steps that are not fitted; 1000.
        refit: steps between fits; 1000.
        stride: steps of which a point of the curve is the mean; 10.
    """

    every: Annotated[int, Within(1)] = 1
    credit: Annotated[float, Within(0.0, 1.0)] = 0.5
    own_counts: bool = False
    warmup: Annotated[int, Within(0)] = 1000
    refit: Annotated[int, Within(1)] = 1000
    stride: Annotated[int, Within(1)] = 10

    name: ClassVar[str] = "ado"

    def needs(self) -> Needs:
        """Training losses by domain."""
        return Needs(frozenset({"train_loss"}), self.every)

    def paces(self) -> dict[str, int]:
        """Weights follow the slopes of a fit, and stand before the first."""
        return {"every": self.every, "warmup": self.warmup, "refit": self.refit}

    def begin(self, setup: Setup) -> Learned:
        """Where the run starts: the prior."""
        m, q = setup.space.dim, np.array(setup.start)
        nothing = {"sum": np.zeros(m), "seen": np.zeros(m), "since": np.zeros(1)}
        points = {"losses": np.zeros((0, m)), "counts": np.zeros((0, m))}
        return Learned(q, {"history": q, "mean": q, **nothing, **points, "fitted": np.zeros(1)})

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """Note the losses; fit now and then; draw by the slopes."""
        n = self._counts(setup, state)
        memory = self._noted(setup, state, seen[-1].values["train_loss"], n)
        drawn, total = seen[-1].tokens, float(seen[-1].tokens.sum())
        realised = drawn / total if total > 0 else np.array(seen[-1].segment.sampling)
        if self._due(state, memory):
            memory |= {"law": fit_laws(memory["counts"], memory["losses"])}
            memory |= {"fitted": np.array([float(state.step)])}
        q = np.array(setup.start)
        if "law" not in memory:
            history = 0.9 * memory["history"] + 0.1 * realised
            return Learned(q, memory | {"history": history})
        law = Law(*memory["law"])
        d = preference(law.slope(n), q, memory["history"], self.credit)
        weights = 0.9 * memory["mean"] + 0.1 * d
        t = state.period
        memory |= {
            "mean": (1.0 - 1.0 / (t + 1)) * memory["mean"] + d / (t + 1),
            "history": 0.9 * memory["history"] + 0.1 * realised,
        }
        drift = float(np.abs(weights - q).sum() / 2.0)
        return Learned(weights, memory, (("drift from where it started (total variation)", drift),))

    def _counts(self, setup: Setup, state: State) -> Array:
        """(m,) n of each domain, at least 1."""
        if not self.own_counts:
            return np.full(setup.space.dim, float(max(state.step, 1)))
        return np.maximum(np.array(state.used) * setup.steps / setup.tokens, 1.0)

    def _noted(self, setup: Setup, state: State, losses: Array, n: Array) -> dict[str, Array]:
        """The memory with the losses of a period; a point of the curve where enough have come."""
        memory = dict(state.memory)
        ok = np.isfinite(losses)
        memory["sum"] = memory["sum"] + np.where(ok, losses, 0.0)
        memory["seen"] = memory["seen"] + ok
        memory["since"] = memory["since"] + self.every
        stride = max(self.stride, -(-setup.steps // _POINTS))
        if memory["since"][0] < stride:
            return memory
        m = setup.space.dim
        before = memory["losses"].reshape(-1, m)
        last = before[-1] if len(before) else np.full(m, np.nan)
        known = memory["seen"] > 0
        point = np.where(known, memory["sum"] / np.maximum(memory["seen"], 1.0), last)
        nothing = {"sum": np.zeros(m), "seen": np.zeros(m), "since": np.zeros(1)}
        if state.step <= self.warmup or not np.isfinite(point).all():
            return memory | nothing
        return (
            memory
            | nothing
            | {
                "losses": np.vstack([before, point]),
                "counts": np.vstack([memory["counts"].reshape(-1, m), n]),
            }
        )

    def _due(self, state: State, memory: Mapping[str, Array]) -> bool:
        enough = len(memory["losses"]) >= 8
        return enough and state.step - memory["fitted"][0] >= self.refit


def preference(slope: Array, prior: Array, history: Array, credit: float) -> Array:
    """(m,) d = N(slope q h^s), no domain of the prior below .01 before it is scaled again."""
    raw = np.maximum(slope, 0.0) * prior * np.maximum(history, 0.0) ** credit
    total = float(raw.sum())
    d = raw / total if total > 0 else prior
    d = np.where(prior > 0, np.maximum(d, _LEAST_SHARE), 0.0)
    return np.asarray(d / d.sum())


def fit_laws(counts: Array, losses: Array) -> Array:
    """(3, m) floor, scale and exponent of each domain.

    For each exponent of a grid, floor and amplitude (both not negative) are linear; a few rounds of
    weights make the squares of relative errors Huber's.

    Args:
        counts: (p, m) n.
        losses: (p, m) above 0.
    """
    fits = [_fit_law(n, y) for n, y in zip(counts.T, losses.T, strict=True)]
    return np.array(fits).T


def _fit_law(n: Array, y: Array) -> tuple[float, float, float]:
    y = np.maximum(y, 1e-6)
    best, law = np.inf, (float(y.min()), -np.inf, 0.5)
    for alpha in _ALPHAS:
        x = n**-alpha
        weight = 1.0 / y
        for _ in range(3):
            floor, amplitude = _two(x, y, weight)
            error = np.abs(floor + amplitude * x - y) / y
            weight = np.sqrt(np.minimum(1.0, _HUBER / np.maximum(error, 1e-15))) / y
        loss = np.where(error <= _HUBER, 0.5 * error**2, _HUBER * (error - 0.5 * _HUBER)).sum()
        if loss < best:
            scale = float(np.log(amplitude)) if amplitude > 0.0 else -np.inf
            best, law = float(loss), (floor, scale, float(alpha))
    return law


def _two(x: Array, y: Array, weight: Array) -> tuple[float, float]:
    """Floor and amplitude of weighted least squares, neither below 0."""
    w = weight**2
    sw, sx, sy = float(w.sum()), float(w @ x), float(w @ y)
    sxx, sxy = float(w @ x**2), float(w @ (x * y))
    det = sw * sxx - sx * sx
    amplitude = (sw * sxy - sx * sy) / det if det > 1e-300 else 0.0
    floor = (sy - amplitude * sx) / sw
    if amplitude < 0.0:
        return sy / sw, 0.0
    if floor < 0.0:
        return 0.0, sxy / max(sxx, 1e-300)
    return floor, amplitude
