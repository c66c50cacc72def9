"""Published sequential recipes over several scales, on BoTorch as their papers run them.

One process stands for the objective; every run is chosen by what it is worth at the target per
cost. Ours is `ladder`: one process per metric, and proxies that mislead are let go.

References: ADMIRE-BayesOpt 2508.11551; MFMS 2503.21023
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from mixopt.designs.base import GRID, distinct
from mixopt.errors import InputError
from mixopt.laws.base import Ints
from mixopt.lazy import load, require
from mixopt.proposers import Surrogate
from mixopt.proposers.search import cloud
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, PROPOSAL
from mixopt.runs.objective import Objective
from mixopt.runs.reliability import resolved
from mixopt.runs.run_table import OBJECTIVE, RunTable, as_objective, last_words
from mixopt.space.numbers import MANY, Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem, Traits
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe, fitted_to, free_slots
from mixopt.threads import one_blas_thread

_HERE = "mixopt.proposers.botorch_scales"
_CLOUD = 400  # mixtures of a space that are looked at, and half as many around the best of them


@dataclass(frozen=True)
class Published(Answers):
    """Settings.

    Attributes:
        recipe: `"admire"` (linear-truncated kernel, max-value entropy per cost) or `"mfms"` (decay
            kernels over parameters and tokens, expected improvement one step ahead per cost).
        design: random runs at the smallest scale before anything is chosen.
        runs: at most so many, all scales together.
        batch: runs per round, each chosen with those before it as under way.
        partial: also learn from points on the way of longer runs of the same size, where they lie
            at a scale's tokens; for trainers with a constant learning rate (see `Ledger.partial`).
        wait: choose once all runs under way are in; else `batch` runs are kept under way.
        iterations: of BoTorch's optimiser at most, per fit.
    """

    recipe: Literal["admire", "mfms"]
    design: Annotated[int, Within(1, MANY)] = 1
    runs: Runs = 64
    batch: Runs = 1
    partial: bool = False
    wait: bool = True
    iterations: Annotated[int, Within(1)] = 200
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    traits: ClassVar[Traits] = Traits()

    def __post_init__(self) -> None:
        check_recipe(self)
        require("botorch")  # before anything is trained

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Refuse guards, which one process for the objective cannot see.

        Raises:
            InputError: the objective has guards, or names metrics that runs do not have.
        """
        problem.objective.check(metrics)
        self.check_question(problem.objective, problem.config)

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Refuse guards.

        Raises:
            InputError: see above.
        """
        del config
        _without_guards(objective, self.recipe)

    @one_blas_thread
    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The design, then rounds; a round waits for the one before, unless told not to."""
        ledger = Ledger.of(problem, observations, pending)
        whole = min(self.design, self.runs)
        missing = whole - ledger.count(problem.scales[0])
        if missing > 0:
            return ledger.design(whole, DESIGN, most=missing)
        room = min(free_slots(ledger, self.batch, self.wait), self.runs - ledger.asked)
        picked: list[RunSpec] = []
        surrogate = self._surrogate(ledger) if room > 0 else None
        while surrogate is not None and len(picked) < min(room, self.batch):
            one = self._choose(replace(ledger, pending=(*ledger.pending, *picked)), surrogate)
            if one is None:
                break
            picked.append(one)
        return picked

    def planned(self, problem: Problem) -> list[Scale]:
        """All runs, the first ones at the smallest scale, the rest as if at the target."""
        first = min(self.design, self.runs)
        return [problem.scales[0]] * first + [problem.target] * (self.runs - first)

    @one_blas_thread
    def answer(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        *,
        every_metric: bool = False,  # noqa: ARG002
    ) -> Answer:
        """The posterior-mean optimum at the target; its model knows the objective alone.

        Raises:
            InputError: fewer than two mixtures have been run.
        """
        ledger = Ledger.of(problem, observations)
        surrogate = self._surrogate(ledger, chosen=False)
        return Answer(ledger.answer(surrogate.value), surrogate, ledger.every())

    def _surrogate(self, ledger: Ledger, *, chosen: bool = True) -> Surrogate:
        """The one process; where one mixture was run, and a run is to be chosen, as it begins."""
        _without_guards(ledger.problem.objective, self.recipe)
        runs = self._runs(ledger)
        begin = chosen and len(np.unique(np.round(runs.W, 9), axis=0)) == 1
        made: Surrogate = self.memo.get(
            fitted_to(ledger, begin), lambda: self._fit(ledger, runs, begin=begin)
        )
        return made

    def _runs(self, ledger: Ledger) -> RunTable:
        """The runs that the process learns from.

        Raises:
            InputError: none has succeeded.
        """
        problem = ledger.problem
        more = [o for s in problem.scales for o in ledger.partial(s)] if self.partial else []
        known = [o for o in (*ledger.runs, *more) if o.ok]
        if not known:
            raise InputError(f"no run succeeded; nothing can be fitted{last_words(ledger.runs)}")
        return RunTable.from_observations(known, problem.space.names)

    def _fit(self, ledger: Ledger, runs: RunTable, *, begin: bool) -> Surrogate:
        problem, space = ledger.problem, ledger.problem.space
        asked = problem.objective
        runs = as_objective(runs, resolved(asked, runs))
        objective = replace(Objective.of(OBJECTIVE), kl=asked.kl, kl_unit=asked.kl_unit)
        process = load("mixopt.laws.processes.botorch:BoTorchProcess")(
            kernel="truncated" if self.recipe == "admire" else "decay",
            scales=[s.sizes for s in problem.scales],
            costs=[problem.cost(s) for s in problem.scales],
            iterations=self.iterations,
        )
        if begin:
            several = len(problem.scales) > 1
            fitted = process.begin(runs.W, runs.Y, runs.scales if several else None)
            at = problem.target.sizes if several else None
            return Surrogate.of(fitted, objective, runs.metrics, space, at)
        return fit_surrogate(
            runs, objective, space, process, rng=ledger.rng(), target=problem.target
        )

    def _choose(self, ledger: Ledger, surrogate: Surrogate) -> RunSpec | None:
        """The run that is worth most per cost, of all scales; None where no mixture is left."""
        problem = ledger.problem
        look = self._mixtures(ledger, surrogate)
        parts = [ledger.candidates(s, partial(_new, ledger, s, look)) for s in problem.scales]
        number = np.repeat(np.arange(len(parts)), [len(X) for X in parts])
        if not len(number):
            return None
        W = np.vstack(parts)
        worth = self._worth(ledger, surrogate, W, number)
        scale = problem.scales[number[worth.argmax()]]
        if scale not in problem.pool:
            top = W[np.argsort(-worth, kind="stable")[:8]]
            near = cloud(problem.space, _CLOUD // 2, ledger.rng(), around=top, local=True)
            near = _new(ledger, scale, near)
            same = np.full(len(near), problem.scales.index(scale))
            W = np.vstack([W, near])
            worth = np.concatenate([worth, self._worth(ledger, surrogate, near, same)])
        return problem.run(problem.space.mixture(W[worth.argmax()]), PROPOSAL, scale=scale)

    def _worth(self, ledger: Ledger, surrogate: Surrogate, W: Array, number: Ints) -> Array:
        """(c,) what one run at mixtures W (c, m) and scales of these numbers is worth, per cost."""
        problem = ledger.problem
        if not len(W):
            return np.empty(0)
        sizes = np.array([s.sizes for s in problem.scales])
        several = len(problem.scales) > 1
        under_way = np.array([problem.scales.index(s.scale) for s in ledger.pending], dtype=int)
        options = load(f"{_HERE}:Options")(
            W,
            sizes[number] if several else None,
            np.array([s.mixture.array for s in ledger.pending]),
            sizes[under_way] if several else None,
        )
        seed = int(ledger.rng().integers(2**31))
        if not several:
            return np.asarray(load(f"{_HERE}:improvement")(surrogate.fitted, options, seed))
        if self.recipe == "admire":
            entropy = load(f"{_HERE}:information_per_cost")
            return np.asarray(entropy(surrogate.fitted, options, seed))
        costs = np.array([problem.cost(s) for s in problem.scales])[number]
        known = np.unique(ledger.every().W, axis=0)
        gain = load(f"{_HERE}:improvement_per_cost")
        return np.asarray(gain(surrogate.fitted, options, costs, known))

    def _mixtures(self, ledger: Ledger, surrogate: Surrogate) -> Array:
        """(c, m) mixtures of the space that are looked at, where it is no pool."""
        problem = ledger.problem
        if all(scale in problem.pool for scale in problem.scales):
            return np.empty((0, problem.space.dim))
        runs = np.unique(ledger.every().W, axis=0)
        starts = runs[np.argsort(surrogate.value(runs), kind="stable")[:16]]
        rng = ledger.rng()
        wide = cloud(problem.space, _CLOUD, rng, around=starts)
        near = cloud(problem.space, _CLOUD, rng, around=starts, local=True)
        return np.vstack([wide, near])


def admire(**settings: Any) -> Published:
    """ADMIRE-BayesOpt (2508.11551), on BoTorch as its authors run it; needs `mixopt[botorch]`.

    One process (`SingleTaskMultiFidelityGP`, linear-truncated kernel) for the objective; from one
    random run at the smallest scale on, each run is that of the most information about the lowest
    value at the target per cost (`qMultiFidelityMaxValueEntropy`, one sample, candidates at the
    runs so far); at one scale, of the largest log expected improvement. A run's fidelity is its
    share of the target's cost. A pool is looked at as a whole.

    Departs from the paper: the answer is the optimum of the posterior mean at the target (theirs
    over several scales is what the acquisition likes best, and they report the best so far, which
    nobody knows beforehand); outside a pool, which they never leave, mixtures are drawn and refined
    around the best.
    """
    return Published("admire", **settings)


def mfms(**settings: Any) -> Published:
    """MFMS (2503.21023), as far as BoTorch has it; needs `mixopt[botorch]`.

    One process for the objective: an RBF kernel on the mixture times an exponential decay over
    parameters and one over tokens; each run is that of the largest expected improvement at the
    target, one step ahead, per cost. It starts from eight random runs at the smallest scale.

    Departs from the paper: shares as they are in place of logits; improvement is on the best
    posterior mean at the target, where no run may have been made; points on the way of a run count
    only with `partial`; the answer is the optimum of the posterior mean at the target.
    """
    return Published("mfms", **{"design": 8, **settings})


def _without_guards(objective: Objective, recipe: str) -> None:
    if objective.guards:
        raise InputError(
            f"the objective guards {objective.guards[0].metric!r}, and {recipe!r} models the "
            "objective alone, so that it cannot hold guards; use 'auto', 'ladder' or 'pareto', or "
            "leave the guards out"
        )


def _new(ledger: Ledger, scale: Scale, W: Array) -> Array:
    """(c, m) of mixtures W those that can be run at a scale and were not asked for there."""
    space = ledger.problem.space
    specs = [*(o.spec for o in ledger.runs), *ledger.pending]
    known = np.array([s.mixture.array for s in specs if s.scale == scale])
    X = space.round(W, GRID)
    X = X[space.contains(X, 1e-7)]
    return np.asarray(X[distinct(X, known.reshape(-1, space.dim))])
