"""Runs sorted by scale, for the processes over several scales.

Runs of earlier studies stand below the smallest scale and have none of their own: they teach, and
nobody asks for predictions there.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics
    scales: (s, 2) parameters and tokens, smallest first, NaN for runs of earlier studies
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.errors import InputError
from mixopt.laws.base import JSON, Ints, Runs, check_scale, numbers
from mixopt.laws.standard import Standard
from mixopt.space.simplex import Array

Pair = tuple[float, float]


@dataclass(frozen=True, eq=False)
class ScaleRuns:
    """The runs of one scale, possibly none.

    Attributes:
        W: (n, m) mixtures. Y: (n, k) metrics, NaN where missing.
        scale: parameters and tokens; None where they are unknown, or of an earlier study.
    """

    W: Array
    Y: Array
    scale: Pair | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "W": self.W.tolist(),
            "Y": [[None if np.isnan(v) else v for v in row] for row in self.Y.tolist()],
            "scale": None if self.scale is None else list(self.scale),
        }

    @classmethod
    def read(cls, values: JSON, domains: int, metrics: int) -> "ScaleRuns":
        """What `to_dict` wrote."""
        scale = values["scale"]
        return cls(
            numbers(values["W"]).reshape(-1, domains),
            numbers(values["Y"]).reshape(-1, metrics),
            None if scale is None else (float(scale[0]), float(scale[1])),
        )


def by_scale(runs: Runs, more: Sequence[Pair] = ()) -> list[ScaleRuns]:
    """The runs of every scale apart, by parameters, then tokens.

    Args:
        runs: of any scales.
        more: scales that may have no runs yet; one that is smaller than all runs is left out, for
            there is nothing to learn the others from. Ignored where the runs do not say theirs.
    """
    if runs.scale is None:
        return [ScaleRuns(runs.W, runs.Y)]
    smallest = tuple(np.unique(runs.scale, axis=0)[0])
    wanted = [s for s in np.array(more, dtype=float).reshape(-1, 2) if tuple(s) > smallest]
    per_scale = []
    for scale in np.unique(np.vstack([runs.scale, *wanted]), axis=0):
        rows = (runs.scale == scale).all(axis=1)
        per_scale.append(ScaleRuns(runs.W[rows], runs.Y[rows], (float(scale[0]), float(scale[1]))))
    return per_scale


def check_scales(runs: Sequence[ScaleRuns], law: str) -> None:
    """Refuse scales that a process over scales cannot start from.

    Raises:
        InputError: no scale, one twice, or a smallest one that lacks mixtures or a metric.
    """
    if not runs:
        raise InputError(f"the law {law!r} was given no scale; give runs of at least one")
    known = [x.scale for x in runs if x.scale is not None]
    if len(set(known)) < len(known):
        twice = next(s for s in known if known.count(s) > 1)
        raise InputError(f"scale {twice} is given twice; put its runs into one")
    if len(runs) == 1:
        return  # the process of one scale checks its runs itself
    first, where = runs[0], f"the smallest scale {runs[0].scale or '(an earlier study)'}"
    mixtures = len(np.unique(np.round(first.W, 9), axis=0)) if len(first.W) else 0
    if mixtures < 2:
        raise InputError(
            f"{where} has runs at {mixtures} different mixtures, and every other scale is learned "
            f"from it: 2 are needed; leave its runs out, or use 'correction' in place of {law!r}"
        )
    missing = ~np.isfinite(first.Y).any(axis=0)
    if missing.any():
        raise InputError(
            f"no run of {where} has metric {int(np.argmax(missing))}, and every other scale is "
            "learned from it; leave out that metric, or the runs of that scale"
        )


def units_of(base: Standard, runs: Sequence[ScaleRuns]) -> Standard:
    """The units of the smallest scale; where a metric is flat there, those of the scales above.

    A benchmark that small models all fail does not vary at the smallest scale and does above it.
    """
    if not base.flat.any() or len(runs) == 1:
        return base
    off = np.vstack([x.Y - base.center for x in runs[1:]])
    seen = np.isfinite(off)
    squares = np.where(seen, off, 0.0) ** 2
    size = np.sqrt(squares.sum(axis=0) / np.maximum(seen.sum(axis=0), 1))
    tiny = size <= 1e-12 * np.maximum(np.abs(base.center), 1e-300)
    above = np.where(tiny, 0.0, size)
    return Standard(base.center, np.where(base.flat, above, base.spread))


def scales_of(runs: Sequence[ScaleRuns]) -> Array:
    """(s, 2) parameters and tokens, NaN where there are none."""
    return np.array([(np.nan, np.nan) if x.scale is None else x.scale for x in runs], dtype=float)


def asked(scales: Array, scale: Array | None, rows: int, law: str) -> Ints:
    """(rows,) number of the scale that each row asks for: the largest without one.

    Runs whose scale nobody stated are one scale, and any is taken for it.

    Raises:
        InputError: a scale that the process does not hold; the known ones are listed.
    """
    wanted = check_scale(scale, rows)
    if wanted is None or np.isnan(scales).all():
        return np.full(rows, len(scales) - 1)
    with np.errstate(invalid="ignore"):
        away = np.abs(np.log(wanted[:, None] / scales)).max(axis=2)
    near = np.where(np.isnan(away), np.inf, away)
    number = near.argmin(axis=1)
    far = near[np.arange(rows), number] > 1e-6
    if far.any():
        n, d = wanted[int(np.argmax(far))]
        known = ", ".join(f"{a:g} x {b:g}" for a, b in scales if np.isfinite(a))
        raise InputError(
            f"the law {law!r} knows the scales {known} (parameters x tokens), not {n:g} x {d:g}; "
            "give runs of that scale, name it in the law's `scales`, or use 'stacking', which "
            "continues to scales without runs"
        )
    return np.asarray(number, dtype=np.intp)
