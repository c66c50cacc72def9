"""From where on the learning curves of a study's runs foretell their ends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixopt.diagnostics.curve_levels import FOLLOWING, LEAST, CurveLevels, curve_levels
from mixopt.runs import Observation, Scale
from mixopt.runs.objective import Objective

LEAST_POINTS = LEAST + 2
"""Points of a curve, its end included, from which on it is looked at: two forecasts of the end."""
_WHOLE = LEAST + FOLLOWING + 1  # points without which no working level can be reached
_RUNS = 4  # of a scale whose ends differ by something
_PART = 0.5  # of the sd of ends: a forecast that misses by more cannot rank runs
_MOST = 100  # curves that are looked at, from the first to the last
_ALONE = 0.01  # of the value, where there are too few runs to say how they differ


@dataclass(frozen=True)
class Foretelling:
    """What the curves of one scale say; shares are of the tokens of a run.

    Attributes:
        scale: of the runs.
        curves: how many were looked at; `left` were not, since these tell as much.
        points: median of their points, the end included.
        tolerance: by how much a forecast may miss the end, in the unit of the objective.
        compared: whether that is half the sd of the ends over runs; else it is 1 % of the end.
        foretold: curves whose end was forecast right from some point before it on.
        share: median share from which on, over curves that were foretold.
        most: 90 % of the curves are foretold from there on; NaN where fewer are.
        predicted: curves that reached the prediction level.
        level: median share of that.
        error: median miss of the forecasts made there.
    """

    scale: Scale
    curves: int
    points: int
    tolerance: float
    compared: bool
    foretold: int
    share: float
    most: float
    predicted: int
    level: float
    error: float
    left: int = 0

    def lines(self) -> list[str]:
        """In plain words."""
        within = f"within {self.tolerance:.2g}"
        within += " (half the sd over runs)" if self.compared else " (1 %)"
        of = f"{self.foretold} of {self.curves} learning curves"
        if not self.foretold:
            told = [
                f"none of {self.curves} learning curves foretells its end {within} before it: no "
                "run may be stopped on the word of its curve"
            ]
        else:
            most = f", 90 % of them from {_percent(self.most)} on" if self.most < 1 else ""
            told = [
                f"{of} foretell their end {within}, half of those from {_percent(self.share)} of a "
                f"run on{most}"
            ]
        if self.points < _WHOLE:
            told.append(
                f"a prediction level takes {_WHOLE} points a curve, and these have {self.points}"
            )
        elif self.predicted:
            right = "which was right" if self.error <= self.tolerance else "which was too early"
            told.append(
                f"{self.predicted} of {self.curves} reach the prediction level, at "
                f"{_percent(self.level)} of a run, and miss their end by {self.error:.2g} there, "
                f"{right}"
            )
        else:
            told.append("none reaches the prediction level: asymptotes move to the end")
        if self.left:
            told.append(f"{self.left} more curves were not looked at, every few of all were")
        return told

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a missing number is None."""
        scale = {"params": self.scale.params, "tokens": self.scale.tokens}
        values = {k: v for k, v in vars(self).items() if k != "scale"}
        plain = {
            k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()
        }
        return {"scale": scale, **plain}


def foretelling(observations: Sequence[Observation], objective: Objective) -> Foretelling | None:
    """What the curves of the objective say, at the scale that has most of them.

    Args:
        observations: runs, failed ones included.
        objective: whose curve is looked at.

    Returns:
        None where no run has five points, its end included.
    """
    ends = [o for o in observations if o.ok]
    judge = _plain(objective, ends)
    lines: dict[Scale, list[tuple[list[int], list[float]]]] = {}
    for run in ends:
        tokens, values = _line(run, judge)
        if len(tokens) >= LEAST_POINTS:
            lines.setdefault(run.spec.scale, []).append((tokens, values))
    if not lines:
        return None
    scale = max(lines, key=lambda s: (len(lines[s]), s))
    every = lines[scale]
    rows = np.unique(np.linspace(0, len(every) - 1, min(len(every), _MOST)).round().astype(int))
    told = _told(scale, [every[i] for i in rows], -np.inf if objective.maximize else 0.0)
    return replace(told, left=len(every) - len(rows))


def too_short(observations: Sequence[Observation]) -> str:
    """Why curves say nothing; empty where they do, or where there are none."""
    most = max((len(o.curve) + 1 for o in observations if o.ok and o.curve), default=0)
    if not 0 < most < LEAST_POINTS:
        return ""
    return (
        f"learning curves have {most} points at most, and {LEAST_POINTS} are needed to say from "
        "where on they foretell their end (curve_points of the language model)"
    )


def _told(
    scale: Scale, lines: Sequence[tuple[list[int], list[float]]], bound: float
) -> Foretelling:
    last = np.array([values[-1] for _, values in lines])
    spread = float(np.std(last, ddof=1)) if len(last) >= _RUNS else 0.0
    compared = spread > 0
    tolerance = _PART * spread if compared else _ALONE * max(float(np.median(np.abs(last))), 1e-9)
    every: list[CurveLevels] = [
        curve_levels(tokens, values, slope=tolerance, tolerance=tolerance, bound=bound)
        for tokens, values in lines
    ]
    shares = np.array([c.share(c.foretold) for c in every])
    levels = np.array([c.share(c.prediction) for c in every])
    errors = np.array([c.error for c in every])
    return Foretelling(
        scale,
        len(every),
        int(np.median([len(tokens) for tokens, _ in lines])),
        tolerance,
        compared,
        int(np.isfinite(shares).sum()),
        _median(shares),
        float(np.quantile(np.where(np.isfinite(shares), shares, np.inf), 0.9, method="higher")),
        int(np.isfinite(levels).sum()),
        _median(levels),
        _median(errors),
    )


def _plain(objective: Objective, ends: Sequence[Observation]) -> Objective:
    """Without a unit that changes as runs come in."""
    if not objective.standardize:
        return objective
    names = objective.needed
    rows = [[o.metrics.get(k, np.nan) for k in names] for o in ends]
    if not rows:
        return replace(objective, standardize=False)
    return objective.standardized(np.array(rows), names)


def _line(run: Observation, objective: Objective) -> tuple[list[int], list[float]]:
    """Tokens and objective of a run's points, its end included; those without it left out."""
    names = objective.needed
    points = {p.tokens: p.metrics for p in run.curve if p.tokens < run.spec.scale.tokens}
    points[run.spec.scale.tokens] = run.metrics
    rows = np.array([[m.get(k, np.nan) for k in names] for m in points.values()], dtype=float)
    values = objective.value(rows, names)
    kept = [(t, float(v)) for t, v in sorted(zip(points, values, strict=True)) if np.isfinite(v)]
    return [t for t, _ in kept], [v for _, v in kept]


def _median(values: np.ndarray) -> float:
    seen = values[np.isfinite(values)]
    return float(np.median(seen)) if len(seen) else float("nan")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
