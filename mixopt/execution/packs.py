"""What follows when a pack did not end by itself: again, in halves, or given up.

Trainers catch what runs do wrong. What is left here ends the whole process: a run that kills it, a
hung one, memory that does not suffice, a machine that goes away. Which run of a pack did it nobody
knows, so the pack is halved until the culprit is alone; the others are trained in the halves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal, get_args

from mixopt.errors import InputError, did_you_mean
from mixopt.runs import Observation, Place, RunSpec
from mixopt.space.numbers import Within, check_settings

Cause = Literal["crash", "memory", "lost", "timeout"]
"""`crash`: the process died; `memory`: it was ended for want of memory; `lost`: its machine went
away; `timeout`: it took longer than it may."""

CAUSES: tuple[Cause, ...] = get_args(Cause)

CAUSE = "cause"
"""The key of an observation's `info` that holds the cause."""

_LEAST, _MOST = 0, 1_000
_WORDS: dict[Cause, str] = {
    "crash": "the worker died",
    "memory": "the worker was ended for want of memory",
    "lost": "the machine went away",
    "timeout": "the time was up",
}


@dataclass(frozen=True)
class Retries:
    """How often a run is started again, by what ended it.

    A machine that goes away (spot, maintenance) is not the run's fault, hence its high number.
    With 0 nothing is started again for that cause, and a pack is not halved.

    Raises:
        InputError: a negative number.
    """

    crash: Annotated[int, Within(_LEAST, _MOST)] = 2
    memory: Annotated[int, Within(_LEAST, _MOST)] = 2
    lost: Annotated[int, Within(_LEAST, _MOST)] = 20
    timeout: Annotated[int, Within(_LEAST, _MOST)] = 1

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def of(cls, given: int | Mapping[str, int]) -> "Retries":
        """A number is for crashes and memory; a mapping names causes, the others stay as they are.

        Raises:
            InputError: an unknown cause, or no number.
        """
        if isinstance(given, Mapping):
            known = [f.name for f in fields(cls)]
            odd = next((cause for cause in given if cause not in known), None)
            if odd is not None:
                raise InputError(f"retries: unknown cause {odd!r}; {did_you_mean(odd, known)}")
            return cls(**given)
        return cls(crash=given, memory=given)


@dataclass(frozen=True)
class Pack:
    """Runs that are to be trained together, and what became of earlier attempts.

    Attributes:
        specs: its runs.
        runtime: settings of the trainer that say how it trains.
        ended: cause to how often these runs did not come to their end for it, halves included.
    """

    specs: tuple[RunSpec, ...]
    runtime: Mapping[str, Any] = field(default_factory=dict, hash=False)
    ended: Mapping[str, int] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, specs: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> "Pack":
        """A pack that nobody has tried to train."""
        return cls(tuple(specs), dict(runtime or {}))

    def after(self, cause: Cause, retries: Retries) -> list["Pack"]:
        """What to train now that this attempt has ended; nothing when its runs are given up."""
        count, allowed = self.ended.get(cause, 0) + 1, int(vars(retries)[cause])
        same = replace(self, ended={**self.ended, cause: count})
        if not allowed:
            return []
        if cause == "lost" or len(self.specs) == 1:
            return [same] if count <= allowed else []
        middle = len(self.specs) // 2
        return [replace(same, specs=half) for half in (self.specs[:middle], self.specs[middle:])]

    def given_up(self, cause: Cause, last: str, place: Place | None = None) -> list[Observation]:
        """Failed observations with the reason.

        Args:
            cause: of the last end.
            last: what was said of it.
            place: where that was; None where nobody knows.
        """
        ended = {**self.ended, cause: self.ended.get(cause, 0) + 1}
        total = sum(ended.values())
        times = "1 attempt" if total == 1 else f"each of {total} attempts"
        whys = ", ".join(
            _WORDS[known] + (f" ({ended[known]} times)" if len(ended) > 1 else "")
            for known in _WORDS
            if known in ended
        )
        reason = f"{whys} in {times}; the last time: {last}"
        info = {CAUSE: cause, "attempts": total}
        return [Observation.failure(spec, reason, info=info, place=place) for spec in self.specs]
