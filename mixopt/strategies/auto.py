"""Ours: a space-covering design, rounds of proposals from fitted laws, then proof with fresh seeds.

1. `design` runs at the smallest scale: natural and uniform first, then RegMix's Dirichlet recipe
   (2407.01492);
2. `proposals` more in rounds of `batch`: laws are fitted per metric (2602.12237); the batch is the
   predicted optimum, then mixtures chosen by one Gaussian process per metric (composite Bayesian
   optimisation, 1906.01537), pending runs conditioned on;
3. where there are larger scales, `corrections` runs at the largest: each is the best next run given
   co-kriging per metric (see `ladder`), the second is the natural mixture, and scales in between
   are run where they promise more per cost. They say per metric whether the small runs can be
   believed, and correct them where they can;
4. the posterior-mean optimum is trained with fresh seeds at the largest scale, beside the
   baselines and the best run of the design.

All search runs share one seed (common random numbers) but for replicates, on request; confirmation
uses seeds of its own. Runs of earlier studies (`Problem.earlier`) enter every choice after the
design.

Where the runs to choose from are given (a pool), or the cost of every scale is, each decision is
also at which scale to run (see `ladder`), and nothing is confirmed: a pool holds no fresh seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from mixopt import designs, laws, proposers
from mixopt.errors import InputError
from mixopt.laws.base import Law
from mixopt.proposers import Surrogate
from mixopt.proposers.bayes import gains, propose
from mixopt.proposers.learn import learn
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import (
    BEST_RANDOM,
    CORRECTION,
    DESIGN,
    PROPOSAL,
    RECOMMENDED,
    REPEAT,
    Kind,
)
from mixopt.runs.objective import objective_of
from mixopt.space import Mixture
from mixopt.space.simplex import Array
from mixopt.strategies.base import Problem, Traits
from mixopt.strategies.ladder import LadderSearch, fit_scales
from mixopt.strategies.ledger import Ledger, Memo, check_whole, free_slots
from mixopt.threads import one_blas_thread

_MANY = 200  # runs from which the ensemble knows no more than one process, in ten times the time
_REPLICATES = 1000  # seeds of replicates start so far above those of the search and confirmation


@dataclass(frozen=True)
class Auto:
    """Settings.

    Attributes:
        design: runs of the design.
        proposals: runs proposed by fitted laws.
        batch: proposals per round.
        law: fitted per metric.
        confirm_seeds: fresh seeds per candidate; 0 trains no confirmation.
        singles: whether every single-domain mixture is among the baselines.
        stop: proposals end early once the best expected gain is below this many noise sds of one
            run; 0 makes all of them.
        replicate: a round's last run repeats the best mixture so far, with another seed, while the
            best expected gain is below this many noise sds of one run; 0 (the default) never does:
            a new mixture nearby taught as much in our trials, and the fits pool their noise.
        corrections: runs of the search at the largest scale, where there are several scales; 0
            searches the smallest alone.
        wait: choose a round once all runs under way are in; else `batch` runs of the search are
            kept under way, chosen with what those may show in mind. For runs that take unequally
            long, on as many workers as a batch has runs.
    """

    design: int = 32
    proposals: int = 16
    batch: int = 4
    law: str = "auto"
    confirm_seeds: int = 3
    singles: bool = True
    stop: float = 0.0
    replicate: float = 0.0
    corrections: int = 4
    wait: bool = True
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    traits: ClassVar[Traits] = Traits(earlier=True)

    def __post_init__(self) -> None:
        least = {"design": 3, "proposals": 0, "batch": 1, "confirm_seeds": 0, "corrections": 0}
        check_whole(self, least)
        if self.law not in laws.LAWS:
            laws.law(self.law)  # raises with the list of known names
        for name in ("stop", "replicate"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; give a number of noise sds, 0 or more"
                )

    @one_blas_thread
    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The rest of the design, then a round of proposals, then the confirmation."""
        if _given(problem):
            return self._ladder.next(problem, observations, pending)
        known = {o.run_id for o in observations} | {spec.run_id for spec in pending}
        missing = [spec for spec in self._design(problem) if spec.run_id not in known]
        if missing:
            return missing
        ledger = Ledger.of(problem, observations, pending)
        # A round is fitted to all runs before it, so that a resume repeats it.
        room = min(free_slots(ledger, self.batch, self.wait), self.batch)
        if room < 1:
            return []
        asked = self._search(ledger, room)
        if asked or ledger.pending:
            return asked
        confirmation = self._confirmation(problem, observations, pending, ledger)
        return [spec for spec in confirmation if spec.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:
        """Design, proposals, corrections, and every candidate with every seed."""
        if _given(problem):
            return self._ladder.planned(problem)
        candidates = 2 + len(self._baselines(problem)) if self.confirm_seeds else 0
        search = [problem.scales[0]] * (self.design + self.proposals)
        search += [scale for scale in problem.scales[1:] for _ in range(self.corrections)]
        return search + [problem.scales[-1]] * (candidates * self.confirm_seeds)

    @one_blas_thread
    def recommend(self, problem: Problem, observations: Sequence[Observation]) -> Mixture:
        """The posterior-mean optimum; the one that was sent to confirmation, if any was."""
        if _given(problem):
            return self._ladder.recommend(problem, observations)
        confirmed = Kind.confirmation(RECOMMENDED)
        sent = (o.spec.mixture for o in observations if o.spec.kind == confirmed)
        ledger = Ledger.of(problem, observations)
        return next(sent, None) or self._recommend(ledger)

    @property
    def _ladder(self) -> LadderSearch:
        return LadderSearch(
            design=self.design,
            runs=self.design + self.proposals,
            batch=self.batch,
            wait=self.wait,
            memo=self.memo,
        )

    def _design(self, problem: Problem) -> list[RunSpec]:
        space = problem.space
        known = np.array([m.array for m in dict.fromkeys((space.natural, space.uniform))])
        random = designs.design(
            "regmix",
            space,
            self.design - len(known),
            rng=np.random.default_rng([problem.seed, 0]),
            existing=known,
        )
        mixtures = [space.mixture(w) for w in np.vstack([known, random])]
        return [problem.run(mixture, DESIGN) for mixture in mixtures]

    def _search(self, ledger: Ledger, room: int) -> list[RunSpec]:
        """Up to `room` proposals at the smallest scale, then the corrections above it."""
        left = self.design + self.proposals - ledger.count(ledger.problem.scales[0])
        climbing = ledger.asked > ledger.count(ledger.problem.scales[0])
        if left > 0 and not climbing:
            proposed = self._propose(ledger, min(left, room))
            if proposed:
                return proposed
        if ledger.pending and not climbing:
            return []
        return self._correct(ledger)

    def _propose(self, ledger: Ledger, n: int) -> list[RunSpec]:
        problem, first = ledger.problem, ledger.problem.scales[0]
        W, rng, avoid = ledger.weights(first), ledger.rng(), ledger.avoid(first)
        space, composite = problem.space, self.law in {"auto", "gp"}
        # One optimum a round; without rounds, one run in as many.
        explore = bool(ledger.pending) and ledger.asked % self.batch > 0
        if composite and (len(W) >= _MANY or explore):
            surrogate = fit_scales(ledger)
            found = propose(surrogate, space, n, runs=W, pending=avoid, rng=rng)
        else:
            surrogate = self._surrogate(ledger, laws.law(self.law))
            first_n = 1 if composite else n
            found = proposers.propose_batch(surrogate, space, first_n, W=W, pending=avoid, rng=rng)
        gain, noise = float(gains(surrogate, found, W).max()), surrogate.noise(found)
        if self.stop and gain < self.stop * noise:
            return []
        again = list[RunSpec]()
        if n > 1 and gain < self.replicate * noise:
            again = self._replicate(ledger, surrogate)
        new = n - len(again)
        if len(found) < new:
            pending = found if avoid is None else np.vstack([avoid, found])
            more = propose(
                fit_scales(ledger), space, new - len(found), runs=W, pending=pending, rng=rng
            )
            found = np.vstack([found, more])
        specs = [problem.run(problem.space.mixture(w), PROPOSAL) for w in found[:new]]
        return [*specs, *again]

    def _replicate(self, ledger: Ledger, surrogate: Surrogate) -> list[RunSpec]:
        """The best mixture so far by posterior mean, once more, with a seed of its own."""
        runs = ledger.at(ledger.problem.scales[0])
        values = surrogate.value(ledger.weights(ledger.problem.scales[0]))
        mixture = runs[int(values.argmin())].spec.mixture
        before = sum(o.spec.mixture == mixture for o in ledger.runs)
        seed = ledger.problem.seed + _REPLICATES + before
        return [ledger.problem.run(mixture, REPEAT, seed=seed)]

    def _correct(self, ledger: Ledger) -> list[RunSpec]:
        """The next runs above the smallest scale; none when all were made, or there is none."""
        problem, target = ledger.problem, ledger.problem.target
        left = self.corrections - ledger.count(target)
        if len(problem.scales) == 1 or left <= 0:
            return []
        # What the search at the smallest scale was to cost is spent; one target run more may go
        # to the scales in between.
        searched = (self.design + self.proposals) * problem.cost(problem.scales[0])
        ladder = LadderSearch(
            design=0,
            runs=ledger.asked + left,
            proxies=self.corrections,
            allowance=searched / problem.cost(target) + 1.0,
            wait=self.wait,
            memo=self.memo,
        )
        asked = ladder.next(problem, ledger.runs, ledger.pending)
        return [replace(s, kind=CORRECTION) if s.kind == PROPOSAL else s for s in asked]

    def _surrogate(self, ledger: Ledger, law: Law) -> Surrogate:
        """The law at the smallest scale; the ladder once there are other scales or studies."""
        problem, runs = ledger.problem, ledger.every()
        if problem.earlier or len(ledger.at(problem.scales[0])) < len(runs):
            return fit_scales(ledger)
        return learn(runs, problem.objective, problem.space, law, rng=ledger.rng())

    def _confirmation(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        pending: Sequence[RunSpec],
        ledger: Ledger,
    ) -> list[RunSpec]:
        """Candidates times seeds. A recommendation that was sent to confirmation once stands."""
        if not self.confirm_seeds:
            return []
        specs = [*(o.spec for o in observations), *pending]
        confirmed = Kind.confirmation(RECOMMENDED)
        sent = next((s.mixture for s in specs if s.kind == confirmed), None)
        recommended = sent or self._recommend(ledger)
        named = {RECOMMENDED: recommended, **self._baselines(problem)}
        random = [o for o in ledger.runs if o.ok and o.spec.kind == DESIGN]
        if random:
            best = min(random, key=lambda o: objective_of(o.metrics, problem.objective))
            named[BEST_RANDOM] = best.spec.mixture
        seeds = range(problem.seed + 1, problem.seed + 1 + self.confirm_seeds)
        return [
            problem.run(mixture, Kind.confirmation(name), scale=problem.scales[-1], seed=seed)
            for seed in seeds
            for name, mixture in _distinct(named).items()
        ]

    def _recommend(self, ledger: Ledger) -> Mixture:
        surrogate = self._surrogate(ledger, laws.law(self.law))
        space, W = ledger.problem.space, ledger.every().W
        return proposers.recommend(surrogate, space, W=W, rng=ledger.rng()).mixture

    def _baselines(self, problem: Problem) -> dict[str, Mixture]:
        known = designs.baselines(problem.space)
        singles = designs.singles(problem.space) if self.singles else {}
        return {**known, **{f"only-{name}": m for name, m in singles.items()}}


def _given(problem: Problem) -> bool:
    """Whether the runs to choose from, or what every scale costs, are given."""
    return bool(problem.pool or problem.costs)


def _distinct(named: dict[str, Mixture]) -> dict[str, Mixture]:
    kept: dict[str, Mixture] = {}
    arrays: list[Array] = []
    for name, mixture in named.items():
        if all(np.abs(mixture.array - other).sum() > 1e-6 for other in arrays):
            kept[name] = mixture
            arrays.append(mixture.array)
    return kept
