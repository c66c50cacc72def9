"""Several objectives at once: find the trade-offs, then answer with the compromise that was asked.

A design at the smallest scale, then rounds that grow the Pareto front most in expectation, from
one Gaussian process per metric. The answer is the posterior-mean optimum of the problem's
objective, the compromise; `front` gives every trade-off that the runs support.

References: noisy expected hypervolume improvement 2105.08195; front in two stages 2410.02236.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from mixopt.errors import InputError
from mixopt.proposers import Front, Surrogate, pareto_front
from mixopt.proposers.hypervolume import (
    MOST,
    choose_front,
    front_candidates,
    guarded,
    matrix_of,
)
from mixopt.proposers.pareto import front_of, spread_out
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, PROPOSAL
from mixopt.runs.objective import Metrics, Objective, weights_of
from mixopt.space.numbers import MANY, Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem, TradeOff
from mixopt.strategies.ladder import fit_scales
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe, fitted_to

_SHOWN = 40  # points of a front that an answer keeps, evenly along it, the ends among them


@dataclass(frozen=True)
class Pareto(Answers):
    """Settings.

    Attributes:
        objectives: name to what it weighs (a metric, several, or metric to weight); by default
            every metric of the problem's objective is an objective of its own. 2 to 8.
        design: random runs before anything is fitted, natural and uniform among them.
        runs: all in all.
        batch: runs per round.
        extend: points of the front from which the second stage of `front` starts.
    """

    objectives: Mapping[str, Metrics] = field(default_factory=dict, hash=False)
    design: Annotated[int, Within(3, MANY)] = 16
    runs: Annotated[int, Within(3, MANY)] = 48
    batch: Runs = 4
    extend: Annotated[int, Within(0, 1000)] = 8
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_recipe(self)
        if self.objectives and not 2 <= len(self.objectives) <= MOST:
            raise InputError(
                f"{len(self.objectives)} objectives ({', '.join(self.objectives)}) were given; a "
                f"Pareto search takes 2 to {MOST}: group metrics into fewer weighted means"
            )

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Refuse objectives that are too few, too many, or name metrics that runs do not have.

        Raises:
            InputError: see above.
        """
        for goal in self.goals(problem):
            goal.check(metrics)

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The design, then rounds; each waits for the one before, so that a resume repeats it."""
        goals = self.goals(problem)
        ledger = Ledger.of(problem, observations, pending)
        missing = min(self.design, self.runs) - ledger.asked
        if missing > 0:
            return self._design(ledger, missing)
        n = min(self.batch, self.runs - ledger.asked)
        if ledger.pending or n < 1:
            return []
        scale, rng = problem.scales[0], ledger.rng()
        surrogate, runs = self.surrogate(ledger), ledger.weights(problem.scales[0])
        goals = _in_units(goals, surrogate)
        space, avoid = problem.space, ledger.avoid(scale)
        X = ledger.candidates(
            scale,
            lambda: front_candidates(surrogate, goals, space, runs=runs, rng=rng, pending=avoid),
        )
        if not len(X):
            return []
        rows = choose_front(surrogate, goals, X, n, runs=runs, rng=rng, pending=avoid)
        return [problem.run(space.mixture(X[i]), PROPOSAL) for i in rows]

    def planned(self, problem: Problem) -> list[Scale]:
        """All runs, at the smallest scale."""
        return [problem.scales[0]] * self.runs

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The compromise: the posterior-mean optimum of the problem's own objective."""
        ledger = Ledger.of(problem, observations)
        wide = self.surrogate(ledger, every_metric=every_metric)
        compromise = replace(problem.objective, scales=wide.objective.scales, standardize=False)
        surrogate = wide.seen_through(compromise, problem.space)
        front, names = self.front(problem, observations), tuple(self._known(problem))
        kept = spread_out(front.F, _SHOWN)
        W = problem.space.round(front.W[kept])
        return Answer(
            ledger.answer(surrogate.value),
            surrogate,
            ledger.table(problem.scales[0]),
            front=tuple(
                TradeOff(problem.space.mixture(w), dict(zip(names, map(float, F), strict=True)))
                for w, F in zip(W, front.F[kept], strict=True)
            ),
        )

    def front(self, problem: Problem, observations: Sequence[Observation]) -> Front:
        """The trade-offs by posterior mean: mixtures of which none is better in every objective.

        All guards hold on it, unless no mixture is expected to hold them. Of the target's pool,
        where one is given.

        Raises:
            InputError: no run has succeeded yet.
        """
        ledger = Ledger.of(problem, observations)
        surrogate = self.surrogate(ledger)
        C = matrix_of(_in_units(self.goals(problem), surrogate), surrogate.metrics)

        def objectives(W: Array) -> Array:
            return guarded(surrogate, C, surrogate.expected(W).mean)

        def search() -> Array:
            starts = ledger.weights(problem.scales[0])
            return pareto_front(
                objectives, problem.space, rng=ledger.rng(), starts=starts, extend=self.extend
            ).W

        W = ledger.answers(search)
        front = front_of(W, objectives(W))
        holds = surrogate.penalty(surrogate.expected(front.W)) == 0
        if not holds.any() or holds.all():
            return front
        return front_of(front.W[holds], front.F[holds], front.reference)

    def goals(self, problem: Problem) -> list[Objective]:
        """What is traded off, in order.

        Raises:
            InputError: the problem's objective has one metric, or more than eight, and none are
                named.
        """
        known = self._known(problem)
        if not 2 <= len(known) <= MOST:
            raise InputError(
                f"the objective weighs {len(known)} metrics; a Pareto search takes 2 to {MOST} "
                "objectives: name them with the setting 'objectives'"
            )
        higher = problem.objective.maximize
        parts = [weights_of(metrics) for metrics in known.values()]
        return [Objective(part, maximize=higher & set(part)) for part in parts]

    def _known(self, problem: Problem) -> Mapping[str, Metrics]:
        return self.objectives or {name: name for name in problem.objective.metrics}

    def surrogate(self, ledger: Ledger, *, every_metric: bool = False) -> Surrogate:
        """One process per metric that any objective, or the compromise, needs."""
        made: Surrogate = self.memo.get(
            fitted_to(ledger, every_metric), lambda: self._fit(ledger, every_metric)
        )
        return made

    def _fit(self, ledger: Ledger, every_metric: bool) -> Surrogate:
        problem = ledger.problem
        needed = [k for goal in self.goals(problem) for k in goal.metrics]
        every = dict.fromkeys([*needed, *problem.objective.needed], 1.0)
        asked = problem.objective
        wide = Objective(
            every,
            maximize=asked.maximize,
            scales=asked.scales,
            standardize=asked.standardize,
            guards=asked.guards,
        )
        # Earlier studies were asked for the metrics of the problem's own objective alone.
        asked_here = replace(problem, objective=wide, earlier=())
        return fit_scales(replace(ledger, problem=asked_here), every_metric=every_metric)

    def _design(self, ledger: Ledger, n: int) -> list[RunSpec]:
        """The next n of the design: natural and uniform first, where any mixture can be run."""
        problem, whole = ledger.problem, min(self.design, self.runs)
        if problem.scales[0] in problem.pool:
            return ledger.design(whole, DESIGN)[:n]
        known = tuple(dict.fromkeys((problem.space.natural, problem.space.uniform)))
        first = [problem.run(mixture, DESIGN) for mixture in known]
        asked = {o.run_id for o in ledger.runs} | {s.run_id for s in ledger.pending}
        missing = [s for s in first if s.run_id not in asked]
        return [*missing, *ledger.design(whole - len(known), DESIGN, beside=known)][:n]


def _in_units(goals: Sequence[Objective], surrogate: Surrogate) -> list[Objective]:
    """The goals; where one has several metrics, each counts in its unit (`Objective.scales`)."""
    scales = surrogate.objective.scales
    return [
        replace(goal, scales={k: scales[k] for k in goal.metrics if k in scales})
        if len(goal.metrics) > 1
        else goal
        for goal in goals
    ]
