"""Reading the metrics that an external command writes, while it writes them.

A JSON file holds one object, which may be replaced while the command runs. A JSON Lines file grows
by one object a line; objects may each hold a part of the metrics (a line per evaluation set, say):
those with the same token count belong together, and lines without any metric are passed over.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixopt.runs import Point

FINAL_SHARE = 0.9
"""Metrics are final from this share of the run's tokens on: trainers round to whole batches."""

_READ_BYTES, _LINE_BYTES = 1_000_000, 50_000_000
_NAMES = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf}


class MetricsFile:
    """The metrics file of one run.

    Args:
        path: where the command writes it; `.jsonl` or `.ndjson` means JSON Lines.
        keys: metric name to its key in the file: a key as it stands, or a path through nested
            objects joined by dots.
        tokens_key: key of the training tokens that metrics belong to.
        budget: training tokens of the whole run.
    """

    def __init__(self, path: Path, keys: Mapping[str, str], tokens_key: str, budget: int) -> None:
        self._path, self._keys, self._tokens_key = path, dict(keys), tokens_key
        self._budget = budget
        self._lines = path.suffix in {".jsonl", ".ndjson"}
        self._offset, self._rest = 0, b""
        self._by_tokens: dict[int | None, dict[str, float]] = {}
        self._given: set[int] = set()
        self._complaint, self.bad_lines = "", 0
        self.info: dict[str, Any] = {}

    def new_points(self) -> list[Point]:
        """Points of the curve that are complete and have not been given yet."""
        self._read(last=False)
        fresh = [t for t in self._complete() if 0 < t < self._budget and t not in self._given]
        self._given.update(fresh)
        return [Point(t, self._by_tokens[t]) for t in fresh if _finite(self._by_tokens[t])]

    def curve(self) -> tuple[Point, ...]:
        """All points before the last, by increasing tokens."""
        tokens = self._complete()
        final = tokens[-1] if tokens and self._by_tokens.get(None) is None else self._budget
        return tuple(
            Point(t, self._by_tokens[t])
            for t in tokens
            if 0 < t < final and _finite(self._by_tokens[t])
        )

    def final(self) -> tuple[dict[str, float], str]:
        """The metrics at the end, and "" or why there are none. To be called after the command."""
        self._read(last=True)
        whole = self._by_tokens.get(None, {})
        if len(whole) == len(self._keys):
            return whole, ""
        tokens = self._complete()
        if not tokens:
            return {}, self._why_none()
        if tokens[-1] < FINAL_SHARE * self._budget:
            return {}, (
                f"the last complete metrics in {self._path} belong to {tokens[-1]} of "
                f"{self._budget} tokens; the command must score the model at the end"
                + self._complaint
            )
        return self._by_tokens[tokens[-1]], ""

    @property
    def tokens(self) -> int:
        """Training tokens of the last complete point, 0 if there is none."""
        return max([*self._complete(), 0])

    def _complete(self) -> list[int]:
        counts = [t for t, metrics in self._by_tokens.items() if len(metrics) == len(self._keys)]
        return sorted(t for t in counts if t is not None)

    def _why_none(self) -> str:
        if not self._path.is_file():
            return f"the command wrote no metrics: there is no {self._path}"
        seen = set().union(*self._by_tokens.values()) if self._by_tokens else set()
        missing = [k for name, k in self._keys.items() if name not in seen]
        if not missing:
            return (
                f"the metrics in {self._path} never stand together: no value of "
                f"{self._tokens_key!r} has all of {', '.join(self._keys.values())}"
            )
        shown = ", ".join(repr(k) for k in missing[:5])
        return f"{self._path} has no number under {shown}{self._complaint}"

    def _complain(self, what: str) -> None:
        self.bad_lines += 1
        self._complaint = self._complaint or f"; {what}"

    def _read(self, *, last: bool) -> None:
        try:
            if self._lines:
                self._read_lines(last=last)
            elif self._path.is_file():
                self._read_object(last=last)
        except OSError as error:
            self._complain(f"it cannot be read: {error}")

    def _read_lines(self, *, last: bool) -> None:
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            if file.seek(0, 2) < self._offset:  # written anew
                self._offset, self._rest = 0, b""
            file.seek(self._offset)
            while data := file.read(_READ_BYTES):
                self._offset += len(data)
                *lines, self._rest = (self._rest + data).split(b"\n")
                self._take_lines(lines)
                if len(self._rest) > _LINE_BYTES:
                    self._complain(f"a line is longer than {_LINE_BYTES} bytes")
                    self._rest = b""
        if last:
            self._take_lines([self._rest])

    def _take_lines(self, lines: list[bytes]) -> None:
        for line in lines:
            if line.strip():
                self._take(line, complain=True)

    def _read_object(self, *, last: bool) -> None:
        with self._path.open("rb") as file:
            self._take(file.read(_LINE_BYTES), complain=last)

    def _take(self, text: bytes, *, complain: bool) -> None:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            if complain:  # a file that is being replaced may be half there
                start = text[:80].decode(errors="replace")
                self._complain(f"{start!r} is no JSON object")
            return
        numbers = {name: _number(_look_up(values, key)) for name, key in self._keys.items()}
        known = {name: value for name, value in numbers.items() if value is not None}
        if known:
            tokens = _number(_look_up(values, self._tokens_key))
            at = int(tokens) if tokens is not None and math.isfinite(tokens) else None
            self._by_tokens.setdefault(at, {}).update(known)


def _look_up(values: Mapping[str, Any], key: str) -> Any:
    """The value of a key as it stands, or of a path joined by dots."""
    if key in values:
        return values[key]
    head, dot, tail = key.partition(".")
    inner = values.get(head)
    return _look_up(inner, tail) if dot and isinstance(inner, Mapping) else None


def _number(value: Any) -> float | None:
    """A number, also one that JSON writes as text ("NaN"); None for everything else."""
    if isinstance(value, str):
        return _NAMES.get(value.lower())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _finite(metrics: Mapping[str, float]) -> bool:
    return all(math.isfinite(v) for v in metrics.values())
