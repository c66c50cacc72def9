"""What a strategy is: a pure function from what is known to the runs that come next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mixopt.errors import InputError
from mixopt.proposers import Front
from mixopt.runs import Kind, Observation, RunSpec, Scale
from mixopt.runs.knobs import Knob, Value, set_knobs
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
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
        pool: scale to the only mixtures that can be trained there, for replays of real runs; any
            allowed mixture where a scale is left out.
        costs: scale to the cost of one run, in one unit for all; 6 N D where left out.
        earlier: runs of earlier studies over the domains of the space, the least like this one
            first; one table per study and scale. See `mixopt.strategies.warm`.
        knobs: hyperparameters that the strategy `joint` searches with the mixture.
    """

    space: MixtureSpace
    objective: Objective
    scales: tuple[Scale, ...]
    trainer: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    data: str = ""
    seed: int = 0
    pool: Mapping[Scale, tuple[Mixture, ...]] = field(default_factory=dict, hash=False, repr=False)
    costs: Mapping[Scale, float] = field(default_factory=dict, hash=False)
    earlier: tuple[RunTable, ...] = field(default=(), hash=False, repr=False)
    knobs: tuple[Knob, ...] = ()

    def __post_init__(self) -> None:
        if not self.scales:
            raise InputError("a problem needs at least one scale; none was given")
        object.__setattr__(self, "scales", tuple(sorted(self.scales)))
        for scale, mixtures in self.pool.items():
            if scale not in self.scales:
                raise InputError(f"the pool has mixtures at {scale}, which is none of the scales")
            other = next((m for m in mixtures if m.domains != self.space.names), None)
            if other is not None:
                odd = sorted(set(other.domains) ^ set(self.space.names)) or list(other.domains)
                raise InputError(
                    f"a mixture of the pool differs from the space in {', '.join(odd[:6])}; give "
                    "every mixture the domains of the space, in its order"
                )
        for scale, cost in self.costs.items():
            if not (np.isfinite(cost) and cost > 0):
                raise InputError(f"a run at {scale} costs {cost}; give a number above 0")

        for table in self.earlier:
            if table.domains != self.space.names:
                raise InputError(
                    f"earlier runs mix {', '.join(table.domains)}, the space has "
                    f"{', '.join(self.space.names)}; express them in its domains first "
                    "(mixopt.strategies.warm.earlier_runs)"
                )

    @property
    def target(self) -> Scale:
        """The largest scale, the one that the answer is for."""
        return self.scales[-1]

    def cost(self, scale: Scale) -> float:
        """The cost of one run."""
        return float(self.costs.get(scale, scale.flops))

    def run(
        self,
        mixture: Mixture,
        kind: Kind,
        *,
        scale: Scale | None = None,
        seed: int | None = None,
        values: Mapping[str, Value] | None = None,
    ) -> RunSpec:
        """A run spec of this problem; the smallest scale and the problem's seed by default.

        `values` of knobs, by name, are set in the run's configuration, and so are part of what
        the run is.
        """
        return RunSpec(
            mixture,
            scale or self.scales[0],
            seed=self.seed if seed is None else seed,
            trainer=self.trainer,
            config=set_knobs(self.config, values) if values else self.config,
            data=self.data,
            kind=kind,
        )


@dataclass(frozen=True)
class Traits:
    """What a strategy makes use of beside the runs of its own sweep.

    A strategy declares them as its attribute `traits`; one that declares none makes use of nothing.
    What it can answer beside runs is declared by the methods of the protocols below.

    Attributes:
        earlier: it learns from `Problem.earlier`.
        continuation: its longer runs go on from shorter ones of the same mixture and seed.
        schedules: it asks for runs whose mixture changes on the way.
    """

    earlier: bool = False
    continuation: bool = False
    schedules: bool = False


@runtime_checkable
class HasTraits(Protocol):
    """A strategy that says what it makes use of."""

    @property
    def traits(self) -> Traits:
        """The same for any settings of one strategy."""
        ...


def traits_of(recipe: object) -> Traits:
    """What a strategy declares; nothing for one that declares none."""
    return recipe.traits if isinstance(recipe, HasTraits) else Traits()


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


@runtime_checkable
class Recommender(Protocol):
    """A strategy that answers at any time, not only at its end."""

    def recommend(self, problem: Problem, observations: Sequence[Observation]) -> Mixture:
        """The mixture that it would train at the target scale now; of the pool, where one is given.

        Raises:
            InputError: no run has succeeded yet.
        """
        ...


@runtime_checkable
class JointRecommender(Protocol):
    """A strategy that searches `Problem.knobs`: its answer has values for them."""

    def recommend_joint(
        self, problem: Problem, observations: Sequence[Observation]
    ) -> tuple[Mixture, dict[str, Value]]:
        """The mixture and the value of every knob.

        Raises:
            InputError: no run has succeeded yet.
        """
        ...

    def at_answer(self, problem: Problem, observations: Sequence[Observation]) -> list[Observation]:
        """The runs as its model says they had come out with the recommended values of all knobs.

        So mixtures can be compared, by laws and reports that know no knobs.
        """
        ...


@runtime_checkable
class FrontFinder(Protocol):
    """A strategy that trades several objectives off."""

    def front(self, problem: Problem, observations: Sequence[Observation]) -> Front:
        """Mixtures of which none is better than another in every objective."""
        ...

    def objective_names(self, problem: Problem) -> tuple[str, ...]:
        """(d,) the objectives, in the order of the front's columns."""
        ...


@runtime_checkable
class Checking(Protocol):
    """A strategy that can refuse a problem before anything is trained."""

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Look at the problem and the metrics that every run will have.

        Raises:
            InputError: it could not be worked on.
        """
        ...
