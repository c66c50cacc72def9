"""How firm an optimum is: the room of each share, and what holds it back.

Notation:
    w: (m,) the optimum; F: objective, lower is better; g: (m,) gradient of F along the simplex
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from mixopt.proposers.search import Score, finite_differences
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array

_MOST_NUMBERS = 4_000_000  # looked at in one call
_PAIRS = 40  # domains up to which every exchange of two is tried


@dataclass(frozen=True)
class Active:
    """A constraint that holds the recommendation back, and its price.

    Attributes:
        name: in words, e.g. `"web <= 0.7"`.
        price: fall of the objective per unit (1.0 = the whole mixture) by which it is loosened.
    """

    name: str
    price: float


def intervals(
    score: Score, space: MixtureSpace, w: Array, room: float
) -> dict[str, tuple[float, float]]:
    """Domain to the least and most share at which the score is within `room` of that at w.

    A local, cheap version of the profile: along the ray that moves a domain's share against all
    others in proportion, and (up to 40 domains) along every exchange with one other domain; the
    widest counts. It is narrower than the full profile where three domains trade together.
    """
    m = space.dim
    rays = [np.eye(m)[i] - w for i in range(m)]
    away = [w - np.eye(m)[i] for i in range(m) if w[i] > 0]
    if m <= _PAIRS:
        eye = np.eye(m)
        rays += [eye[i] - eye[j] for i in range(m) for j in range(m) if i != j and w[j] > 0]
    directions = np.array([*rays, *away])
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(directions < -1e-12, -w / directions, np.inf).min(axis=1)
    directions = directions * np.where(np.isfinite(reach), reach, 0.0)[:, None]
    steps = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 16)])
    limit = float(score(w[None])[0]) + room
    low = _furthest(score, space, w, directions, steps, limit)
    # Once more between the last step that fits and the first that does not.
    fraction = np.linspace(0.0, 1.0, 15)
    near = steps[low]
    far = steps[np.minimum(low + 1, len(steps) - 1)]
    fine = near[:, None] + (far - near)[:, None] * fraction
    last = _furthest(score, space, w, directions, fine, limit)
    at = w + fine[np.arange(len(fine)), last][:, None] * directions
    # Rounding carries a step beyond a bound by a hair; a share never is.
    reached = np.vstack([w, np.clip(at, np.minimum(space.lower, w), np.maximum(space.upper, w))])
    return {
        name: (float(reached[:, i].min()), float(reached[:, i].max()))
        for i, name in enumerate(space.names)
    }


def _furthest(
    score: Score, space: MixtureSpace, w: Array, directions: Array, steps: Array, limit: float
) -> NDArray[np.intp]:
    """Position of the last step along each direction up to which every step fits."""
    size = steps if steps.ndim == 2 else np.broadcast_to(steps, (len(directions), len(steps)))
    block = max(1, _MOST_NUMBERS // (size.shape[1] * len(w)))
    reached = []
    for i in range(0, len(directions), block):
        part = size[i : i + block]
        at = w + part[..., None] * directions[i : i + block, None, :]
        flat = np.clip(at, 0.0, None).reshape(-1, len(w))
        flat = flat / flat.sum(axis=1, keepdims=True)
        fits = (score(flat) <= limit) & space.contains(flat, 1e-6)
        reached.append(np.logical_and.accumulate(fits.reshape(part.shape), axis=1).sum(axis=1))
    return np.asarray(np.maximum(np.concatenate(reached) - 1, 0))


def active_constraints(
    score: Score,
    space: MixtureSpace,
    w: Array,
    *,
    others: Sequence[tuple[str, Array]] = (),
    tolerance: float = 1e-3,
) -> tuple[Active, ...]:
    """The constraints at their limit whose loosening would lower the score, dearest first.

    Prices are the multipliers of the optimality conditions: the gradient is written as a
    non-negative combination of the active constraints' normals (w >= 0 among them).

    Args:
        score: what is minimised.
        space: its bounds, epoch caps, groups and ties.
        w: (m,) the optimum.
        others: names and normals (m,) of further constraints at their limit (guards).
        tolerance: distance from a limit that counts as at it.
    """
    g = finite_differences(score)(w[None])[0]
    named: list[tuple[str, Array]] = list(others)
    for rule in space.rules:
        for row, limit in zip(rule.rows, rule.limits, strict=True):
            if limit - row @ w <= tolerance * max(np.abs(row).max(), 1e-12):
                named.append((rule.text, row))
    if not named:
        return ()
    zero = np.eye(space.dim)[w <= tolerance * 0.1]
    normals = np.array([row for _, row in named])
    # -g = sum lam_k a_k - sum mu_i e_i + nu 1, lam and mu >= 0, nu free
    ones = np.ones((1, space.dim))
    system = np.vstack([normals, -zero, ones, -ones]).T
    price, _ = scipy.optimize.nnls(system, -g)
    total: dict[str, float] = {}
    for (text, _), p in zip(named, price[: len(named)], strict=True):
        total[text] = total.get(text, 0.0) + float(p)
    floor = 1e-6 * max(float(np.abs(g).max()), 1e-12)
    return _dearest([Active(text, p) for text, p in total.items() if p > floor])


def _dearest(active: Sequence[Active]) -> tuple[Active, ...]:
    return tuple(sorted(active, key=lambda a: -a.price))
