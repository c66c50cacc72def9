"""A strategy for studies of scales and of noise: the same mixtures at every scale, some twice.

It searches nothing. Its run table shows how one scale ranks what another does, and how loud runs
are. In a spec: `strategy: {use: "analysis.paired:Paired", runs: 24, repeats: 8}`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from mixopt.runs import Kind, Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, What
from mixopt.space.numbers import MANY, Within
from mixopt.strategies.base import Answer, Answers, Problem
from mixopt.strategies.known import known_ids
from mixopt.strategies.ledger import Ledger, Runs, check_recipe, drawn_mixtures


@dataclass(frozen=True)
class Paired(Answers):
    """The same random mixtures at every scale, the smallest first.

    Attributes:
        runs: mixtures.
        repeats: how many of them, the first ones, are trained with a second seed too.
        design: which random mixtures.
    """

    runs: Runs = 24
    repeats: Annotated[int, Within(0, MANY)] = 8
    design: str = "regmix"

    def __post_init__(self) -> None:
        check_recipe(self)

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """All runs of the smallest scale of which some were not asked for yet."""
        known = known_ids(observations, pending)
        for scale in problem.scales:
            missing = [s for s in self._at(problem, scale) if s.run_id not in known]
            if missing:
                return missing
        return []

    def planned(self, problem: Problem) -> list[Scale]:
        """Every mixture at every scale, and the repeats."""
        return [s.scale for scale in problem.scales for s in self._at(problem, scale)]

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The best run of the largest scale: nothing was searched."""
        del every_metric
        return Answer(Ledger.of(problem, observations).best_run())

    def _at(self, problem: Problem, scale: Scale) -> list[RunSpec]:
        seed = problem.seed
        mixtures = drawn_mixtures(self.design, problem.space, self.runs, (seed,), ())
        again = mixtures[: self.repeats]
        return [
            *(problem.run(m, DESIGN, scale=scale) for m in mixtures),
            *(problem.run(m, Kind(What.REPEAT), scale=scale, seed=seed + 1) for m in again),
        ]
