"""What predictions may say at a scale, by the scales that runs were trained at.

A law of one scale knows nothing of the level of metrics at another; what carries over, where
anything does, is how mixtures are ranked. Runs of two scales and more show how levels go from one
to the next, along the line (or in the plane) that they span in log parameters and log tokens.

Notation:
    seen: (r, 2) parameters and tokens; log(asked) = mean + c S + rest, S the span of log(seen)
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixopt.runs.run_spec import Scale
from mixopt.space.short import short_number
from mixopt.space.simplex import Array

Level = Literal["seen", "extrapolated", "ranking only"]
_SAME = 1e-6  # of log sizes: the scale is one that ran
_OFF = 0.5  # of log sizes: what is further beside the span than a factor of 1.6 is not on it


@dataclass(frozen=True)
class Reach:
    """A scale that predictions are asked for, and what they may say there.

    Attributes:
        asked: parameters and tokens.
        seen: those of the runs, the smallest first; none where the runs state no scale.
    """

    asked: tuple[float, float]
    seen: tuple[tuple[float, float], ...]

    @classmethod
    def to(cls, asked: Scale, scales: Array) -> "Reach":
        """From the scales (n, 2) of runs to one that is asked for; rows with NaN state none."""
        return cls(asked.sizes, seen_scales(scales))

    @property
    def level(self) -> Level:
        """Whether a run was trained there; else whether levels can be continued to it."""
        if not self.seen:
            return "ranking only"
        logs, asked = np.log(np.array(self.seen)), np.log(np.array(self.asked))
        if np.abs(logs - asked).max(axis=1).min() <= _SAME:
            return "seen"
        span = logs[1:] - logs[0]
        if not len(span):
            return "ranking only"
        off = asked - logs[0]
        shares = np.linalg.lstsq(span.T, off, rcond=None)[0]
        rest = off - shares @ span
        return "extrapolated" if np.abs(rest).max() <= _OFF else "ranking only"

    @property
    def levels(self) -> bool:
        """Whether predictions there have levels and intervals."""
        return self.level != "ranking only"

    @property
    def where(self) -> str:
        """The scale in words."""
        return named(self.asked)

    @property
    def line(self) -> str:
        """In plain words; empty where runs were trained at the scale."""
        level, here = self.level, self.where
        if level == "seen":
            return ""
        if level == "ranking only":
            return (
                f"ranking only: no run was trained at {here}, and {self._why()}; no value and no "
                "interval is given, and a few runs at that scale would tell them"
            )
        return f"no run was trained at {here}: levels are {self._how_far()}"

    def _why(self) -> str:
        if not self.seen:
            return "the runs state no scale"
        if len(self.seen) == 1:
            return f"runs of one scale ({named(self.seen[0])}) tell no level of another"
        ends = f"{named(self.seen[0])} to {named(self.seen[-1])}"
        return f"the {len(self.seen)} scales that ran ({ends}) do not lead there"

    def _how_far(self) -> str:
        sizes, parts = np.array(self.seen), []
        for i, noun in enumerate(("parameters", "tokens")):
            least, most, at = sizes[:, i].min(), sizes[:, i].max(), self.asked[i]
            if at > most * (1 + _SAME):
                parts.append(f"{_times(at / most)} the {noun} of the largest")
            elif at < least / (1 + _SAME):
                parts.append(f"{_times(least / at)} fewer {noun} than the smallest")
        if not parts:
            return f"read between the {len(self.seen)} scales that ran"
        span = " and ".join(
            f"{_times(sizes[:, i].max() / sizes[:, i].min())} in {noun}"
            for i, noun in enumerate(("parameters", "tokens"))
            if sizes[:, i].max() > sizes[:, i].min()
        )
        return (
            f"continued from {len(self.seen)} scales, to {' and '.join(parts)}; what ran spans "
            f"{span}"
        )


def seen_scales(scales: Array) -> tuple[tuple[float, float], ...]:
    """The different scales among (n, 2), the smallest first; rows with NaN state none."""
    known = np.unique(scales[np.isfinite(scales).all(axis=1)], axis=0)
    return tuple(sorted(((float(n), float(d)) for n, d in known), key=lambda s: s[0] * s[1]))


def named(scale: tuple[float, float]) -> str:
    """`"1B params x 25B tokens"`."""
    return f"{short_number(scale[0])} params x {short_number(scale[1])} tokens"


def _times(ratio: float) -> str:
    return f"{ratio:.2g}x" if ratio < 100 else f"{short_number(round(ratio))}x"
