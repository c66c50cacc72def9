"""Promotion as a strategy: named plans with fresh seeds at one scale, before a large run.

It is driven by the same loop as a search. Runs are known by what they are: one that was trained for
another reason with the same plan, scale and seed is not trained again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mixopt.runs import Kind, Observation, RunSpec, Scale, Schedule
from mixopt.runs.kinds import What
from mixopt.runs.knobs import Value
from mixopt.space import Mixture
from mixopt.strategies.base import Problem


@dataclass(frozen=True)
class Plan:
    """What is trained under one name.

    Attributes:
        name: `"recommended"`, another candidate's, or a baseline's.
        mixture: of a schedule, its mean.
        schedule: mixtures over the run; None where it stays the same.
        rival: whether it is a baseline, which can be beaten and not promoted.
        predicted: what promotion is judged by, as the study's model predicts it (lower is better);
            NaN where that cannot say.
        sd: of the prediction.
    """

    name: str
    mixture: Mixture
    schedule: Schedule | None = None
    rival: bool = False
    predicted: float = float("nan")
    sd: float = float("nan")


@dataclass(frozen=True)
class Promoting:
    """Every plan with every seed, all asked for at once.

    Attributes:
        plans: no two of one name.
        scale: of all runs.
        seeds: of every plan; none that chose the plans.
        values: of knobs that were searched with the mixture.
    """

    plans: tuple[Plan, ...]
    scale: Scale
    seeds: tuple[int, ...]
    values: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def specs(self, problem: Problem) -> dict[str, tuple[RunSpec, ...]]:
        """Name of a plan to its runs, one for each seed."""
        return {
            plan.name: tuple(
                problem.run(
                    plan.schedule or plan.mixture,
                    Kind(What.PROMOTION, plan.name),
                    scale=self.scale,
                    seed=seed,
                    values=self.values,
                )
                for seed in self.seeds
            )
            for plan in self.plans
        }

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """What is not known yet, seed by seed: stopped early, every plan has as many seeds."""
        known = {o.run_id for o in observations} | {spec.run_id for spec in pending}
        by_seed = zip(*self.specs(problem).values(), strict=True)
        return [s for specs in by_seed for s in specs if s.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:  # noqa: ARG002 - a strategy is asked so
        """Every plan with every seed."""
        return [self.scale] * (len(self.plans) * len(self.seeds))
