"""The phases of `auto`: design, proposals, corrections, confirmation. Each asks for runs, or none.

Notation:
    W: (n, m) mixtures that were run at the smallest scale
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mixopt import designs, laws, proposers
from mixopt.proposers import Surrogate
from mixopt.proposers.bayes import gains, propose
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Observation, RunSpec, Scale, Schedule
from mixopt.runs.kinds import (
    BEST_RANDOM,
    CORRECTION,
    DESIGN,
    PROPOSAL,
    RECOMMENDED,
    REPEAT,
    Kind,
)
from mixopt.space import Mixture
from mixopt.space.simplex import Array
from mixopt.strategies.base import Problem
from mixopt.strategies.kept import best_kept
from mixopt.strategies.ladder import LadderSearch, fit_scales
from mixopt.strategies.ledger import Ledger, drawn_mixtures

_MANY = 200  # runs from which the ensemble knows no more than one process, in ten times the time
REPLICATES = 1000  # seeds of replicates start so far above those of the search and confirmation


def search_surrogate(ledger: Ledger, law: laws.Named, *, every_metric: bool = False) -> Surrogate:
    """The law at the smallest scale; co-kriging once there are other scales or studies."""
    problem, runs = ledger.problem, ledger.every()
    if problem.earlier or len(ledger.at(problem.scales[0])) < len(runs):
        return fit_scales(ledger, every_metric=every_metric)
    return fit_surrogate(
        runs,
        problem.objective,
        problem.space,
        laws.as_law(law),
        rng=ledger.rng(),
        every_metric=every_metric,
    )


@dataclass(frozen=True)
class Design:
    """Natural and uniform, then RegMix's Dirichlet recipe (2407.01492), at the smallest scale."""

    runs: int
    repeats: int = 0

    def specs(self, problem: Problem) -> list[RunSpec]:
        """All of it, the same whatever is known, then the first mixtures with another seed."""
        design = list(_design(problem, self.runs))
        seed = problem.seed + REPLICATES
        again = [problem.run(s.mixture, REPEAT, seed=seed) for s in design[: self.repeats]]
        return [*design, *again]


@lru_cache(maxsize=4)
def _design(problem: Problem, runs: int) -> tuple[RunSpec, ...]:
    """(runs) of the design; it is asked for again with every run that comes in."""
    space = problem.space
    known = tuple(dict.fromkeys((space.natural, space.uniform)))
    beside = tuple(m.weights for m in known)
    seed = (problem.seed, 0)
    mixtures = [*known, *drawn_mixtures("regmix", space, runs - len(known), seed, beside)]
    return tuple(problem.run(mixture, DESIGN) for mixture in mixtures)


@dataclass(frozen=True)
class Proposals:
    """Rounds at the smallest scale: the predicted optimum, then composite Bayesian optimisation.

    Attributes:
        runs: at the smallest scale all in all, the design included.
        batch, law, stop, replicate: see `Auto`.
    """

    runs: int
    batch: int
    law: laws.Named
    stop: float
    replicate: float

    def next(self, ledger: Ledger, room: int) -> list[RunSpec]:
        """Up to `room` runs; none once all are made, or the best gain is lost in the noise."""
        problem, first = ledger.problem, ledger.problem.scales[0]
        n = min(room, self.runs - ledger.count(first))
        if n < 1:
            return []
        rng, runs = ledger.rng(), ledger.weights(first)
        surrogate, W = self._first(ledger, n, rng)
        gain, noise = float(gains(surrogate, W, runs).max()), surrogate.noise(W)
        if self.stop and gain < self.stop * noise:
            return []
        again = [self._repeat(ledger, surrogate)] if n > 1 and gain < self.replicate * noise else []
        new = n - len(again)
        if len(W) < new:
            avoid = ledger.avoid(first)
            pending = W if avoid is None else np.vstack([avoid, W])
            process, space = fit_scales(ledger), problem.space
            more = propose(process, space, new - len(W), runs=runs, pending=pending, rng=rng)
            W = np.vstack([W, more])
        return [*(problem.run(problem.space.mixture(w), PROPOSAL) for w in W[:new]), *again]

    def _first(self, ledger: Ledger, n: int, rng: np.random.Generator) -> tuple[Surrogate, Array]:
        """What is fitted, and the mixtures that it gives: the optimum alone, or all n."""
        first, space = ledger.problem.scales[0], ledger.problem.space
        W, avoid = ledger.weights(first), ledger.avoid(first)
        composite = self.law in ("auto", "gp")
        # One optimum a round; without rounds, one run in as many.
        explore = bool(ledger.pending) and ledger.asked % self.batch > 0
        if composite and (len(W) >= _MANY or explore):
            surrogate = fit_scales(ledger)
            return surrogate, propose(surrogate, space, n, runs=W, pending=avoid, rng=rng)
        surrogate = search_surrogate(ledger, self.law)
        n = 1 if composite else n
        return surrogate, proposers.propose_batch(surrogate, space, n, W=W, pending=avoid, rng=rng)

    def _repeat(self, ledger: Ledger, surrogate: Surrogate) -> RunSpec:
        """The best mixture so far by posterior mean, once more, with a seed of its own."""
        runs = ledger.at(ledger.problem.scales[0])
        values = surrogate.value(ledger.weights(ledger.problem.scales[0]))
        mixture = runs[int(values.argmin())].spec.mixture
        before = sum(o.spec.mixture == mixture for o in ledger.runs)
        seed = ledger.problem.seed + REPLICATES + before
        return ledger.problem.run(mixture, REPEAT, seed=seed)


@dataclass(frozen=True)
class Corrections:
    """Runs above the smallest scale, each the best next one given co-kriging over all scales.

    Attributes:
        runs: at the largest scale.
        searched: runs that the search at the smallest scale was to make.
        wait: see `Auto`.
    """

    runs: int
    searched: int
    wait: bool

    def next(self, ledger: Ledger, search: LadderSearch) -> list[RunSpec]:
        """The next runs; none when all were made, or there is one scale."""
        problem, target = ledger.problem, ledger.problem.target
        left = self.runs - ledger.count(target)
        if len(problem.scales) == 1 or left <= 0:
            return []
        # What the search at the smallest scale was to cost is spent; one target run more may go
        # to the scales in between.
        spent = self.searched * problem.cost(problem.scales[0])
        ladder = replace(
            search,
            design=0,
            runs=ledger.asked + left,
            batch=LadderSearch.batch,
            proxies=self.runs,
            allowance=spent / problem.cost(target) + 1.0,
            wait=self.wait,
        )
        asked = ladder.next(problem, ledger.runs, ledger.pending)
        return [replace(s, kind=CORRECTION) if s.kind == PROPOSAL else s for s in asked]


@dataclass(frozen=True)
class Confirming:
    """The recommendation, its rivals and the best run of the design, with fresh seeds.

    Attributes:
        seeds: of every candidate.
        singles: whether every single-domain mixture is among the baselines.
    """

    seeds: int
    singles: bool

    def specs(
        self,
        ledger: Ledger,
        recommended: Mixture | Schedule,
        rivals: Mapping[str, Mixture] | None = None,
    ) -> list[RunSpec]:
        """Candidates times seeds, at the largest scale; rivals by name beside the baselines."""
        problem = ledger.problem
        named: dict[str, Mixture | Schedule] = {RECOMMENDED: recommended, **(rivals or {})}
        named |= self.baselines(problem)
        random = [o for o in ledger.runs if o.ok and o.spec.kind == DESIGN]
        if random:
            best = best_kept(random, ledger.runs, ledger.objective, problem.space)
            named[BEST_RANDOM] = best.spec.schedule or best.spec.mixture
        candidates = _distinct(named)
        seeds = range(problem.seed + 1, problem.seed + 1 + self.seeds)
        return [
            problem.run(plan, Kind.confirmation(name), scale=problem.target, seed=seed)
            for seed in seeds
            for name, plan in candidates.items()
        ]

    def planned(self, problem: Problem) -> list[Scale]:
        """Every candidate with every seed."""
        return [problem.target] * ((2 + len(self.baselines(problem))) * self.seeds)

    def baselines(self, problem: Problem) -> dict[str, Mixture]:
        """What one would train without any proxy run, by name."""
        known = designs.baselines(problem.space)
        singles = designs.singles(problem.space) if self.singles else {}
        return {**known, **{f"only-{name}": m for name, m in singles.items()}}


def sent_to_confirmation(
    observations: Sequence[Observation], pending: Sequence[RunSpec] = ()
) -> RunSpec | None:
    """A run of what is being confirmed, if anything is: it stands, whatever comes in later."""
    confirmed = Kind.confirmation(RECOMMENDED)
    specs = [*(o.spec for o in observations), *pending]
    return next((s for s in specs if s.kind == confirmed), None)


def _distinct(named: Mapping[str, Mixture | Schedule]) -> dict[str, Mixture | Schedule]:
    """Candidates of which no two draw the same; the first name stays."""
    kept: dict[str, Mixture | Schedule] = {}
    for name, plan in named.items():
        if not any(_alike(plan, other) for other in kept.values()):
            kept[name] = plan
    return kept


def _alike(one: Mixture | Schedule, other: Mixture | Schedule) -> bool:
    """Whether two plans draw the same to rounding."""
    if isinstance(one, Mixture) and isinstance(other, Mixture):
        return bool(np.abs(one.array - other.array).sum() <= 1e-6)
    if isinstance(one, Schedule) and isinstance(other, Schedule):
        return one.stretched(other.tokens) == other
    return False
