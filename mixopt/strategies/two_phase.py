"""Does the order of the data matter? A search over (first mixture, last mixture, switch).

1. A design at the smallest scale: the natural mixture and others that do not change (a third of
   it), then two mixtures by RegMix's recipe (2407.01492) with a switch from a grid;
2. rounds of noisy expected improvement (1706.07094) from one Gaussian process per metric on the
   roots of both phases and of their mean, as in Marin's two-phase search (mixprior, 2026). Each
   begins with the predicted optimum and the best plan of the switch that was tried least, the
   first also with the best constant mixture, so that the comparison rests on a run;
3. the schedule of lowest risk, if it is predicted to beat both its own time average and the best
   constant mixture beyond doubt; else that mixture: a schedule is harder to train and to change;
4. what is recommended, the two that a schedule must beat, and the baselines with fresh seeds at the
   largest scale.

Departures: Marin's objective, repetition cap and correction of intervals are the spec's objective,
the space's epoch caps (of the mean), and the process's own intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np

from mixopt import designs
from mixopt.designs.base import distinct
from mixopt.proposers.bayes import Acquisition, choose, gains
from mixopt.proposers.search import minimize
from mixopt.runs import Kind, Observation, RunSpec, Scale
from mixopt.runs.kinds import BEST_CONSTANT, DESIGN, PROPOSAL, TIME_AVERAGE
from mixopt.runs.objective import Objective
from mixopt.space import Mixture
from mixopt.space.numbers import MANY, Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem, Traits
from mixopt.strategies.known import known_ids
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe, check_shares, fitted_to
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

SWITCHES = tuple(round(0.05 * i, 2) for i in range(2, 19))
"""Shares of a run at which its mixture may change: 10 % to 90 % in steps of 5 %."""
_CONSTANT = Kind.reference(BEST_CONSTANT)
_CANDIDATES = 800
_POLISH = 8  # rounds of the search for the answer


@dataclass(frozen=True)
class TwoPhase(Answers):
    """Settings.

    Attributes:
        design: runs before anything is fitted.
        runs: of the search, all in all.
        batch: runs per round.
        switches: shares of a run at which its mixture may change.
        acquisition: see `mixopt.proposers.bayes`.
        caution: the answer minimises mean + caution sd of the objective.
        confirm_seeds: fresh seeds per candidate; 0 trains no confirmation.

    Raises:
        InputError: a setting out of range.
    """

    traits: ClassVar[Traits] = Traits(schedules=True)

    design: Annotated[int, Within(6, MANY)] = 32
    runs: Annotated[int, Within(6, MANY)] = 64
    batch: Runs = 4
    switches: tuple[float, ...] = SWITCHES
    acquisition: Acquisition = "nei"
    caution: Annotated[float, Within(0)] = 0.5
    confirm_seeds: Annotated[int, Within(0, 1000)] = 3
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)
    best: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "switches", check_shares("switches", self.switches))
        check_recipe(self)

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Refuse a pool of mixtures, or a pull towards the natural mixture.

        Raises:
            InputError: see above.
        """
        del metrics
        check_problem(problem)

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Refuse a pull towards the natural mixture.

        Raises:
            InputError: see above.
        """
        del config
        check_objective(objective)

    @one_blas_thread
    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The design, then rounds, then the confirmation; each waits for the one before."""
        check_problem(problem)
        known = known_ids(observations, pending)
        missing = [s for s in self._design(problem) if s.run_id not in known]
        if missing:
            return missing
        ledger = Ledger.of(problem, observations, pending)
        if ledger.pending:
            return []
        n = min(self.batch, self.runs - ledger.asked)
        asked = [s for s in self._round(ledger, n) if s.run_id not in known] if n > 0 else []
        if asked or not self.confirm_seeds:
            return asked
        return [s for s in self._confirmation(ledger, observations) if s.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:
        """The search at the smallest scale, and every candidate with every seed."""
        rivals = [problem.target] * (2 * self.confirm_seeds)
        search = [problem.scales[0]] * max(self.runs, min(self.design, self.runs))
        return search + self._confirming.planned(problem) + rivals

    @one_blas_thread
    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The schedule of lowest risk, or the best constant mixture where that is as good.

        Once a plan was sent to confirmation, that one.

        Raises:
            InputError: no run has succeeded yet.
        """
        ledger = Ledger.of(problem, observations)
        model = self._model(ledger, every_metric)
        lowest, constant = self._best(ledger, model)
        best = lowest.take([0])
        over_mean, over_constant = worth(model, best, constant)
        told = worth_in_words(over_mean, over_constant, "the best mixture that does not change")
        chosen = best
        if not best.changes[0]:
            note = "no schedule is predicted to beat the best mixture that does not change"
        elif over_mean.certain and over_constant.certain:
            note = f"the schedule is predicted to beat {told}"
        else:
            chosen = Plans.constant(constant.array[None])
            note = (
                "a schedule is not worth it by what is known: the best one is predicted to beat "
                f"{told}; one mixture is recommended instead"
            )
        sent = sent_to_confirmation(observations)
        if sent is not None:
            chosen = Plans.of([sent.phases], problem.space.names)
        return phase_answer(problem, model, chosen, {BEST_CONSTANT: constant}, (note,))

    def _design(self, problem: Problem) -> list[RunSpec]:
        """All of it, the same whatever is known."""
        phases, space = PhaseSpace(problem.space, self.switches), problem.space
        rng = np.random.default_rng([problem.seed, 0])
        n = min(self.design, self.runs)
        still = max(n // 3, 2)
        natural = space.natural.array[None]
        W = designs.design("regmix", space, still - 1, rng=rng, existing=natural)
        pairs = designs.design("regmix", phases.each, 2 * (n - still), rng=rng)
        pairs = pairs[rng.permutation(len(pairs))]
        half = len(pairs) // 2
        grid = np.array(self.switches)
        turns = np.concatenate([rng.permutation(len(grid)) for _ in range(half // len(grid) + 1)])
        changing = Plans(pairs[:half], pairs[half : 2 * half], grid[turns[:half]])
        plans = Plans.joined(
            [
                Plans.constant(np.vstack([natural, W])),
                phases.rounded(phases.within(changing)),
            ]
        )
        return specs_of(problem, plans, DESIGN)

    def _round(self, ledger: Ledger, n: int) -> list[RunSpec]:
        """The predicted optima (see above), then what may improve on them."""
        problem, model = ledger.problem, self._model(ledger)
        R = model.plans.points
        failed = [o.spec.phases for o in ledger.runs if not o.ok]
        avoid = Plans.of(failed, problem.space.names)
        best, constant = self._best(ledger, model)
        specs = specs_of(problem, Plans.joined([best.take([0]), _untried(ledger, best)]), PROPOSAL)
        if not any(o.spec.kind == _CONSTANT for o in ledger.runs):
            specs = [problem.run(constant, _CONSTANT), *specs]
        known = {o.run_id for o in ledger.runs}
        specs = [s for s in specs if s.run_id not in known][:n]
        taken = Plans.joined([avoid, Plans.of([s.phases for s in specs], problem.space.names)])
        plans = self._candidates(ledger, model)
        plans = plans.take(distinct(plans.points, np.vstack([R, taken.points])))
        if len(specs) == n or not len(plans):
            return specs
        picked = choose(
            model.surrogate,
            plans.points,
            n - len(specs),
            runs=R,
            rng=ledger.rng(),
            pending=taken.points if len(taken) else None,
            acquisition=self.acquisition,
        )
        return [*specs, *specs_of(problem, plans.take(picked), PROPOSAL)]

    def _candidates(self, ledger: Ledger, model: PhaseModel) -> Plans:
        """What can be run next, the most promising parts of the space refined."""
        rng, surrogate, R = ledger.rng(), model.surrogate, model.plans.points

        def promise(plans: Plans) -> Array:
            return -gains(surrogate, plans.points, R)

        best = model.plans.take(np.argsort(surrogate.value(R), kind="stable")[:16])
        wide = model.phases.spread(_CANDIDATES, rng, around=best.mean)
        plans = Plans.joined([wide, model.phases.near(best, _CANDIDATES, rng)])
        for _ in range(3):
            top = plans.take(_leaders(plans, promise(plans)))
            plans = Plans.joined([plans, model.phases.near(top, _CANDIDATES // 3, rng)])
        return plans.take(np.argsort(promise(plans), kind="stable")[: _CANDIDATES // 2])

    def _best(self, ledger: Ledger, model: PhaseModel) -> tuple[Plans, Mixture]:
        """Plans of lowest risk, best first, and the mixture of lowest risk that does not change.

        The plans are the best of all and the best of every switch.
        """
        lowest: tuple[Plans, Mixture] = self.best.get(
            fitted_to(ledger), lambda: self._lowest(ledger, model)
        )
        return lowest

    def _lowest(self, ledger: Ledger, model: PhaseModel) -> tuple[Plans, Mixture]:
        constant, rng = self._best_constant(ledger, model), ledger.rng()
        plans = Plans.joined(
            [
                Plans.constant(constant.array[None]),
                model.phases.within(model.plans),
                self._candidates(ledger, model),
            ]
        )
        for _ in range(_POLISH):
            plans = plans.take(_leaders(plans, model.risk(plans, self.caution)))
            plans = Plans.joined([plans, model.phases.near(plans, _CANDIDATES // 2, rng)])
        risk = model.risk(plans, self.caution)
        return plans.take([int(risk.argmin()), *_best_by_switch(plans, risk)]), constant

    def _best_constant(self, ledger: Ledger, model: PhaseModel) -> Mixture:
        space = ledger.problem.space

        def risk(W: Array) -> Array:
            return model.constant.risk(W, self.caution)

        lowest = minimize(risk, space, rng=ledger.rng(), starts=model.plans.mean)
        return space.mixture(space.round(lowest[:1])[0])

    def _model(self, ledger: Ledger, every_metric: bool = False) -> PhaseModel:
        """One process per metric over schedules."""
        phases = PhaseSpace(ledger.problem.space, self.switches)
        model: PhaseModel = self.memo.get(
            fitted_to(ledger, every_metric),
            lambda: PhaseModel.fit(ledger, phases, every_metric=every_metric),
        )
        return model

    def _confirmation(self, ledger: Ledger, observations: Sequence[Observation]) -> list[RunSpec]:
        answer = self.answer(ledger.problem, observations)
        if answer.schedule is None:
            return self._confirming.specs(ledger, answer.mixture)
        _, constant = self._best(ledger, self._model(ledger))
        rivals = {TIME_AVERAGE: answer.mixture, BEST_CONSTANT: constant}
        return self._confirming.specs(ledger, answer.schedule, rivals)

    @property
    def _confirming(self) -> Confirming:
        return Confirming(self.confirm_seeds, singles=False)


def _leaders(plans: Plans, score: Array) -> list[int]:
    """Positions of the lowest dozen, and of the lowest at every switch.

    A switch that looks worse at first would else never get the mixtures that suit it.
    """
    order = np.argsort(score, kind="stable")[:12]
    return list(dict.fromkeys([*order.tolist(), *_best_by_switch(plans, score)]))


def _best_by_switch(plans: Plans, score: Array) -> list[int]:
    """Positions of the lowest at every switch, of those that change, by increasing score."""
    order = np.argsort(np.where(plans.changes, score, np.inf), kind="stable")
    _, first = np.unique(np.round(plans.switch[order], 6), return_index=True)
    return [int(i) for i in order[np.sort(first)] if plans.changes[i]]


def _untried(ledger: Ledger, best: Plans) -> Plans:
    """Of the best of every switch, the one whose switch is furthest from all proposed so far.

    What changes abruptly with the switch is smooth to a process, which is then too sure of
    switches that it has not seen with mixtures that suit them.
    """
    proposed = [o.spec.phases for o in ledger.runs if o.spec.kind == PROPOSAL]
    tried = Plans.of(proposed, ledger.problem.space.names)
    seen = np.concatenate([tried.switch[tried.changes], best.switch[:1]])
    away = np.abs(best.switch[:, None] - seen).min(axis=1).round(6)
    return best.take([int(away.argmax())])
