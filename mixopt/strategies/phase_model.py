"""What runs of two phases tell: one process per metric over schedules, and the answer from it.

Used by the search over schedules and by the published templates alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mixopt.designs import baselines
from mixopt.errors import InputError
from mixopt.judging.searched import Searched
from mixopt.laws.split import FittedSplit
from mixopt.proposers import Gain, Surrogate
from mixopt.proposers.recommend import gain
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Kind, Observation, RunSpec, Schedule
from mixopt.runs.kinds import BEST_CONSTANT, TIME_AVERAGE
from mixopt.runs.objective import Objective
from mixopt.runs.reliability import resolved
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Problem
from mixopt.strategies.ladder import quick_process
from mixopt.strategies.ledger import Ledger
from mixopt.strategies.phase_space import PhaseSpace, Plans, has_two_phases, seen_plans


@dataclass(frozen=True, eq=False)
class PhaseModel:
    """A law over schedules, fitted to the runs of the smallest scale.

    Attributes:
        phases: what is allowed.
        surrogate: over points (see `phase_space`). Guards hold what constant baselines have.
        constant: the same law where the mixture does not change, over mixtures.
        plans: (n) of the runs, in their order.
        runs: the runs over the domains of the space.
        left_out: runs that are no schedule of two phases.
    """

    phases: PhaseSpace
    surrogate: Surrogate
    constant: Surrogate
    plans: Plans
    runs: RunTable
    left_out: int = 0

    @classmethod
    def fit(cls, ledger: Ledger, phases: PhaseSpace, *, every_metric: bool = False) -> "PhaseModel":
        """One process per metric on the roots of both phases and their mean.

        Raises:
            InputError: no run succeeded, too few for a process, or an objective that pulls towards
                the natural mixture (see `check_problem`).
        """
        problem = ledger.problem
        check_problem(problem)
        succeeded = ledger.at(problem.scales[0])
        runs: list[Observation] = [o for o in succeeded if has_two_phases(o.spec)]
        table = RunTable.from_observations(runs or succeeded, problem.space.names)
        if not runs:
            raise InputError(
                f"none of {len(succeeded)} runs that succeeded has two phases or one; a search of "
                "schedules of two phases learns nothing from them"
            )
        plans = seen_plans(runs, table.W, problem.space.names)
        # Guards hold what a baseline has that does not change on the way: set below, by mixtures.
        objective = problem.objective
        natural = tuple(replace(g, baseline="natural") for g in objective.guards)
        fitted = fit_surrogate(
            replace(table, domains=phases.names, W=plans.points),
            replace(objective, guards=natural),
            phases.simplex,
            quick_process(),
            rng=ledger.rng(),
            every_metric=every_metric,
        )
        even = np.full(problem.space.dim, 0.5)
        constant = Surrogate.of(
            FittedSplit(fitted.fitted, even),
            resolved(objective, table),
            fitted.metrics,
            problem.space,
            law=fitted.law,
        )
        surrogate = replace(fitted, objective=constant.objective, limits=constant.limits)
        return cls(phases, surrogate, constant, plans, table, len(succeeded) - len(runs))

    def along(self, plans: Plans) -> Surrogate:
        """The law over mixtures whose domains are split over the phases as in the first plan."""
        split = FittedSplit(self.surrogate.fitted, plans.early[0])
        return replace(self.constant, fitted=split)

    def risk(self, plans: Plans, caution: float) -> Array:
        """(n,) mean + caution sd of the objective."""
        return self.surrogate.risk(plans.points, caution)

    def gains(self, plans: Plans, others: Mapping[str, Mixture]) -> dict[str, Gain]:
        """Predicted gain of the first plan over mixtures that do not change, by their names."""
        point = plans.points[0]
        return {
            name: gain(self.surrogate, point, Plans.constant(mixture.array[None]).points[0])
            for name, mixture in others.items()
        }


def check_problem(problem: Problem) -> None:
    """Refuse what a search of schedules cannot do.

    Raises:
        InputError: a pool of mixtures, or a pull towards the natural mixture.
    """
    if problem.pool:
        raise InputError(
            "a pool holds single mixtures, and this strategy asks for runs whose mixture changes "
            "on the way; leave the pool out, or use 'auto' or 'ladder'"
        )
    check_objective(problem.objective)


def check_objective(objective: Objective) -> None:
    """Refuse an objective that a search of schedules cannot have.

    Raises:
        InputError: a pull towards the natural mixture.
    """
    if objective.kl:
        raise InputError(
            f"the objective pulls towards the natural mixture (kl {objective.kl:.4g}), "
            "which is not said of two phases; leave 'kl' out, or use 'auto'"
        )


def phase_answer(
    problem: Problem,
    model: PhaseModel,
    chosen: Plans,
    rivals: Mapping[str, Mixture],
    notes: tuple[str, ...] = (),
) -> Answer:
    """The answer of a model: a schedule, or a mixture where the chosen plan does not change.

    Args:
        problem: its target gives the tokens of the schedule.
        model: what chose.
        chosen: one plan.
        rivals: mixtures that do not change and that a schedule has to beat, beside its own time
            average and the baselines.
        notes: what is to be said of the search.
    """
    known = baselines(problem.space)
    changes = bool(chosen.changes[0])
    plan = chosen.plan(0, problem.space, problem.target.tokens)
    mixture = plan.mean if isinstance(plan, Schedule) else plan
    others = {TIME_AVERAGE: mixture, **rivals, **known} if changes else known
    left = (f"{model.left_out} runs of more than two phases taught nothing",)
    return Answer(
        mixture,
        model.along(chosen) if changes else model.constant,
        model.runs,
        notes=(*notes, *(left if model.left_out else ())),
        schedule=plan if isinstance(plan, Schedule) else None,
        gains=model.gains(chosen, others),
        searched=Searched(model.surrogate, _as_points(model), model.phases.point(chosen)),
    )


def worth(model: PhaseModel, chosen: Plans, constant: Mixture) -> tuple[Gain, Gain]:
    """What the order of a plan is worth: its gain over its time average, and over a constant."""
    mean = model.phases.space.mixture(chosen.mean[0])
    gained = model.gains(chosen, {TIME_AVERAGE: mean, BEST_CONSTANT: constant})
    return gained[TIME_AVERAGE], gained[BEST_CONSTANT]


def worth_in_words(over_mean: Gain, over_constant: Gain, constant: str) -> str:
    """Both gains with their intervals; `constant` says what the second is over."""
    return (
        f"its own time average by {_with_interval(over_mean)} and {constant} by "
        f"{_with_interval(over_constant)}"
    )


def specs_of(problem: Problem, plans: Plans, kind: Kind) -> list[RunSpec]:
    """The run of every plan, at the smallest scale; plans that draw the same are one run."""
    tokens = problem.scales[0].tokens
    specs = [problem.run(plans.plan(i, problem.space, tokens), kind) for i in range(len(plans))]
    return list({spec.run_id: spec for spec in reversed(specs)}.values())[::-1]


def _with_interval(advantage: Gain) -> str:
    low, high = advantage.interval
    return f"{advantage.raw:.4f} (90 % interval {low:.4f} to {high:.4f})"


def _as_points(model: PhaseModel) -> RunTable:
    return replace(model.runs, domains=model.phases.names, W=model.plans.points)
