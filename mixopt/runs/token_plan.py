"""Whole numbers of training tokens: how many of every domain, phase by phase, to a given total."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mixopt.runs.schedule import Schedule
from mixopt.space import Mixture
from mixopt.space.apportion import apportion


@dataclass(frozen=True)
class TokenPlan:
    """What a run draws, in whole tokens.

    Attributes:
        phases: `(until_tokens, tokens per domain)`, in order; each sums exactly to its length.
    """

    phases: tuple[tuple[int, Mapping[str, int]], ...] = field(hash=False)

    @property
    def total(self) -> int:
        """Tokens of the run."""
        return self.phases[-1][0]

    @property
    def tokens(self) -> dict[str, int]:
        """Domain to tokens of the whole run."""
        names = dict.fromkeys(d for _, part in self.phases for d in part)
        return {d: sum(part.get(d, 0) for _, part in self.phases) for d in names}

    def epochs(self, unique: Mapping[str, float]) -> dict[str, float]:
        """Domain to passes over its unique tokens, where they are known and above 0."""
        tokens = self.tokens
        return {d: n / unique[d] for d, n in tokens.items() if unique.get(d, 0.0) > 0}


def token_plan(plan: Mixture | Schedule, tokens: int) -> TokenPlan:
    """The plan of a run of so many tokens, by largest remainder.

    Args:
        plan: a mixture; or a schedule, which is stretched to the run.
        tokens: of the run.

    Raises:
        InputError: the run is too short for every phase of the schedule.
    """
    schedule = Schedule.constant(plan, tokens) if isinstance(plan, Mixture) else plan
    phases, start = [], 0
    for until, mixture in schedule.stretched(tokens).phases:
        phases.append((until, apportion(mixture.to_dict(), until - start)))
        start = until
    return TokenPlan(tuple(phases))
