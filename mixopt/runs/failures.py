"""Failed runs by their cause: reasons that differ in numbers, paths and ids alone are one."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mixopt.errors import shorten
from mixopt.runs.run_spec import Observation

DIVERGED = "the run diverged"
"""What the reason of a run says whose loss or metric is no number: it would be so again."""

_WIDTH = 200
_PATH = re.compile(r"(?<![\w:/])/[^\s'\",;:)]*")
_IDENTIFIER = re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{6,}\b")
_NUMBER = re.compile(r"[+-]?\d[\d_.,]*(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Cause:
    """Why runs failed, and which.

    Attributes:
        words: the reason, as most of them (of equally many, the first) give it.
        runs: the failed runs, in the order given.
    """

    words: str
    runs: tuple[Observation, ...]

    @cached_property
    def hosts(self) -> dict[str, int]:
        """Machine to how many of them it trained; most first."""
        known = Counter(o.place.host for o in self.runs if o.place is not None)
        return dict(known.most_common())

    @property
    def diverged(self) -> bool:
        """Whether training them again would end in the same way."""
        return has_diverged(self.runs[0])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values for programs."""
        ids = [o.run_id for o in self.runs]
        facts = {"hosts": self.hosts, "diverged": self.diverged, "run_ids": ids}
        return {"reason": self.words, "runs": len(ids), **facts}


def has_diverged(seen: Observation) -> bool:
    """Whether a run failed because its numbers did, not because something around it broke."""
    return not seen.ok and seen.error.rstrip(" .;").endswith(DIVERGED)


def causes(observations: Iterable[Observation]) -> tuple[Cause, ...]:
    """The causes of failed runs, the commonest first; runs that succeeded are passed over."""
    groups: dict[str, list[Observation]] = {}
    for seen in observations:
        if not seen.ok:
            groups.setdefault(_pattern(seen.error), []).append(seen)
    made = [Cause(_commonest(group), tuple(group)) for group in groups.values()]
    return tuple(sorted(made, key=lambda cause: -len(cause.runs)))


def _pattern(error: str) -> str:
    """A reason without what differs between runs that failed for one cause."""
    text = _PATH.sub("/", " ".join(error.split()))
    return _NUMBER.sub("#", _IDENTIFIER.sub("#", text)).lower()


def _commonest(group: list[Observation]) -> str:
    words = Counter(" ".join(o.error.split()) for o in group).most_common(1)[0][0]
    return shorten(words, _WIDTH) or "no reason was given"
