"""What a mixer answers: the course that the mixture took, and its averages."""

from dataclasses import dataclass

import numpy as np

from mixopt.errors import InputError
from mixopt.mixers.base import Setup, State
from mixopt.runs import Schedule
from mixopt.space import Mixture


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
