"""Skill-It: a graph of what helps what, measured once, and losses as they stand (2307.14430).

Notation:
    m domains, n targets; A: (m, n) share by which training on domain i alone lowers loss k
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from mixopt.errors import InputError
from mixopt.mixers.base import Needs, Segment, Setup, State
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen, importance
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class SkillIt(Periodic):
    """Skill-It (2307.14430): w ~ exp(eta A (sum of the last losses)), from ones at each update.

    The graph is measured at the start, by m branches on one domain each, which are part of the
    method's cost; or given. A target that cannot be learnt keeps a high loss, and is rewarded.

    Departs from the paper: one look at the losses per update, not several; negative edges are 0
    (two of the authors' four graphs keep them); with constraints a branch draws the nearest mixture
    that they allow, and its edges are of that.

    Args:
        every: steps between updates; 500.
        eta: .2.
        window: looks whose losses are summed; 3.
        graph_steps: of each branch.
        graph: (m, n) rows of A in the order of domains and targets; None: measured.
        negative: keep negative edges.
        relative: divide losses by those at the start.
    """

    every: Annotated[int, Within(1)] = 500
    eta: Annotated[float, Within(0.0, open=True)] = 0.2
    window: Annotated[int, Within(1, 1000)] = 3
    graph_steps: Annotated[int, Within(1)] = 100
    graph: tuple[tuple[float, ...], ...] | list[list[float]] | None = None
    negative: bool = False
    relative: bool = False

    name: ClassVar[str] = "skill-it"

    def needs(self) -> Needs:
        """Held-out losses; branches, unless the graph is given."""
        return Needs(frozenset({"heldout"}), self.every, branches=self.graph is None)

    def begin(self, setup: Setup) -> Learned:
        """By the graph alone, where it is given.

        Raises:
            InputError: a graph of another shape.
        """
        if self.graph is None:
            return Learned(np.array(setup.start), {})
        A, shape = np.array(self.graph, dtype=float), (setup.space.dim, len(setup.targets))
        if A.shape != shape or not np.isfinite(A).all():
            raise InputError(
                f"graph has the shape {A.shape}; give {shape[0]} rows, one per domain, of "
                f"{shape[1]} finite numbers, one per target"
            )
        return self._first(setup, A)

    def opening(self, setup: Setup, state: State) -> tuple[Segment, ...]:
        """A look, and a branch on every domain alone; a look alone where losses are relative."""
        look = self.segment(setup, state, 0)
        if self.graph is not None:
            return (look,) if self.relative else ()
        alone = [
            self.segment(setup, state, self.graph_steps, weights=row, branch=True)
            for row in np.eye(setup.space.dim)
        ]
        return (look, *alone)

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """The graph, at first; then losses through it."""
        losses = [s.values["heldout"] for s in seen]
        if seen[0].segment.steps == 0:
            start = {"start": losses[0]}
            if self.graph is not None:
                return Learned(np.array(state.weights), dict(state.memory) | start)
            first = self._first(setup, graph_of(losses[0], losses[1:], negative=self.negative))
            return Learned(first.weights, dict(first.memory) | start)
        now = losses[-1]
        if self.relative:
            now = now / np.maximum(state.memory["start"], 1e-12)
        n = len(setup.targets)
        window = np.vstack([state.memory["window"].reshape(-1, n), now])[-self.window :]
        score = self.eta * state.memory["graph"] @ (importance(setup) * window.sum(axis=0))
        weights = multiplicative(np.ones(setup.space.dim), score)
        return Learned(weights, dict(state.memory) | {"window": window})

    def _first(self, setup: Setup, A: Array) -> Learned:
        weights = multiplicative(np.ones(setup.space.dim), self.eta * A @ importance(setup))
        return Learned(weights, {"graph": A, "window": np.zeros((0, len(setup.targets)))})


def graph_of(before: Array, after: Sequence[Array], *, negative: bool = False) -> Array:
    """(m, n) shares by which each branch lowered each loss.

    Args:
        before: (n,) losses at the start.
        after: m times (n,) losses after a branch on one domain.
        negative: keep what was raised; else it is 0.
    """
    fell = (before - np.array(after)) / np.maximum(np.abs(before), 1e-12)
    return np.asarray(fell if negative else np.maximum(fell, 0.0))
