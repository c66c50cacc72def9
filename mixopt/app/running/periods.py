"""Whether runs are long enough for the periods of their mixers; said before anything is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mixopt.errors import InputError
from mixopt.mixers import Setup, mixer
from mixopt.mixers.periodic import Periodic
from mixopt.ports import Trainer
from mixopt.runs import Scale
from mixopt.strategies import Mixes, Problem, Strategy

PERIODS = 8
"""So many of them show what a method does; with fewer it hardly leaves where it starts."""


@runtime_checkable
class Stepping(Protocol):
    """A trainer that knows how many steps a run will take."""

    def steps_of(self, scale: Scale, cache: Path) -> int:
        """Of a run at a scale, once `prepare` has been there."""
        ...


def long_periods(
    recipe: Strategy, trainer: Trainer, problem: Problem, cache: Path
) -> tuple[str, ...]:
    """What to say of mixers whose periods nobody chose, and of which a run holds too few.

    Published periods are for runs of many thousands of steps. One that the spec names is a choice,
    and is on record.
    """
    if not (isinstance(recipe, Mixes) and isinstance(trainer, Stepping)):
        return ()
    scale, chosen, stepping = min(problem.scales), recipe.mixers(), trainer
    steps, told = stepping.steps_of(scale, cache), []
    for name, settings in chosen.items():
        made = mixer(name, **settings)
        paces = made.paces() if isinstance(made, Periodic) else {}
        long = {k: n for k, n in paces.items() if PERIODS * n > steps and k not in settings}
        if long:
            shorter = dict.fromkeys(long, max(1, steps // PERIODS))
            told.append(
                f"mixer {name!r} has {_pairs(long)} by default, and a run of {scale} has {steps} "
                f"steps, fewer than {PERIODS} times as many, in which it hardly gets to act; name "
                f"{_pairs(shorter)} (an eighth of the run), or train for more tokens"
                + _trouble(name, {**settings, **shorter}, problem, scale, steps)
            )
    return tuple(told)


def _trouble(
    name: str, settings: Mapping[str, Any], problem: Problem, scale: Scale, steps: int
) -> str:
    """What else has to change with these settings, in words: probes may fill a short period."""
    space = problem.space
    m = space.dim
    try:
        setup = Setup(
            space, space.uniform.weights, space.names, (1.0 / m,) * m, scale.tokens, steps
        )
        mixer(name, **settings).start(setup)
    except InputError as error:
        return f". With that, {error}"
    return ""


def _pairs(settings: Mapping[str, int]) -> str:
    return " and ".join(f"{name}: {value}" for name, value in settings.items())
