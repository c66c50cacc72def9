"""Ours: a space-covering design, rounds of proposals from fitted laws, then proof with fresh seeds.

1. `design` runs at the smallest scale: natural and uniform first, then RegMix's Dirichlet recipe
   (2407.01492);
2. `proposals` more in rounds of `batch`: laws are fitted per metric (2602.12237); the batch is the
   predicted optimum, then mixtures chosen by one Gaussian process per metric (composite Bayesian
   optimisation, 1906.01537), pending runs conditioned on;
3. the posterior-mean optimum is trained with fresh seeds at the largest scale, beside the
   baselines and the best run of the design.

All search runs share one seed (common random numbers); confirmation never reuses it.

Where the runs to choose from are given (a pool), or the cost of every scale is, each decision is
also at which scale to run (see `ladder`), and nothing is confirmed: a pool holds no fresh seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mixopt import laws, proposers
from mixopt.errors import InputError
from mixopt.promotion import BEST_RANDOM, CONFIRM, RECOMMENDED, objective_of
from mixopt.proposers import Surrogate
from mixopt.proposers.bayes import gains, propose
from mixopt.proposers.learn import learn, weights_in
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.simplex import Array
from mixopt.space import Mixture
from mixopt.strategies.base import Problem
from mixopt.strategies.ladder import LadderSearch
from mixopt.strategies.parts import Ledger, Memo
from mixopt.table import RunTable

_DESIGN, _PROPOSAL = "design", "proposal"


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
    """

    design: int = 32
    proposals: int = 16
    batch: int = 4
    law: str = "auto"
    confirm_seeds: int = 3
    singles: bool = True
    stop: float = 0.0
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        least = {"design": 3, "proposals": 0, "batch": 1, "confirm_seeds": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise InputError(f"{name} is {value!r}; give a whole number of at least {low}")
        if self.law not in laws.LAWS:
            laws.law(self.law)  # raises with the list of known names
        if not 0.0 <= self.stop < np.inf:
            raise InputError(f"stop is {self.stop!r}; give a number of noise sds, 0 or more")

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
        # By identity, not by arrival: the order in which workers finish must not matter.
        arrived = [o for o in observations if not o.spec.purpose.startswith(CONFIRM)]
        search = sorted(arrived, key=lambda o: o.run_id)
        searching = [spec for spec in pending if not spec.purpose.startswith(CONFIRM)]
        left = self.design + self.proposals - len(search) - len(searching)
        if searching:
            return []  # a round is fitted to all runs before it, so that a resume repeats it
        if left > 0:
            proposed = self._propose(problem, search, min(left, self.batch))
            if proposed:
                return proposed
        confirmation = self._confirmation(problem, observations, pending, search)
        return [spec for spec in confirmation if spec.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:
        """Design, proposals, and every candidate with every seed."""
        if _given(problem):
            return self._ladder.planned(problem)
        candidates = 2 + len(self._baselines(problem)) if self.confirm_seeds else 0
        search = [problem.scales[0]] * (self.design + self.proposals)
        return search + [problem.scales[-1]] * (candidates * self.confirm_seeds)

    def recommend(self, problem: Problem, observations: Sequence[Observation]) -> Mixture:
        """The posterior-mean optimum; the one that was sent to confirmation, if any was."""
        if _given(problem):
            return self._ladder.recommend(problem, observations)
        confirmed = CONFIRM + RECOMMENDED
        sent = (o.spec.mixture for o in observations if o.spec.purpose == confirmed)
        ledger = Ledger.of(problem, observations)
        return next(sent, None) or self._recommend(problem, ledger.runs)

    @property
    def _ladder(self) -> LadderSearch:
        return LadderSearch(
            design=self.design,
            runs=self.design + self.proposals,
            batch=self.batch,
            memo=self.memo,
        )

    def _design(self, problem: Problem) -> list[RunSpec]:
        space = problem.space
        known = np.array([m.array for m in dict.fromkeys((space.natural, space.uniform))])
        random = proposers.design(
            "regmix",
            space,
            self.design - len(known),
            rng=_rng(problem, 0),
            existing=known,
        )
        mixtures = [space.mixture(w) for w in np.vstack([known, random])]
        return [problem.run(mixture, _DESIGN) for mixture in mixtures]

    def _propose(self, problem: Problem, search: Sequence[Observation], n: int) -> list[RunSpec]:
        runs = RunTable.from_observations(search, problem.space.names)
        rng, W = _rng(problem, len(search)), weights_in(problem.space, runs)
        surrogate = learn(runs, problem.objective, problem.space, laws.law(self.law), rng=rng)
        failed = np.array([o.spec.mixture.array for o in search if not o.ok])
        avoid = failed if len(failed) else None  # do not ask again for what has failed
        composite = self.law in {"auto", "gp"}
        first = proposers.propose_batch(
            surrogate, problem.space, 1 if composite else n, W=W, pending=avoid, rng=rng
        )
        if self.stop and _settled(surrogate, first, W, self.stop):
            return []
        if composite and n > 1:
            process = learn(runs, problem.objective, problem.space, laws.law("gp"), rng=rng)
            pending = first if avoid is None else np.vstack([avoid, first])
            more = propose(process, problem.space, n - 1, runs=W, pending=pending, rng=rng)
            first = np.vstack([first, more])
        W = first
        return [problem.run(problem.space.mixture(w), _PROPOSAL) for w in W]

    def _confirmation(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        pending: Sequence[RunSpec],
        search: Sequence[Observation],
    ) -> list[RunSpec]:
        """Candidates times seeds. A recommendation that was sent to confirmation once stands."""
        if not self.confirm_seeds:
            return []
        specs = [*(o.spec for o in observations), *pending]
        sent = next((s.mixture for s in specs if s.purpose == CONFIRM + RECOMMENDED), None)
        recommended = sent or self._recommend(problem, search)
        named = {RECOMMENDED: recommended, **self._baselines(problem)}
        random = [o for o in search if o.ok and o.spec.purpose == _DESIGN]
        if random:
            best = min(random, key=lambda o: objective_of(o.metrics, problem.objective))
            named[BEST_RANDOM] = best.spec.mixture
        seeds = range(problem.seed + 1, problem.seed + 1 + self.confirm_seeds)
        return [
            problem.run(mixture, CONFIRM + name, scale=problem.scales[-1], seed=seed)
            for seed in seeds
            for name, mixture in _distinct(named).items()
        ]

    def _recommend(self, problem: Problem, search: Sequence[Observation]) -> Mixture:
        runs = RunTable.from_observations(search, problem.space.names)
        rng = _rng(problem, len(search))
        surrogate = learn(runs, problem.objective, problem.space, laws.law(self.law), rng=rng)
        W = weights_in(problem.space, runs)
        return proposers.recommend(surrogate, problem.space, W=W, rng=rng).mixture

    def _baselines(self, problem: Problem) -> dict[str, Mixture]:
        known = proposers.baselines(problem.space)
        singles = proposers.singles(problem.space) if self.singles else {}
        return {**known, **{f"only-{name}": m for name, m in singles.items()}}


def _given(problem: Problem) -> bool:
    """Whether the runs to choose from, or what every scale costs, are given."""
    return bool(problem.pool or problem.costs)


def _settled(surrogate: Surrogate, proposed: Array, runs: Array, share: float) -> bool:
    """Whether the best expected gain is below a share of the noise of one run."""
    best = float(gains(surrogate, proposed, runs).max())
    return best < share * surrogate.noise(proposed)


def _rng(problem: Problem, step: int) -> np.random.Generator:
    """The same random numbers for the same problem and the same number of runs."""
    return np.random.default_rng([problem.seed, step])


def _distinct(named: dict[str, Mixture]) -> dict[str, Mixture]:
    kept: dict[str, Mixture] = {}
    arrays: list[Array] = []
    for name, mixture in named.items():
        if all(np.abs(mixture.array - other).sum() > 1e-6 for other in arrays):
            kept[name] = mixture
            arrays.append(mixture.array)
    return kept
