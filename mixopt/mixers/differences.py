"""Finite differences: branches say what a little more of each domain would do.

The online method that uses a cluster: the branches of a period are independent of each other.

Notation:
    m domains, n targets; S: (n, m) slopes of target losses in the weights; c: (n,) their weights
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from scipy.optimize import linprog

from mixopt.errors import InputError, did_you_mean
from mixopt.mixers.base import Needs, Segment, Setup, State
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen
from mixopt.space import MixtureSpace
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Differences(Periodic):
    """Exponentiated gradient by finite differences (as in google-research's `datamix_gemma`).

    At the start of a round m + 1 branches go on from one state for `probe_steps`: by the present
    weights, and with `delta` more of each domain. Slopes d_i = (F_i - F_0) / delta, then w <- N(w
    exp(-eta d)). Branches draw the same order, so that their differences have little noise.

    With `guards` the step is a linear programme (in the spirit of DynaMiCS, 2605.10770; the form is
    ours): the change of weights, at most `radius` each and within the constraints, that lowers the
    objective most while the slopes raise no guarded target.

    Departs from the code: shares sum to 1, so a branch has (w + delta e_i) / (1 + delta); where
    constraints move it, slopes are solved for what it really was.

    Args:
        every: steps of a round.
        probe_steps: of each branch.
        delta: .05; the authors' 1e-3 needs losses without noise.
        eta: step size.
        rule: `"plain"`, `"momentum"`, `"adagrad"` or `"adam"` on the slopes.
        guards: targets that may not get worse.
        radius: see above.
    """

    every: Annotated[int, Within(1)] = 200
    probe_steps: Annotated[int, Within(1)] = 10
    delta: Annotated[float, Within(0.0, 1.0, open=True)] = 0.05
    eta: Annotated[float, Within(0.0, open=True)] = 0.5
    rule: Literal["plain", "momentum", "adagrad", "adam"] = "plain"
    guards: tuple[str, ...] | list[str] = ()
    radius: Annotated[float, Within(0.0, 1.0, open=True)] = 0.1

    name: ClassVar[str] = "fd"

    def needs(self) -> Needs:
        """Held-out losses, in branches."""
        return Needs(frozenset({"heldout"}), self.every, branches=True)

    def begin(self, setup: Setup) -> Learned:
        """Where the run starts.

        Raises:
            InputError: a guard that is no target.
        """
        for guard in self.guards:
            if guard not in setup.targets:
                raise InputError(
                    f"guards names {guard!r}, which is no target; "
                    f"{did_you_mean(guard, setup.targets)}"
                )
        nothing = np.zeros(setup.space.dim)
        return Learned(
            np.array(setup.start), {"mean": nothing, "square": nothing, "times": np.zeros(1)}
        )

    def segments(self, setup: Setup, state: State, steps: int) -> tuple[Segment, ...]:
        """Branches in even periods; in odd ones the round that they decided upon."""
        if state.period % 2:
            return (self.segment(setup, state, steps, frozenset()),)
        w = np.array(state.weights)
        more = (w + self.delta * np.eye(len(w))) / (1.0 + self.delta)
        return tuple(
            self.segment(setup, state, self.probe_steps, weights=row, branch=True)
            for row in (w, *more)
        )

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """The weights of the next round."""
        losses = np.array([s.values["heldout"] for s in seen])
        drawn = np.array([s.segment.sampling for s in seen])
        S = self.slopes(losses, drawn)
        w, c = np.array(state.weights), np.array(setup.target_weights)
        if self.guards:
            held = S[[setup.targets.index(g) for g in self.guards]]
            return Learned(w + guarded_step(setup.space, w, c @ S, held, self.radius), state.memory)
        direction, memory = self._direction(c @ S, state)
        return Learned(multiplicative(w, -self.eta * direction), memory)

    def slopes(self, losses: Array, drawn: Array) -> Array:
        """(n, m) slopes; only differences along a row count.

        Args:
            losses: (m + 1, n) after the branches, the one by the present weights first.
            drawn: (m + 1, m) mixtures of the branches.
        """
        change = (losses[1:] - losses[0]).T
        asked = (drawn[0] + self.delta * np.eye(len(drawn[0]))) / (1.0 + self.delta)
        if np.abs(drawn[1:] - asked).max() < 1e-9:
            return np.asarray(change / self.delta)
        return np.asarray(np.linalg.lstsq(drawn[1:] - drawn[0], change.T, rcond=1e-9)[0].T)

    def _direction(self, slope: Array, state: State) -> tuple[Array, dict[str, Array]]:
        memory = dict(state.memory)
        times = float(memory["times"][0]) + 1.0
        memory["times"] = np.array([times])
        if self.rule == "plain":
            return slope, memory
        if self.rule == "adagrad":
            memory["square"] = memory["square"] + slope**2
            return slope / (np.sqrt(memory["square"]) + 1e-12), memory
        memory["mean"] = 0.9 * memory["mean"] + 0.1 * slope
        if self.rule == "momentum":
            return memory["mean"], memory
        memory["square"] = 0.999 * memory["square"] + 0.001 * slope**2
        mean = memory["mean"] / (1.0 - 0.9**times)
        return mean / (np.sqrt(memory["square"] / (1.0 - 0.999**times)) + 1e-12), memory


def guarded_step(
    space: MixtureSpace, w: Array, slope: Array, guards: Array, radius: float
) -> Array:
    """(m,) the change of weights that lowers the objective most and raises no guard.

    Args:
        space: bounds and groups that w + change keeps; ties are left to the gate.
        w: (m,) the present weights.
        slope: (m,) of the objective.
        guards: (g, m) of guarded targets.
        radius: largest change of one weight.
    """
    bounds = [space.bounds.get(name, (0.0, 1.0)) for name in space.names]
    box = [
        (min(max(low - at, -radius), 0.0), max(min(high - at, radius), 0.0))
        for (low, high), at in zip(bounds, w, strict=True)
    ]
    polytope = space.polytope
    rows = [guards, polytope.A, -polytope.A]
    inside = polytope.A @ w
    limits = [
        np.zeros(len(guards)),
        np.maximum(polytope.high - inside, 0.0),
        np.maximum(inside - polytope.low, 0.0),
    ]
    solution = linprog(
        slope,
        A_ub=np.vstack(rows),
        b_ub=np.concatenate(limits),
        A_eq=np.ones((1, len(w))),
        b_eq=np.zeros(1),
        bounds=box,
    )
    change = np.zeros(len(w)) if solution.x is None else np.asarray(solution.x)
    return np.asarray(np.maximum(w + change, 0.0) - w)
