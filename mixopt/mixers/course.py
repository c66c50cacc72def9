"""What a mixer answers: the course that the mixture took, and its averages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixopt.errors import InputError
from mixopt.mixers.base import Setup, State
from mixopt.mixers.history import Told
from mixopt.mixers.session import Session
from mixopt.runs import Observation, Schedule
from mixopt.space import Mixture

FORMAT = 1
"""Of a run's record; another one is refused."""


@dataclass(frozen=True)
class Course:
    """How the mixture of a run went.

    For a method that weighs losses, its weights and not what was drawn.

    Attributes:
        current: at the end. time_average: over all steps. tail_average: over the last third.
        schedule: piece by piece, to the tokens of the run; its mean is by tokens.
    """

    current: Mixture
    time_average: Mixture
    tail_average: Mixture
    schedule: Schedule


def course(setup: Setup, state: State) -> Course:
    """The course of a run as far as it has got.

    Raises:
        InputError: the run has not taken a step.
    """
    if not state.trace:
        raise InputError("the run has taken no step yet, so that its mixture has no course")
    names = setup.space.names
    lengths = np.diff([step for step, _, _ in state.trace], prepend=0)
    mean = lengths @ np.array([w for _, _, w in state.trace]) / lengths.sum()
    tail = np.array(state.tail)
    late = tail[1:] / tail[0] if tail[0] > 0 else mean
    phases, before = [], 0
    for position, (_, tokens, w) in enumerate(state.trace, start=1):
        at_end = position == len(state.trace) and state.step >= setup.steps
        until = setup.tokens if at_end else min(round(tokens), setup.tokens - (not at_end))
        if until > before:
            phases.append((until, Mixture(names, w)))
            before = until
    return Course(
        Mixture(names, state.weights),
        Mixture(names, tuple(mean.tolist())),
        Mixture(names, tuple(late.tolist())),
        Schedule(tuple(phases)),
    )


def record(session: Session, cost_ratio: float) -> dict[str, Any]:
    """What a trainer keeps of a mixer's run, under `info["mixer"]`: plain JSON values.

    Args:
        session: at the end of the run.
        cost_ratio: cost of the run (probes, branches, looks and a reference run included) over that
            of plain training for as many tokens.

    Raises:
        InputError: the run has taken no step.
    """
    state, path = session.state, course(session.setup, session.state)
    return {
        "format": FORMAT,
        "name": state.mixer,
        "cost_ratio": cost_ratio,
        "current": path.current.to_dict(),
        "time_average": path.time_average.to_dict(),
        "tail_average": path.tail_average.to_dict(),
        "schedule": path.schedule.to_dict(),
        "history": Told.of(session.history, session.setup).to_dict(),
        "updates": state.period,
        "skipped": state.skipped,
        "frozen": state.frozen,
        "work": dict(state.work),
        "notes": [dict(vars(note)) for note in state.notes],
    }


@dataclass(frozen=True)
class Recorded:
    """What `record` wrote, as strategies and reports read it.

    Attributes:
        name: of the mixer.
        cost_ratio: see `record`.
        course: how its mixture went.
        notes: in words, with how often where that was more than once.
        history: what was drawn and seen over time; None where none was kept.
    """

    name: str
    cost_ratio: float
    course: Course
    notes: tuple[str, ...]
    history: Told | None = None

    @classmethod
    def of(cls, seen: Observation) -> "Recorded | None":
        """Of a run; None where it had no mixer, or its trainer kept no record.

        Raises:
            InputError: it was written in another format.
        """
        kept = seen.info.get("mixer")
        if not isinstance(kept, Mapping):
            return None
        if kept.get("format") != FORMAT:
            raise InputError(
                f"run {seen.run_id} has a mixer's record of format {kept.get('format')!r}, and this"
                f" mixopt reads {FORMAT}; read it with the mixopt that wrote it"
            )
        notes = [
            note["text"]
            + (f" ({note['largest']:.3g})" if note["largest"] else "")
            + (f", {note['times']} times" if note["times"] > 1 else "")
            for note in kept["notes"]
        ]
        path = Course(
            Mixture.of(kept["current"]),
            Mixture.of(kept["time_average"]),
            Mixture.of(kept["tail_average"]),
            Schedule.from_dict(kept["schedule"]),
        )
        told = Told.from_dict(kept["history"]) if "history" in kept else None
        return cls(kept["name"], float(kept["cost_ratio"]), path, tuple(notes), told)
