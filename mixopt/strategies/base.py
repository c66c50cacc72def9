"""What a strategy is: a pure function from what is known to the runs that come next."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mixopt.diagnostics.dependence import Dependence
from mixopt.diagnostics.domain_values import DomainValues
from mixopt.diagnostics.trust import Trust
from mixopt.errors import InputError
from mixopt.judging.searched import Searched
from mixopt.mixers import Needs
from mixopt.proposers import Gain, Surrogate
from mixopt.runs import Kind, Observation, RunSpec, Scale, Schedule
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
        plan: Mixture | Schedule,
        kind: Kind,
        *,
        scale: Scale | None = None,
        seed: int | None = None,
        values: Mapping[str, Value] | None = None,
    ) -> RunSpec:
        """A run spec of this problem; the smallest scale and the problem's seed by default.

        A schedule is stretched to the tokens of the scale. `values` of knobs, by name, are set in
        the run's configuration, and so are part of what the run is.
        """
        scale = scale or self.scales[0]
        schedule: Schedule | None = None
        if isinstance(plan, Schedule):
            schedule = plan.stretched(scale.tokens)
            plan = schedule.mean
        return RunSpec(
            plan,
            scale,
            seed=self.seed if seed is None else seed,
            trainer=self.trainer,
            config=set_knobs(self.config, values) if values else self.config,
            data=self.data,
            kind=kind,
            schedule=schedule,
        )


@dataclass(frozen=True)
class Traits:
    """What a strategy makes use of beside the runs of its own sweep.

    A strategy declares them as its attribute `traits`; one that declares none makes use of nothing.

    Attributes:
        earlier: it learns from `Problem.earlier`.
        continuation: its longer runs go on from shorter ones of the same mixture and seed.
        schedules: it asks for runs whose mixture changes on the way.
        knobs: it searches `Problem.knobs` with the mixture.
        mixers: it asks for runs with a mixer inside; it then is `Mixes`.
        branches: its runs begin alike and part at one point; it then is `Parting`.
        injections: its runs inject some of what a trainer has; it then is `Injecting`.
        repeats: it runs mixtures twice where it is told to, so that metrics can weigh by their
            reliability; it then is `Checking` and refuses a problem that asks for that otherwise.
    """

    earlier: bool = False
    continuation: bool = False
    schedules: bool = False
    knobs: bool = False
    mixers: bool = False
    branches: bool = False
    injections: bool = False
    repeats: bool = False


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


@dataclass(frozen=True)
class TradeOff:
    """A mixture that no other beats in every objective.

    Attributes:
        mixture: its shares.
        objectives: name to predicted value, lower is better.
    """

    mixture: Mixture
    objectives: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Remedied:
    """Runs that were made to change the verdict.

    Attributes:
        runs: name of the gate that asked to how many, failed ones included.
        before: the verdict on the answer that would be given without them.
    """

    runs: Mapping[str, int]
    before: Trust


@dataclass(frozen=True, eq=False)
class Answer:
    """What a strategy would train at the target scale now, and the model that says so.

    Attributes:
        mixture: of the pool, where one is given; of a schedule, its mean.
        surrogate: the model that chose; None for a strategy that has none (random search).
        runs: what the model rests on, over the domains of the space. With knobs, the runs as it
            says they had come out at the recommended values, so that mixtures can be compared.
        settings: the recommended value of every knob.
        front: the trade-offs between several objectives, by the first of them.
        notes: what the strategy has to say of how it searched, in plain words.
        schedule: mixtures over the run, to the tokens of the target; None where one mixture from
            start to end is the answer. `surrogate` then predicts runs whose domains are each
            split over the phases as in the schedule.
        gains: predicted over mixtures that do not change, by name; empty where `surrogate` is to
            be asked.
        searched: what the diagnostics look at in place of `surrogate` and `runs`, if anything.
        remedied: what was run to change the verdict, if anything.
        measured: it was chosen by what it was measured to be, and `surrogate` is there to be shown
            alone: fresh seeds decide on how far to trust it, no law does.
        domain_values: what each domain was measured to be worth, if that was asked.
        dependence: whether experiments that share a run interfere, if that was asked.
    """

    mixture: Mixture
    surrogate: Surrogate | None = None
    runs: RunTable | None = None
    settings: Mapping[str, Value] = field(default_factory=dict)
    front: tuple[TradeOff, ...] = ()
    notes: tuple[str, ...] = ()
    schedule: Schedule | None = None
    gains: Mapping[str, Gain] = field(default_factory=dict)
    searched: Searched | None = None
    remedied: Remedied | None = None
    measured: bool = False
    domain_values: DomainValues | None = None
    dependence: Dependence | None = None


class Answers:
    """What every recipe has that answers: the mixture alone, for those who ask for no model."""

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """See `Answering`."""
        raise NotImplementedError

    def recommend(self, problem: Problem, observations: Sequence[Observation]) -> Mixture:
        """The mixture of the answer.

        Raises:
            InputError: no run has succeeded yet.
        """
        return self.answer(problem, observations).mixture


@runtime_checkable
class Answering(Protocol):
    """A strategy that answers at any time, not only at its end."""

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The answer by what is known; `every_metric`: fit those too that the objective ignores.

        Raises:
            InputError: no run has succeeded yet.
        """
        ...


@runtime_checkable
class Mixes(Protocol):
    """A strategy whose runs have mixers inside."""

    def needs(self) -> Mapping[str, Needs]:
        """What each of them asks of the trainer, by name, for checks before data is prepared."""
        ...

    def mixers(self) -> Mapping[str, Mapping[str, Any]]:
        """Name of each to its settings, as they were given."""
        ...


@runtime_checkable
class Parting(Protocol):
    """A strategy whose runs of the smallest scale begin alike, and part for their last stage."""

    @property
    def share_trunk(self) -> bool:
        """Whether a trainer is refused that would train the beginning anew for every run."""
        ...

    def parts_at(self, tokens: int) -> int:
        """Tokens at which a run of so many begins its last stage."""
        ...

    def branches(self, problem: Problem) -> int:
        """How many runs, of kind branch, go on from where another stood at that point."""
        ...


@runtime_checkable
class Injecting(Protocol):
    """A strategy whose runs differ in what they inject."""

    def fullest(self, problem: Problem) -> Mapping[str, Any]:
        """The configuration of the run that injects most, for checks before training."""
        ...


@runtime_checkable
class Configuring(Protocol):
    """A strategy whose runs at the smallest scale differ in configuration: few share a pack."""

    def together(self, problem: Problem, observations: Sequence[Observation]) -> list[int]:
        """Numbers of the runs that are left and may share a pack, for the count of packs.

        In the order in which they are asked for. A run whose configuration is not known yet counts
        alone.
        """
        ...


@runtime_checkable
class CheckingQuestion(Protocol):
    """A strategy that refuses some objectives or trainers' settings, whatever the data are."""

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Look at the objective and the trainer's configuration, before data is prepared.

        Raises:
            InputError: no problem with them could be worked on.
        """
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


def alike(specs: Iterable[RunSpec]) -> list[int]:
    """How many runs there are of each scale and configuration, in the order of their first ones."""
    return list(Counter(spec.pack_key for spec in specs).values())
