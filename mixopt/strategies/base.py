"""What a strategy is: a pure function from what is known to the runs that come next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from mixopt.errors import InputError
from mixopt.objective import Objective
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.space import Mixture, MixtureSpace


@dataclass(frozen=True)
class Problem:
    """What a strategy works on: the question, and what all its runs share.

    Attributes:
        space: the mixtures that are allowed.
        objective: what is to be minimised.
        scales: the proxy ladder, smallest first; the last one confirms.
        trainer, config, data: of every run spec.
        seed: of the strategy's random numbers and of the search runs.
    """

    space: MixtureSpace
    objective: Objective
    scales: tuple[Scale, ...]
    trainer: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    data: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.scales:
            raise InputError("a problem needs at least one scale; none was given")
        object.__setattr__(self, "scales", tuple(sorted(self.scales)))

    def run(
        self,
        mixture: Mixture,
        purpose: str,
        *,
        scale: Scale | None = None,
        seed: int | None = None,
    ) -> RunSpec:
        """A run spec of this problem; the smallest scale and the problem's seed by default."""
        return RunSpec(
            mixture,
            scale or self.scales[0],
            seed=self.seed if seed is None else seed,
            trainer=self.trainer,
            config=self.config,
            data=self.data,
            purpose=purpose,
        )


@runtime_checkable
class Strategy(Protocol):
    """A named recipe: which design, laws, proposer and scales, in which order."""

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The runs to open now; none while it waits for pending ones, or when it is done.

        The same arguments give the same runs, so a sweep resumes from its store alone.
        """
        ...

    def planned(self, problem: Problem) -> list[Scale]:
        """The scale of every run that it will ask for at most, for the budget and the ETA."""
        ...
