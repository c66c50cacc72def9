"""Whether runs are long enough for the periods of their mixers; said before anything is trained."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from mixopt.errors import InputError
from mixopt.mixers import MixerSpec, Setup, mixer_of
from mixopt.mixers.periodic import Periodic
from mixopt.ports import Trainer
from mixopt.runs import Scale
from mixopt.runs.kinds import PROPOSAL
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
    scale, stepping = min(problem.scales), trainer
    steps = stepping.steps_of(scale, cache)
    long = _long(recipe.mixers(problem), steps)
    return tuple(_said(chosen, settings, problem, scale, steps) for chosen, settings in long)


def _long(mixers: Sequence[MixerSpec], steps: int) -> Iterator[tuple[MixerSpec, dict[str, int]]]:
    """Mixers with the settings, left at their defaults, of which fewer than eight fit the run."""
    for chosen in mixers:
        made = mixer_of(chosen)
        if isinstance(made, Periodic):
            paces = made.paces()
            long = {k: n for k, n in paces.items() if PERIODS * n > steps}
            if long := {k: n for k, n in long.items() if k not in chosen.settings}:
                yield chosen, long


def _said(
    chosen: MixerSpec, long: dict[str, int], problem: Problem, scale: Scale, steps: int
) -> str:
    shorter = dict.fromkeys(long, max(1, steps // PERIODS))
    told = (
        f"mixer {chosen.name!r} has {_pairs(long)} by default, and a run of {scale} has {steps} "
        f"steps, fewer than {PERIODS} times as many, in which it hardly gets to act; name "
        f"{_pairs(shorter)} (an eighth of the run), or train for more tokens"
    )
    tried = replace(chosen, settings={**chosen.settings, **shorter})
    run = replace(problem.run(problem.space.uniform, PROPOSAL, scale=scale), mixer=tried)
    try:
        mixer_of(tried).start(Setup.of(run, steps, problem.space.names))
    except InputError as error:  # probes that fill the shorter period, say
        return f"{told}. With that, {error}"
    return told


def _pairs(settings: dict[str, int]) -> str:
    return " and ".join(f"{name}: {value}" for name, value in settings.items())
