"""Published templates of two stages: DMT's replay of specialised data, and the final anneal.

Each is a grid of schedules at the smallest scale beside runs that do not change, all trained
whatever they show. Answered is the plan of the grid with the lowest risk by the same process that
`two-phase` uses, so that a lucky run does not win; what its order is worth is said in words, and
it is confirmed with fresh seeds against its own time average. That the learning rate falls to zero
over the last stage is a matter of the trainer's configuration.

Where the constraints do not allow a stage, it is moved (KL) into them, and the answer says so.

References: DMT 2310.05492; anneals: Llama 3 2407.21783, OLMo 2 2501.00656, 2406.03476.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, REFERENCE, TIME_AVERAGE
from mixopt.runs.objective import Objective
from mixopt.space import MixtureSpace
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem, Traits
from mixopt.strategies.known import known_ids
from mixopt.strategies.ledger import Ledger, Memo, check_recipe, check_shares, fitted_to
from mixopt.strategies.phase_model import (
    PhaseModel,
    check_objective,
    check_problem,
    phase_answer,
    specs_of,
    worth,
    worth_in_words,
)
from mixopt.strategies.phase_space import PhaseSpace, Plans
from mixopt.strategies.phases import Confirming, sent_to_confirmation
from mixopt.threads import one_blas_thread

REPLAY = (0.0, 1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0)
"""DMT's share k of the specialised data in its second stage, the bracket k = 0 included."""

_CAUTION = 0.5  # sds of the objective that count against a plan that few runs tell of
_SEEDS = 1000  # seeds of more controls start so far above those of search and confirmation


@dataclass(frozen=True)
class Template:
    """What a grid of schedules is made of.

    Attributes:
        grid: the schedules.
        control: the mixture that does not change, and is trained beside them.
        controls: how many seeds of it.
    """

    grid: Plans
    control: Array
    controls: int = 1


@dataclass(frozen=True)
class Staged(Answers):
    """How a template is trained, answered and confirmed; `dmt` and `anneal` make it.

    Attributes:
        make: the template of a space.
        confirm_seeds: fresh seeds per candidate; 0 trains no confirmation.
    """

    traits: ClassVar[Traits] = Traits(schedules=True)

    make: Callable[[MixtureSpace], Template]
    confirm_seeds: Annotated[int, Within(0, 1000)] = 3
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_recipe(self)

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Refuse a pool, a pull towards the natural mixture, and domains that are not there.

        Raises:
            InputError: see above.
        """
        del metrics
        check_problem(problem)
        self.make(problem.space)

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Refuse a pull towards the natural mixture.

        Raises:
            InputError: see above.
        """
        del config
        check_objective(objective)

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The whole grid at once, then the confirmation."""
        check_problem(problem)
        known = known_ids(observations, pending)
        missing = [s for s in self._specs(problem) if s.run_id not in known]
        ledger = Ledger.of(problem, observations, pending)
        if missing or ledger.pending or not self.confirm_seeds:
            return missing
        answer = self.answer(problem, observations)
        plan = answer.schedule or answer.mixture
        rivals = {TIME_AVERAGE: answer.mixture} if answer.schedule else {}
        return [s for s in self._confirming.specs(ledger, plan, rivals) if s.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:
        """The grid and its controls, then every candidate with every seed."""
        rival = [problem.target] * self.confirm_seeds
        grid = [problem.scales[0]] * len(self._specs(problem))
        return grid + self._confirming.planned(problem) + rival

    @one_blas_thread
    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The plan of lowest risk that was run, the control included; one that is confirmed stands.

        Raises:
            InputError: no run has succeeded yet.
        """
        ledger, phases = Ledger.of(problem, observations), PhaseSpace(problem.space, (0.5,))
        model: PhaseModel = self.memo.get(
            fitted_to(ledger, every_metric),
            lambda: PhaseModel.fit(ledger, phases, every_metric=every_metric),
        )
        chosen = model.plans.take([int(model.risk(model.plans, _CAUTION).argmin())])
        sent = sent_to_confirmation(observations)
        if sent is not None:
            chosen = Plans.of([sent.phases], problem.space.names)
        template, moved = self._template(problem.space)
        control = problem.space.mixture(template.control)
        told = worth_in_words(*worth(model, chosen, control), "the control")
        note = f"the schedule is predicted to beat {told}"
        if not chosen.changes[0]:
            note = "no schedule of the template is predicted to beat the control"
        notes = [note, f"the constraints moved {moved} of the template's schedules"]
        natural = np.allclose(control.array, problem.space.natural.array, atol=1e-6)
        others = {} if natural else {"control": control}
        return phase_answer(problem, model, chosen, others, tuple(notes[: 2 if moved else 1]))

    def _specs(self, problem: Problem) -> list[RunSpec]:
        """The control, the grid, and more seeds of the control."""
        template, _ = self._template(problem.space)
        control = problem.space.mixture(template.control)
        seeds = [problem.seed, *(problem.seed + _SEEDS + i for i in range(template.controls - 1))]
        specs = [problem.run(control, REFERENCE, seed=seed) for seed in seeds]
        specs += specs_of(problem, template.grid, DESIGN)
        return list({spec.run_id: spec for spec in reversed(specs)}.values())[::-1]

    def _template(self, space: MixtureSpace) -> tuple[Template, int]:
        """The template within the constraints, and how many of its schedules were moved there."""
        made, phases = self.make(space), PhaseSpace(space, (0.5,))
        moved = int((~phases.contains(made.grid)).sum())
        control = space.project(made.control, metric="kl")
        return Template(phases.within(made.grid), control, made.controls), moved

    @property
    def _confirming(self) -> Confirming:
        return Confirming(self.confirm_seeds, singles=False)


def dmt(
    specialised: Sequence[str],
    *,
    shares: Sequence[float] = REPLAY,
    confirm_seeds: int = 3,
) -> Staged:
    """DMT, dual-stage mixed fine-tuning (2310.05492): how much specialised data to replay.

    Stage 1 is all specialised data; stage 2 is all general data with a share k of the specialised.
    With S their share of the natural mixture, a run spends S / (1 + k S) of its tokens on stage 1.
    The control is the natural mixture from start to end (the paper's multi-task learning).
    Abilities of stage 1 that may not be lost are guards of the objective.

    Args:
        specialised: domains, or tags as `"tag=value"`.
        shares: the grid of k; 0 is the paper's sequential training.
        confirm_seeds: fresh seeds per candidate; 0 trains no confirmation.

    Raises:
        InputError: no share, or one that is not between 0 and 1.
    """
    grid = tuple(dict.fromkeys(shares))
    if not grid or not all(0.0 <= k <= 1.0 for k in grid):
        raise InputError(f"shares are {list(shares)}; give some, each from 0 to 1")

    def make(space: MixtureSpace) -> Template:
        own = named_domains(space, specialised, "specialised")
        q = space.natural.array
        S = float(q[own].sum())
        if not 0.0 < S < 1.0:
            raise InputError(
                f"specialised domains have {S:.3g} of the natural mixture; name some that have a "
                "share, and leave some that are general"
            )
        k = np.array(grid)[:, None]
        last = np.where(own, k * q, q) / (1.0 - S + k * S)
        first = np.tile(np.where(own, q, 0.0) / S, (len(k), 1))
        return Template(Plans(first, last, S / (1.0 + k[:, 0] * S)), q)

    return Staged(make, confirm_seeds)


def anneal(
    raised: Sequence[str],
    *,
    base: Mapping[str, float] | None = None,
    ends: Sequence[float] = (0.1, 0.2),
    shares: Sequence[float] = (0.3, 0.5),
    apart: bool = False,
    control_seeds: int = 3,
    confirm_seeds: int = 3,
) -> Staged:
    """A last stage in which high-quality domains get more: (1 - x) base + x raised.

    The control is the base mixture to the end, with several seeds: its noise is taken for all (30 %
    of candidate data in Llama 3's anneals, 2407.21783). The process shrinks what single runs show.

    Args:
        raised: domains, or tags as `"tag=value"`; in their natural proportions.
        base: domain to share; the natural mixture by default.
        ends: shares of a run that the last stage may take.
        shares: the grid of x.
        apart: one schedule for each raised domain alone, to find what each is worth; else all of
            them together.
        control_seeds: seeds of the control.
        confirm_seeds: fresh seeds per candidate; 0 trains no confirmation.

    Raises:
        InputError: a setting out of range.
    """
    lasts = check_shares("ends", ends)
    grid = tuple(dict.fromkeys(shares))
    if not grid or not all(0.0 < x <= 1.0 for x in grid):
        raise InputError(f"shares are {list(shares)}; give some, each above 0 and at most 1")
    if isinstance(control_seeds, bool) or not isinstance(control_seeds, int) or control_seeds < 1:
        raise InputError(f"control_seeds is {control_seeds!r}; give a whole number of at least 1")

    def make(space: MixtureSpace) -> Template:
        own = named_domains(space, raised, "raised")
        start = (space.natural if base is None else space.mixture(base)).array
        sets = np.eye(space.dim, dtype=bool)[own] if apart else own[None]
        plans = []
        for chosen in sets:
            more = np.where(chosen, space.prior, 0.0)
            if more.sum() <= 0:
                raise InputError(
                    "raised domains have no share in the natural mixture; name one that has"
                )
            mixed = [(1.0 - x) * start + x * more / more.sum() for x in grid for _ in lasts]
            switch = np.array([1.0 - end for _ in grid for end in lasts])
            plans.append(Plans(np.tile(start, (len(mixed), 1)), np.array(mixed), switch))
        return Template(Plans.joined(plans), start, control_seeds)

    return Staged(make, confirm_seeds)


def named_domains(space: MixtureSpace, given: Sequence[str], what: str) -> NDArray[np.bool_]:
    """(m,) booleans: domains that are named, or have a tag that is.

    Raises:
        InputError: none is named, or a name or tag that no domain has.
    """
    names = [given] if isinstance(given, str) else list(given)
    if not names:
        raise InputError(f"{what} names no domain; give names, or tags as 'tag=value'")
    chosen = np.zeros(space.dim, dtype=bool)
    for name in names:
        tag, equals, value = name.partition("=")
        if not equals:
            chosen[space.index([name])] = True
            continue
        tagged = [domain.tags.get(tag) == value for domain in space.domains]
        if not any(tagged):
            raise InputError(
                f"{what} names {name!r}, and no domain has this tag; tag one, or name it"
            )
        chosen |= np.array(tagged)
    return chosen
