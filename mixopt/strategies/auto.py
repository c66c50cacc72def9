"""Ours: a space-covering design, rounds of proposals from fitted laws, then proof with fresh seeds.

1. `design` runs at the smallest scale: natural and uniform first, then RegMix's Dirichlet recipe
   (2407.01492);
2. `proposals` more in rounds of `batch`: laws are fitted per metric (2602.12237), and the batch is
   the predicted optimum with points of high expected improvement, pending runs conditioned on;
3. the posterior-mean optimum is trained with fresh seeds at the largest scale, beside the
   baselines and the best run of the design.

All search runs share one seed (common random numbers); confirmation never reuses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixopt import laws, proposers
from mixopt.errors import InputError
from mixopt.promotion import BEST_RANDOM, CONFIRM, RECOMMENDED, objective_of
from mixopt.proposers.learn import learn, weights_in
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.simplex import Array
from mixopt.space import Mixture
from mixopt.strategies.base import Problem
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
    """

    design: int = 32
    proposals: int = 16
    batch: int = 4
    law: str = "auto"
    confirm_seeds: int = 3
    singles: bool = True

    def __post_init__(self) -> None:
        least = {"design": 3, "proposals": 0, "batch": 1, "confirm_seeds": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise InputError(f"{name} is {value!r}; give a whole number of at least {low}")
        if self.law not in laws.LAWS:
            laws.law(self.law)  # raises with the list of known names

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The rest of the design, then a round of proposals, then the confirmation."""
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
            return self._propose(problem, search, min(left, self.batch))
        confirmation = self._confirmation(problem, observations, pending, search)
        return [spec for spec in confirmation if spec.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:
        """Design, proposals, and every candidate with every seed."""
        candidates = 2 + len(self._baselines(problem)) if self.confirm_seeds else 0
        search = [problem.scales[0]] * (self.design + self.proposals)
        return search + [problem.scales[-1]] * (candidates * self.confirm_seeds)

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
        rng = _rng(problem, len(search))
        surrogate = learn(runs, problem.objective, problem.space, laws.law(self.law), rng=rng)
        failed = np.array([o.spec.mixture.array for o in search if not o.ok])
        W = proposers.propose_batch(
            surrogate,
            problem.space,
            n,
            W=weights_in(problem.space, runs),
            pending=failed if len(failed) else None,  # do not ask again for what has failed
            rng=rng,
        )
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
