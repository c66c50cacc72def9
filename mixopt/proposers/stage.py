"""The best last stage of a run by effects that add up: a guarded linear programme.

No further from the base than was tried: the stage is the base and, in its place, at most a share x
of it other domains. In the spirit of DynaMiCS (2605.10770); the form is ours.

Notation:
    b: (m,) the base; q: (m,) how much of the tried share each domain gets, q >= 0, sum at most 1
    v = b + x sum_i q_i (e_i - b): (m,) the stage; s: its share of a run
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array


@dataclass(frozen=True, eq=False)
class Stage:
    """What a last stage may be.

    Attributes:
        space: bounds, groups and ties hold in the stage, epoch caps for the whole run.
        base: (m,) b, within the constraints.
        share: x.
        tail: s.
        tried: (m,) booleans: domains of which the effect is known.
    """

    space: MixtureSpace
    base: Array
    share: float
    tail: float
    tried: NDArray[np.bool_]

    @property
    def moves(self) -> Array:
        """(m, m) what a unit of each q does to the stage."""
        return self.share * (np.eye(len(self.base)) - self.base[:, None])

    def mixture(self, q: Array) -> Array:
        """(m,) the stage of q, on a grid of 2e-4 where the constraints leave room for that."""
        each = self.space.replace(budget=None)
        v = np.maximum(self.base + self.moves @ q, 0.0)
        v = each.sparsify(v) if self.space.min_weight > 0 else v / v.sum()
        near = each.round(v)
        whole = (1.0 - self.tail) * self.base + self.tail * near
        return near if self.space.contains(whole[None])[0] else v

    def best(self, level: Array, slope: Array, held: Array, room: Array) -> Array:
        """(m,) the q with the least max_r (level_r + slope_r q), where held q <= room.

        Args:
            level: (r,) each part of the objective at the base.
            slope: (r, m) of q; one row for a mean of metrics, one for each metric of a worst.
            held: (g, m) change of guarded metrics.
            room: (g,) by how much they may change, at least 0.
        """
        m, rows, limits = len(self.base), [held], [room]
        for A, most in self._limits():
            rows.append(A @ self.moves)
            limits.append(most - A @ self.base)
        inside = np.vstack([*rows, np.ones((1, m))])
        A_ub = np.vstack(
            [
                np.hstack([slope, -np.ones((len(level), 1))]),
                np.hstack([inside, np.zeros((len(inside), 1))]),
            ]
        )
        # the base is allowed: rounding must not make it seem otherwise
        b_ub = np.concatenate([-level, np.maximum(np.concatenate(limits), 0.0), [1.0]])
        box = [(0.0, 1.0 if tried else 0.0) for tried in self.tried]
        solution = linprog(
            np.r_[np.zeros(m), 1.0], A_ub=A_ub, b_ub=b_ub, bounds=[*box, (None, None)]
        )
        return np.zeros(m) if solution.x is None else np.asarray(np.clip(solution.x[:m], 0.0, 1.0))

    def _limits(self) -> list[tuple[Array, Array]]:
        """Rows and sides with rows @ v <= sides: the constraints of the stage and of the run."""
        each = self.space.replace(budget=None)
        unit, caps = np.eye(len(self.base)), self.space.caps
        capped = np.flatnonzero(caps < 1.0)
        # of the whole run: (1 - s) b + s v <= caps
        sides = (caps - (1.0 - self.tail) * self.base)[capped] / self.tail
        return [*((rule.rows, rule.limits) for rule in each.rules), (unit[capped], sides)]
