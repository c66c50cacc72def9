"""Random search, and the baselines alone: what every other recipe has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass

from mixopt import designs
from mixopt.runs import Kind, Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN
from mixopt.strategies.base import Answer, Answers, Problem
from mixopt.strategies.known import known_ids
from mixopt.strategies.ledger import Ledger, Runs, check_recipe


@dataclass(frozen=True)
class Random(Answers):
    """Random mixtures at the target scale; the best run is the answer.

    Attributes:
        runs: how many.
        batch: how many at once.
        design: which random mixtures; ignored where the problem has a pool.
    """

    runs: Runs = 48
    batch: Runs = 4
    design: str = "regmix"

    def __post_init__(self) -> None:
        check_recipe(self)

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The next batch; it waits for nothing."""
        ledger = Ledger.of(problem, observations, pending)
        n = min(self.batch, self.runs - ledger.asked)
        if n < 1:
            return []
        return ledger.design(self.runs, DESIGN, name=self.design, scale=problem.target, most=n)

    def planned(self, problem: Problem) -> list[Scale]:
        """All runs at the target."""
        return [problem.target] * self.runs

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The best run: there is no model to ask."""
        del every_metric
        return Answer(Ledger.of(problem, observations).best_run())


@dataclass(frozen=True)
class Baselines(Answers):
    """Natural, uniform, temperature and UniMax mixtures at the target scale, and nothing else."""

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """All that were not asked for yet."""
        known = known_ids(observations, pending)
        named = designs.baselines(problem.space)
        specs = [
            problem.run(m, Kind.reference(name), scale=problem.target) for name, m in named.items()
        ]
        if problem.target in problem.pool:
            specs = [s for s in specs if s.mixture in problem.pool[problem.target]]
        return [s for s in specs if s.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:
        """One run each."""
        return [problem.target] * len(designs.baselines(problem.space))

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The best of them."""
        del every_metric
        return Answer(Ledger.of(problem, observations).best_run())
