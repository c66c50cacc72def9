"""Runs that would change the verdict, asked for where budget is left.

The verdict names, for every gate that holds the answer back, the runs that would change it. They
are asked for cheapest first, and judged again once they are in. All of it is a function of the runs
and the seed, so that a sweep that was killed asks for the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixopt import designs
from mixopt.diagnostics.gates import Gate, Remedy
from mixopt.diagnostics.trust import Trust
from mixopt.judging.gating import gated
from mixopt.judging.measuring import Beside, measure
from mixopt.proposers import Surrogate
from mixopt.proposers.recommend import recommend
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import Kind, What
from mixopt.space import Mixture
from mixopt.strategies.base import Remedied
from mixopt.strategies.ledger import Ledger
from mixopt.strategies.phases import REPLICATES

_SAME = 1e-6  # shares that differ by less in sum are one mixture


def verdict(ledger: Ledger, surrogate: Surrogate, mixture: Mixture) -> Trust:
    """What would be said of an answer to the runs so far.

    Args:
        ledger: the runs.
        surrogate: fitted to them.
        mixture: the answer.

    Raises:
        InputError: no run succeeded.
    """
    space, runs, rng = ledger.problem.space, ledger.every(), ledger.rng()
    answer = recommend(surrogate, space, W=runs.W, rng=rng, mixture=mixture)
    beside = Beside(space)
    measured, _ = measure(surrogate, runs, answer, beside, rng=rng)
    return gated(surrogate, runs, answer, beside, measured, rng=rng)


@dataclass(frozen=True)
class Remedies:
    """What the verdict asks for, as far as a budget goes.

    Attributes:
        budget: cost of all of them, in the unit of the problem's costs.
    """

    budget: float

    def next(self, ledger: Ledger, told: Trust, mixture: Mixture) -> list[RunSpec]:
        """The runs that would change a verdict; none where it is trust, or nothing is left.

        Args:
            ledger: the runs.
            told: the verdict on them.
            mixture: the answer that it is of.
        """
        if told.level == "trust":
            return []
        chosen: list[RunSpec] = []
        left = self.budget
        for gate, remedy in told.holding:
            for specs in _specs(ledger, gate, remedy, mixture, chosen):
                cost = sum(ledger.problem.cost(s.scale) for s in specs)
                if cost > left * (1 + 1e-9):
                    break
                chosen += specs
                left -= cost
        return chosen


def spent(ledger: Ledger, *, above: Scale | None = None) -> float:
    """Cost of all remedial runs, those under way included; `above`: of those of another scale."""
    specs = [*(o.spec for o in ledger.runs), *ledger.pending]
    asked = [s for s in specs if s.kind.what is What.REMEDY and s.scale != above]
    return sum(ledger.problem.cost(s.scale) for s in asked)


def without_remedies(ledger: Ledger) -> Ledger | None:
    """The runs that no gate asked for; None where no gate asked for any."""
    rest = tuple(o for o in ledger.runs if o.spec.kind.what is not What.REMEDY)
    return None if len(rest) == len(ledger.runs) else replace(ledger, runs=rest)


def remedied(ledger: Ledger, before: Trust) -> Remedied:
    """What was run for the verdict, and what that would be without."""
    runs: dict[str, int] = {}
    for seen in ledger.runs:
        if seen.spec.kind.what is What.REMEDY:
            runs[seen.spec.kind.candidate] = runs.get(seen.spec.kind.candidate, 0) + 1
    return Remedied(runs, before)


def _specs(
    ledger: Ledger, gate: Gate, remedy: Remedy, answer: Mixture, chosen: Sequence[RunSpec]
) -> Iterator[list[RunSpec]]:
    """A remedy's runs in portions each of which tells something by itself."""
    problem, kind = ledger.problem, Kind.remedy(gate.name)
    known = [*(o.spec for o in ledger.runs), *ledger.pending, *chosen]
    if remedy.where == "answer":
        for i in range(remedy.runs):
            yield [_again(ledger, answer, problem.target, kind, known, i)]
    elif remedy.where == "given":
        for w in remedy.mixtures:
            mixture, scale = _ran(ledger, np.array(w))
            yield [_again(ledger, mixture, scale, kind, known, 0)]
    elif remedy.where == "target":
        # Fewer pairs than a gate counts tell nothing: all of them, or none.
        yield _pairs(ledger, remedy, kind)
    elif remedy.where == "design":
        rng = np.random.default_rng([problem.seed, ledger.asked, 1])
        W = designs.design("regmix", problem.space, remedy.runs, rng=rng, existing=ledger.every().W)
        for w in W:
            yield [problem.run(problem.space.mixture(w), kind)]


def _again(
    ledger: Ledger,
    mixture: Mixture,
    scale: Scale,
    kind: Kind,
    known: Sequence[RunSpec],
    more: int,
) -> RunSpec:
    """A run of a mixture; with a seed of its own where the mixture ran before."""
    before = sum(s.mixture == mixture and s.scale == scale for s in known) + more
    seed = ledger.problem.seed + (REPLICATES + before if before else 0)
    return ledger.problem.run(mixture, kind, scale=scale, seed=seed)


def _ran(ledger: Ledger, w: np.ndarray) -> tuple[Mixture, Scale]:
    """The run with these shares, where it was largest; else a new mixture at the smallest scale.

    A table of runs has what was really drawn, so that it is looked for by what it has.
    """
    seen: list[Observation] = [o for o in ledger.runs if o.ok]
    near = np.abs(ledger.every().W - w).sum(axis=1) <= _SAME
    rows = [o.spec for o, same in zip(seen, near, strict=True) if same]
    if rows:
        largest = max(rows, key=lambda s: s.scale)
        return largest.mixture, largest.scale
    space = ledger.problem.space
    return space.mixture(space.round(w)), ledger.problem.scales[0]


def _pairs(ledger: Ledger, remedy: Remedy, kind: Kind) -> list[RunSpec]:
    """Mixtures at the target, and at the smallest scale those that have not run there."""
    problem = ledger.problem
    first = problem.scales[0]
    small = {
        s.mixture for s in (*(o.spec for o in ledger.runs), *ledger.pending) if s.scale == first
    }
    specs = []
    for w in remedy.mixtures:
        mixture, _ = _ran(ledger, np.array(w))
        specs.append(problem.run(mixture, kind, scale=problem.target))
        if mixture not in small:
            specs.append(problem.run(mixture, kind))
    return specs
