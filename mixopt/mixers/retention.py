"""Data Mixing Laws inside a run: the largest share of new data that forgets nothing (2403.16952).

    L_old(r) = c + k exp(t r);   r* = ln((limit - c) / k) / t

Notation:
    r: share of the new domains; L_old: loss of the guarded target after a short branch
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.mixers.base import Needs, Segment, Setup, State
from mixopt.mixers.periodic import Learned, Periodic, Seen
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Retention(Periodic):
    """Data Mixing Laws in continual training (2403.16952), with the law fitted anew each round.

    Branches with several shares of the new domains give the law of the guarded target's loss; the
    round draws by the largest share that leaves it at its loss before the run, plus `slack`: all of
    it where nothing is forgotten.

    Departs from the paper: it fits the law once, to whole runs; the refit from the last state is
    the dynamic use that it proposes.

    Args:
        new: domains that are added; inside them and inside the others, shares stay as at the start.
        guard: target that may not get worse; the weighted mean of all targets by default.
        every: steps of a round.
        probe_steps: of each branch.
        shares: of the new domains in the branches, at least 3.
        slack: what the guarded loss may rise by, in its unit.
    """

    new: tuple[str, ...] | list[str]
    guard: str | None = None
    every: Annotated[int, Within(1)] = 500
    probe_steps: Annotated[int, Within(1)] = 50
    shares: tuple[float, ...] | list[float] = (0.0, 0.25, 0.5, 1.0)
    slack: Annotated[float, Within(0.0)] = 0.0

    name: ClassVar[str] = "dml"

    def needs(self) -> Needs:
        """Held-out losses, in branches."""
        return Needs(frozenset({"heldout"}), self.every, branches=True)

    def begin(self, setup: Setup) -> Learned:
        """Where the run starts.

        Raises:
            InputError: unknown domains or guard, nothing old, or too few shares.
        """
        new = setup.space.index(self.new)
        if not new or len(new) == setup.space.dim:
            raise InputError("new names no domain, or all of them; name those that are added")
        if self.guard is not None and self.guard not in setup.targets:
            raise InputError(
                f"guard is {self.guard!r}, no target; {did_you_mean(self.guard, setup.targets)}"
            )
        if len(set(self.shares)) < 3 or not all(0.0 <= s <= 1.0 for s in self.shares):
            raise InputError(f"shares are {list(self.shares)}; give 3 or more, each from 0 to 1")
        return Learned(np.array(setup.start), {})

    def opening(self, setup: Setup, state: State) -> tuple[Segment, ...]:
        """A look, for the loss that is to be kept."""
        return (self.segment(setup, state, 0),)

    def segments(self, setup: Setup, state: State, steps: int) -> tuple[Segment, ...]:
        """Branches in odd periods; in even ones the round that they decided upon."""
        if state.period % 2 == 0:
            return (self.segment(setup, state, steps, frozenset()),)
        rows = [self._mixture(setup, share) for share in self.shares]
        return tuple(
            self.segment(setup, state, self.probe_steps, weights=row, branch=True) for row in rows
        )

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """The share of the new domains in the next round."""
        counts = np.array(setup.target_weights)
        if self.guard is not None:
            counts = np.array([float(target == self.guard) for target in setup.targets])
        losses = np.array([float(counts @ s.values["heldout"]) for s in seen])
        if "limit" not in state.memory:
            return Learned(np.array(state.weights), {"limit": losses[:1] + self.slack})
        new = setup.space.index(self.new)
        drawn = np.array([np.array(s.segment.sampling)[new].sum() for s in seen])
        share = largest_share(drawn, losses, float(state.memory["limit"][0]))
        return Learned(self._mixture(setup, share), state.memory)

    def _mixture(self, setup: Setup, share: float) -> Array:
        q, new = np.array(setup.start), np.zeros(setup.space.dim, dtype=bool)
        new[setup.space.index(self.new)] = True
        w = np.zeros(len(q))
        for part, of in ((new, share), (~new, 1.0 - share)):
            inside = q[part] if q[part].sum() > 0 else np.ones(int(part.sum()))
            w[part] = of * inside / inside.sum()
        return w


def largest_share(shares: Array, losses: Array, limit: float) -> float:
    """r*: the largest share within [0, 1] at which the law is not above the limit.

    Args:
        shares: (p,) of the branches.
        losses: (p,) of the guarded target after them.
        limit: that the loss may reach.
    """
    c, k, t = fit_law(shares, losses)
    if k * np.exp(t) + c <= limit:
        return 1.0
    if k + c >= limit or k <= 0 or t <= 0:
        return 0.0
    return critical_share(c, k, t, limit)


def critical_share(c: float, k: float, t: float, limit: float) -> float:
    """r* = ln((limit - c) / k) / t, within [0, 1].

    >>> round(critical_share(1.5, 0.5, 1.2, 2.1), 6)
    0.151935
    """
    return float(np.clip(np.log((limit - c) / k) / t, 0.0, 1.0))


def fit_law(shares: Array, losses: Array) -> tuple[float, float, float]:
    """c, k and t of c + k exp(t r): for each t of a grid the other two are linear."""
    best, law = np.inf, (float(losses.mean()), 0.0, 1.0)
    mean = float(losses.mean())
    for t in np.r_[-np.geomspace(0.05, 8.0, 120)[::-1], np.geomspace(0.05, 8.0, 120)]:
        x = np.exp(t * shares)
        about = x - x.mean()
        k = float(about @ losses) / max(float(about @ about), 1e-300)
        c = mean - k * float(x.mean())
        miss = float(((c + k * x - losses) ** 2).sum())
        if miss < best:
            best, law = miss, (c, k, float(t))
    return law
