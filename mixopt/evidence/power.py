"""How many seeds would show the expected gain, before any is trained.

Notation:
    s: sd of one run; n: seeds of every plan; P: plans; t: Student's t with P (n - 1) freedom
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from mixopt.evidence.numbers import number, percent, plural
from mixopt.evidence.rules import LEVEL
from mixopt.runs import Scale, quantity

WANTED = 0.8
"""Chance with which a gain as large as expected should be shown (Cohen's convention)."""
MOST = 1000


@dataclass(frozen=True)
class Power:
    """What a promotion can show, and what it costs.

    Attributes:
        baseline: that the recommendation is expected to beat by least.
        expected: gain over it, shrunk against the winner's curse, in units of what is judged.
        least: gain beyond which the rules ask.
        sd: of one run.
        whence: that is known from.
        scale: of the runs.
        plans: how many are trained.
        seeds: that the rules give to each.
        chance: of showing the expected gain with them; NaN where gain or noise is unknown.
        needed: seeds that show it with a chance of 80 %; None where no number up to 1,000 does.
        runs: that are still to be trained.
        flops: that these cost.
        flops_each: of one run.
        ranking_only: why no gain is predicted at the scale; empty where one is.
    """

    baseline: str
    expected: float
    least: float
    sd: float
    whence: str
    scale: Scale
    plans: int
    seeds: int
    chance: float
    needed: int | None
    runs: int
    flops: float
    flops_each: float
    ranking_only: str = ""

    def lines(self) -> list[str]:
        """For people."""
        out = [
            f"Promotion at {self.scale}: {self.plans} plans, {plural(self.seeds, 'fresh seed')} "
            f"of each; {plural(self.runs, 'run')} to train ({quantity(self.flops, 'FLOP')})."
        ]
        if not (np.isfinite(self.expected) and np.isfinite(self.sd)):
            what = "gain" if not np.isfinite(self.expected) else "noise of a run"
            why = f" ({self.ranking_only})" if self.ranking_only else ""
            out.append(f"The {what} is unknown{why}, so nobody can say how many seeds it takes.")
            return out
        told = (
            f"Expected over {self.baseline}: {number(self.expected)} better; noise of one run "
            f"{number(self.sd)} ({self.whence})."
        )
        if self.needed is None:
            beyond = f" beyond the {number(self.least)} that the rules ask" if self.least else ""
            return [*out, f"{told} No number of seeds is likely to show such a gain{beyond}."]
        cost = self.plans * self.needed * self.flops_each
        need = (
            f"To show it with a chance of {percent(WANTED, 0)} takes "
            f"{plural(self.needed, 'seed')} of every plan "
            f"({plural(self.plans * self.needed, 'run')}, {quantity(cost, 'FLOP')} in all); with "
            f"{self.seeds} the chance is {percent(self.chance, 0)}."
        )
        return [*out, told, need]


def chance_of(gain: float, sd: float, *, seeds: int, plans: int, tests: int = 1) -> float:
    """Chance that a gain is shown: its one-sided interval ends above zero.

    Args:
        gain: true difference of two plans, beyond what the rules ask.
        sd: of one run.
        seeds: of every plan, 2 or more.
        plans: all of which tell the noise.
        tests: candidates that share the level.

    >>> round(chance_of(1.0, 1.0, seeds=17, plans=2), 2)
    0.89
    """
    freedom = plans * (seeds - 1)
    if freedom < 1:
        return 0.0
    limit = float(stats.t.ppf(1 - LEVEL / tests, freedom))
    if sd <= 0:
        return float(gain > 0)
    shift = gain / (sd * np.sqrt(2 / seeds))
    return float(stats.nct.sf(limit, freedom, shift)) if shift < 37 else 1.0


def seeds_needed(
    gain: float, sd: float, *, plans: int, tests: int = 1, wanted: float = WANTED
) -> int | None:
    """Fewest seeds of every plan with which a gain is shown with the wanted chance.

    Returns:
        None where more than 1,000 would be needed.
    """
    if not (gain > 0 and np.isfinite(sd)):
        return None
    low, high = 1, 2  # low is too few, high enough
    while chance_of(gain, sd, seeds=high, plans=plans, tests=tests) < wanted:
        low, high = high, 2 * high
        if low >= MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = chance_of(gain, sd, seeds=middle, plans=plans, tests=tests) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high if high <= MOST else None
