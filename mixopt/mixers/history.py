"""What a run drew and what its mixer saw, over time, in a number of points that does not grow.

Notation:
    m domains, n targets
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixopt.mixers.base import Measured, Segment, Setup, array, numbers
from mixopt.runs.signals import SIGNALS
from mixopt.space.simplex import Array

MOST_POINTS = 128
"""Beyond it neighbours are joined two by two, and later points are as long as they then are."""
_MOST_NUMBERS = 20_000  # of a record, that goes into tags of a tracker
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Point:
    """A stretch of a run.

    Attributes:
        steps: of it. drawn: (m,) tokens.
        values: signal to (2, m) or (2, n): sums over its looks, and how many gave a number. Of a
            signal with two axes, the mean over the second one.
    """

    steps: int
    drawn: Array
    values: Mapping[str, Array]

    def joined(self, other: "Point") -> "Point":
        """This stretch and the next one as one."""
        values = dict(self.values)
        for name, given in other.values.items():
            values[name] = values[name] + given if name in values else given
        return Point(self.steps + other.steps, self.drawn + other.drawn, values)


@dataclass(frozen=True, eq=False)
class History:
    """Tokens and signals of a run by stretches of it; branches, which are thrown away, left out.

    Attributes:
        points: in order. span: steps that a point is filled up to.
    """

    points: tuple[Point, ...] = ()
    span: int = 1

    def after(self, segment: Segment, measured: Measured) -> "History":
        """With a segment more."""
        if segment.branch:
            return self
        values = {
            name: _looked(np.asarray(given, dtype=float))
            for name, given in measured.values.items()
            if name in segment.measure and name != "gate_load"  # shares: their mean says nothing
        }
        point = Point(segment.steps, np.array(measured.tokens), values)
        if self.points and self.points[-1].steps + point.steps <= self.span:
            return replace(self, points=(*self.points[:-1], self.points[-1].joined(point)))
        longer = History((*self.points, point), self.span)
        return longer.halved() if len(longer.points) > MOST_POINTS else longer

    def halved(self) -> "History":
        """With neighbours joined two by two."""
        ahead, behind = self.points[::2], self.points[1::2]
        points = [a.joined(b) for a, b in zip(ahead, behind, strict=False)]
        span = max((point.steps for point in points), default=self.span)
        return History((*points, *ahead[len(points) :]), max(self.span, span))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, from which the rest of a run goes on to the bit."""
        points = [
            {
                "steps": point.steps,
                "drawn": point.drawn.tolist(),
                "values": {name: numbers(kept) for name, kept in point.values.items()},
            }
            for point in self.points
        ]
        return {"span": self.span, "points": points}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "History":
        """What `to_dict` wrote."""
        points = [
            Point(
                point["steps"],
                np.array(point["drawn"]),
                {name: array(kept) for name, kept in point["values"].items()},
            )
            for point in saved["points"]
        ]
        return cls(tuple(points), saved["span"])


@dataclass(frozen=True, eq=False)
class Told:
    """A history by name, as records hold it.

    Attributes:
        tokens: of the run at the end of each point.
        drawn: domain to its share of the tokens of each point.
        signals: signal to domain or target to its mean in each point; NaN: not observed.
    """

    tokens: tuple[int, ...]
    drawn: Mapping[str, tuple[float, ...]]
    signals: Mapping[str, Mapping[str, tuple[float, ...]]]

    @classmethod
    def of(cls, history: History, setup: Setup) -> "Told":
        """The history of a run, with fewer points where domains are many."""
        signals = sorted({name for point in history.points for name in point.values})
        names = {name: _names(name, setup) for name in signals}
        width = setup.space.dim + sum(map(len, names.values()))
        while len(history.points) * width > _MOST_NUMBERS and len(history.points) > 2:
            history = history.halved()
        ends = np.cumsum([point.drawn.sum() for point in history.points]).tolist()
        # a look before the first step, or where nothing was drawn, has no shares
        drawn = [_ratio(point.drawn, point.drawn.sum()) for point in history.points]
        rows = {
            name: [
                _ratio(*point.values[name]) if name in point.values else np.full(len(of), np.nan)
                for point in history.points
            ]
            for name, of in names.items()
        }
        return cls(
            tuple(map(round, ends)),
            _columns(setup.space.names, drawn),
            {name: _columns(names[name], row) for name, row in rows.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, rounded to 6 digits: what was used is in the state."""
        signals = {
            signal: {name: _rounded(column) for name, column in columns.items()}
            for signal, columns in self.signals.items()
        }
        drawn = {name: _rounded(column) for name, column in self.drawn.items()}
        return {"tokens": list(self.tokens), "drawn": drawn, "signals": signals}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Told":
        """What `to_dict` wrote."""
        signals = {
            signal: {name: _read(column) for name, column in columns.items()}
            for signal, columns in kept["signals"].items()
        }
        drawn = {name: _read(column) for name, column in kept["drawn"].items()}
        return cls(tuple(kept["tokens"]), drawn, signals)


def _looked(values: Array) -> Array:
    """(2, k): numbers, and where there are any."""
    if values.ndim > 1:
        there = np.isfinite(values)
        values = _ratio(np.where(there, values, 0.0).sum(1), there.sum(1))
    there = np.isfinite(values)
    return np.array([np.where(there, values, 0.0), there.astype(float)])


def _ratio(sums: Array, counts: Any) -> Array:
    blank = np.full(len(sums), np.nan)
    return np.asarray(np.divide(sums, counts, out=blank, where=np.asarray(counts) > 0))


def _names(signal: str, setup: Setup) -> tuple[str, ...]:
    return setup.targets if SIGNALS[signal].axes[0] == "n" else setup.space.names


def _columns(names: Sequence[str], rows: Sequence[Array]) -> dict[str, tuple[float, ...]]:
    table = np.array(rows).reshape(len(rows), len(names))
    return {name: tuple(table[:, i].tolist()) for i, name in enumerate(names)}


def _rounded(column: Sequence[float]) -> list[float | None]:
    return [float(f"{x:.{_DIGITS}g}") if np.isfinite(x) else None for x in column]


def _read(column: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(np.nan if x is None else float(x) for x in column)
