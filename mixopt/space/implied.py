"""How much room rows leave, and what they force together, by linear programmes.

Interior points need a point strictly inside. Rows can each leave room and together leave none: an
equation that only the corner of an inequality satisfies. `tighten` looks at one row at a time and
comes close to such a corner without reaching it.
"""

import numpy as np
import scipy

from mixopt.space.rows import Rows
from mixopt.space.simplex import Array

_NO_ROOM = 1e-9
_TOLERANCE = 1e-10  # by how much linear programmes may break a row


def _roomiest(rows: Rows) -> tuple[Array, float]:
    """(m,) a point whose smallest slack, of bounds and rows, is the largest; and that slack.

    Coordinates and rows without room (equal sides) count for nothing. Of an empty set: the lower
    bounds, with slack 0.
    """
    room = rows.upper > rows.lower
    slack = rows.high > rows.low
    # maximise t: u_i - t >= lower, u_i + t <= upper, B u -+ t within the sides, t on free ones
    m = rows.B.shape[1]
    eye = np.eye(m)[room]
    ones = np.ones((len(eye), 1))
    B, side = rows.B[slack], np.ones((int(slack.sum()), 1))
    upper_rows = np.vstack(
        [
            np.hstack([-eye, ones]),
            np.hstack([eye, ones]),
            np.hstack([-B, side]),
            np.hstack([B, side]),
        ]
    )
    limits = np.concatenate(
        [-rows.lower[room], rows.upper[room], -rows.low[slack], rows.high[slack]]
    )
    solution = scipy.optimize.linprog(
        np.r_[np.zeros(m), -1.0],
        A_ub=upper_rows,
        b_ub=limits,
        A_eq=np.hstack([rows.B[~slack], np.zeros((int((~slack).sum()), 1))]),
        b_eq=rows.low[~slack],
        bounds=[*zip(rows.lower, rows.upper, strict=True), (0.0, 1.0)],
        options={"primal_feasibility_tolerance": _TOLERANCE},
    )
    if solution.x is None:
        return rows.lower, 0.0
    return solution.x[:m], float(solution.x[m])


def inside(rows: Rows) -> tuple[Rows, Array]:
    """The same set with what can take one value only held at it, and a point (m,) well inside."""
    x, room = _roomiest(rows)
    if room >= _NO_ROOM:
        return rows, x
    rows = _held(rows)
    return rows, _roomiest(rows)[0]


def _held(rows: Rows) -> Rows:
    """The same set, in which whatever can take one value only is held at it.

    Two small linear programmes per weight and per inequality, so that this is for the few sets
    where projecting comes to no end without it.
    """
    m = rows.B.shape[1]
    lowest, highest = _range(np.eye(m), rows)
    fixed = highest - lowest < _NO_ROOM
    value = np.clip(0.5 * (lowest + highest), rows.lower, rows.upper)
    lower, upper = np.where(fixed, value, rows.lower), np.where(fixed, value, rows.upper)
    least, most = _range(rows.B, rows)
    forced = (most - least < _NO_ROOM) & (rows.high > rows.low)
    side = np.clip(0.5 * (least + most), rows.low, rows.high)
    low, high = np.where(forced, side, rows.low), np.where(forced, side, rows.high)
    return Rows(lower, upper, rows.B, low, high)


def least(direction: Array, rows: Rows, *, tolerance: float = _TOLERANCE) -> Array | None:
    """(m,) the point of the set where `direction @ x` is least; None where the set is empty.

    Args:
        direction: (m,) what is minimised.
        rows: the set.
        tolerance: by how much a row may be broken.
    """
    slack = rows.high > rows.low
    B = rows.B[slack]
    solution = scipy.optimize.linprog(
        direction,
        A_ub=np.vstack([B, -B]),
        b_ub=np.concatenate([rows.high[slack], -rows.low[slack]]),
        A_eq=rows.B[~slack],
        b_eq=rows.low[~slack],
        bounds=list(zip(rows.lower, np.maximum(rows.upper, rows.lower), strict=True)),
        options={"primal_feasibility_tolerance": tolerance},
    )
    return solution.x if solution.status == 0 else None


def _range(directions: Array, rows: Rows) -> tuple[Array, Array]:
    """(k,) least and most of each of the directions (k, m) over the set; NaN where it is empty."""
    ends = np.full((2, len(directions)), np.nan)
    for end, sign in zip(ends, (1.0, -1.0), strict=True):
        for j, direction in enumerate(directions):
            x = least(sign * direction, rows)
            if x is not None:
                end[j] = direction @ x
    return ends[0], ends[1]
