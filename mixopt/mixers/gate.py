"""The gate through which every weight vector of a mixer leaves.

Whatever a method says, what is drawn keeps the bounds, groups and ties of the space; and no domain
is drawn more often than its epoch cap allows, by a bound that follows what is left of it:

    hi_i(t) = min(hi_i, (k_i N_i - used_i) / tokens that the run still has to draw)

A domain that was drawn less than its share may be drawn more later. No online method that we know
of does this; on small domains they repeat without noticing.

Notation:
    m domains; w: (m,) weights; k_i N_i: passes times unique tokens of domain i
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mixopt.space import MixtureSpace
from mixopt.space.constraints import Polytope
from mixopt.space.simplex import Array

_INSIDE = 1e-12  # weights that are allowed leave as they came
_CLOSE = 1e-9
_HALVINGS = 60


@dataclass(frozen=True, eq=False)
class Gated:
    """Weights as they may be used.

    Attributes:
        weights: (m,) within every constraint.
        moved: largest change that a constraint made to a weight.
        raised: factor on the epoch caps, above 1 where what is left of all domains together could
            not fill the run.
    """

    weights: Array
    moved: float
    raised: float


def inventory(space: MixtureSpace, tokens: int) -> Array:
    """(m,) tokens of each domain that a run may draw, by the epoch caps; inf without a cap.

    A run shorter than the budget of the space may draw the same share of the allowance.
    """
    if space.budget is None:
        return np.full(space.dim, np.inf)
    allowed = space.passes * space.tokens * (tokens / space.budget)
    return np.where(np.isfinite(allowed), allowed, np.inf)


def gate(
    space: MixtureSpace,
    weights: ArrayLike,
    tokens: int,
    used: Sequence[float] | Array,
    *,
    caps: bool = True,
) -> Gated:
    """The nearest weights (KL) that the space allows, with what is left of every domain.

    Args:
        space: bounds, groups, ties, passes and budget.
        weights: (m,) on the simplex.
        tokens: of the whole run.
        used: (m,) tokens drawn so far.
        caps: whether epoch caps count; they do not for weights of losses, which use no tokens.
    """
    w = np.asarray(weights, dtype=float)
    drawn = np.asarray(used, dtype=float)

    def held_by(factor: float) -> Polytope:
        rest = max(tokens - float(drawn.sum()), 1.0)
        allowed = inventory(space, tokens) if caps else np.full(space.dim, np.inf)
        # without the space's own caps, which are those of a run whose mixture stays the same
        bound = np.array([space.bounds.get(name, (0.0, 1.0))[1] for name in space.names])
        left = np.maximum(factor * allowed - drawn, 0.0) / rest
        return replace(space.polytope, upper=np.minimum(bound, left))

    # without a budget there are no caps, and the space is the same at every step
    held = space.polytope if space.budget is None else held_by(1.0)
    if held.excess(w[None])[0] <= _INSIDE:
        return Gated(w, 0.0, 1.0)
    raised = 1.0 if held.feasible else _least(lambda factor: held_by(factor).feasible)
    if raised > 1.0:
        held = held_by(raised)
    out = held.project(w[None], "kl")[0]
    return Gated(out, float(np.abs(out - w).max()), raised)


def _least(feasible: Callable[[float], bool]) -> float:
    """The smallest factor on the caps with which some mixture is allowed."""
    low, high = 1.0, 2.0
    while not feasible(high) and high < 1e12:
        low, high = high, 2.0 * high
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if feasible(middle):
            high = middle
        else:
            low = middle
        if high - low < _CLOSE * high:
            break
    return high
