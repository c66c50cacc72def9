"""Do the experiments of a run interfere? From one checkpoint each alone, none, and all together.

Continual-pretraining dependence testing (2509.23383): a trunk of the base mixture without any
injection, and from where it stands runs that inject one of them, none (several seeds), or all. A
seed says what a run reads after the trunk, in which order, and where the injected texts stand; the
trunk is that of one seed. Every run gets the whole dose in its tail, so that the test is stricter
than a run in which it is spread over everything. The outcome of an experiment is the difference of
its probes and its control facts. What the runs say: `mixopt.diagnostics.dependence`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np

from mixopt.diagnostics.dependence import LEVEL, Dependence, dependence
from mixopt.errors import InputError
from mixopt.laws.excess import FittedExcess
from mixopt.proposers import Surrogate
from mixopt.runs import Kind, Observation, RunSpec, Scale, What
from mixopt.runs.objective import Objective, judged
from mixopt.runs.run_table import last_words
from mixopt.space import Mixture
from mixopt.space.numbers import Within
from mixopt.strategies.base import Answer, Answers, Problem, Traits, alike
from mixopt.strategies.known import known_ids
from mixopt.strategies.ledger import Ledger, check_recipe
from mixopt.strategies.trunk import base_mixture, check_trunk, parting

INJECTIONS, INJECT, SHARED_START = "injections", "inject", "shared_start"
"""Settings of a trainer that injects; see `mixopt.ports.Capabilities`."""
DIFFERENCE = "difference/"
"""How the metric of an experiment begins that is its outcome."""
NONE, ALL, ALONE = "without any", "with all", " alone"

_SEEDS = 1000  # seeds of the runs start so far above that of the trunk


@dataclass(frozen=True)
class DependenceTest(Answers):
    """Settings.

    Attributes:
        tail: share of a run that comes after the trunk.
        seeds: of the runs without any injection.
        base: domain to share; the natural mixture by default.
        level: chance that pairs are flagged of which none interferes.
        share_trunk: refuse a trainer that would train the trunk anew for every run.

    Raises:
        InputError: a setting out of range.
    """

    traits: ClassVar[Traits] = Traits(branches=True, injections=True)

    tail: Annotated[float, Within(0, 0.99, open=True)] = 0.2
    seeds: Annotated[int, Within(3, 1000)] = 3
    base: Mapping[str, float] | None = None
    level: Annotated[float, Within(0, 0.5, open=True)] = LEVEL
    share_trunk: bool = True

    def __post_init__(self) -> None:
        check_recipe(self)

    def parts_at(self, tokens: int) -> int:
        """Tokens at which a run of so many parts from the trunk."""
        return parting(tokens, self.tail)

    def branches(self, problem: Problem) -> int:
        """All runs but the first, which trains the trunk."""
        return self.seeds + len(experiments(problem.config))

    def fullest(self, problem: Problem) -> dict[str, Any]:
        """The configuration of the run that injects most, for checks before training."""
        return self._config(problem, experiments(problem.config))

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Refuse what cannot be tested.

        Raises:
            InputError: fewer than two experiments, an outcome that is not measured, a pool, a base
                beyond the constraints, a run too short for trunk and tail.
        """
        self.check_question(problem.objective, problem.config)
        names = experiments(problem.config)
        missing = next((n for n in names if DIFFERENCE + n not in metrics), None)
        if missing is not None:
            raise InputError(
                f"the trainer does not measure {DIFFERENCE + missing!r}, the outcome of "
                f"{missing!r}; take one that declares injects (proxies:LanguageModelTrainer does)"
            )
        if problem.pool:
            raise InputError("a pool holds runs without injections; leave the pool out")
        check_trunk(problem.space, self.base, problem.scales[:1], self.tail)

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Refuse fewer than two experiments.

        Raises:
            InputError: see above.
        """
        del objective
        names = experiments(config)
        if len(names) < 2:
            raise InputError(
                f"trainer.config has {len(names)} injections to run, and interference is between "
                "two or more; give them under 'injections'"
            )

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The run whose beginning is the trunk; once it is in, all others."""
        known = known_ids(observations, pending)
        first, *others = self._runs(problem).values()
        if first.run_id not in known:
            return [first]
        if first.run_id not in {o.run_id for o in observations}:
            return []
        return [spec for spec in others if spec.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:
        """N + s + 1 runs at the smallest scale."""
        return [problem.scales[0]] * (self.branches(problem) + 1)

    def together(self, problem: Problem, observations: Sequence[Observation]) -> list[int]:
        """The first run alone, then what injects the same; see `Configuring`."""
        known = {o.run_id for o in observations}
        first, *others = self._runs(problem).values()
        left = [spec for spec in others if spec.run_id not in known]
        return alike([] if first.run_id in known else [first]) + alike(left)

    def told(self, problem: Problem, observations: Sequence[Observation]) -> Dependence:
        """What the runs so far say of every pair.

        Raises:
            InputError: fewer than two runs without any injection have succeeded.
        """
        names = experiments(problem.config)
        seen = {o.run_id: o for o in observations}
        runs = {label: seen.get(spec.run_id) for label, spec in self._runs(problem).items()}
        rows = {label: _outcomes(run, names) for label, run in runs.items()}
        base = np.array([rows[_without(k)] for k in range(self.seeds)])
        if np.isfinite(base).all(axis=1).sum() < 2:
            failed = [run for run in runs.values() if run is not None]
            raise InputError(
                "fewer than two runs without any injection have succeeded, and nothing is known of "
                f"the noise{last_words(failed)}"
            )
        alone, joint = np.array([rows[name + ALONE] for name in names]).T, np.array(rows[ALL])
        return dependence(names, base=base, alone=alone, joint=joint, level=self.level)

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The base, with what the runs say of the experiments: no mixture is searched.

        Raises:
            InputError: fewer than two runs without any injection have succeeded.
        """
        del every_metric
        judged_runs = [judged(o, problem.objective) for o in observations]
        told = self.told(problem, judged_runs)
        ledger, base = Ledger.of(problem, judged_runs), self._base(problem)
        return Answer(
            base,
            self._surrogate(problem, judged_runs, ledger),
            ledger.table(problem.scales[0]),
            notes=tuple(told.lines()),
            measured=True,
            dependence=told,
        )

    def _surrogate(
        self, problem: Problem, observations: Sequence[Observation], ledger: Ledger
    ) -> Surrogate:
        """What the base was measured to be, for any mixture: for the record, not for search."""
        without = {
            spec.run_id for label, spec in self._runs(problem).items() if label.startswith(NONE)
        }
        seen = [o for o in observations if o.run_id in without and o.ok]
        metrics = tuple(dict.fromkeys([*problem.objective.needed, *seen[0].metrics]))
        Y = np.array([[o.metrics.get(name, np.nan) for name in metrics] for o in seen])
        noise, nothing = Y.std(axis=0, ddof=1), np.zeros((problem.space.dim, len(metrics)))
        law = FittedExcess(
            self._base(problem).array,
            self.tail,
            1.0,
            Y.mean(axis=0),
            noise / np.sqrt(len(Y)),
            nothing,
            nothing,
            noise,
        )
        return Surrogate(law, ledger.objective, metrics)

    def _base(self, problem: Problem) -> Mixture:
        return base_mixture(problem.space, self.base)

    def _config(self, problem: Problem, inject: Sequence[str]) -> dict[str, Any]:
        start = {"tokens": self.parts_at(problem.scales[0].tokens), "seed": problem.seed}
        return {**problem.config, INJECT: list(inject), SHARED_START: start}

    def _runs(self, problem: Problem) -> dict[str, RunSpec]:
        """All runs by what they are, each with a seed of its own; the first trains the trunk."""
        names = experiments(problem.config)
        injected: dict[str, Sequence[str]] = {_without(k): () for k in range(self.seeds)}
        injected |= {name + ALONE: (name,) for name in names} | {ALL: names}
        runs = {}
        for seed, (label, inject) in enumerate(injected.items(), start=problem.seed + _SEEDS):
            what = What.REFERENCE if label == _without(0) else What.BRANCH
            kind = Kind(what, label.partition("#")[0])
            spec = problem.run(self._base(problem), kind, seed=seed)
            runs[label] = replace(spec, config=self._config(problem, inject))
        return runs


def experiments(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the injections that a configuration has runs read."""
    every = config.get(INJECTIONS) or {}
    return tuple(config.get(INJECT, every))


def _without(number: int) -> str:
    return f"{NONE}#{number}"


def _outcomes(seen: Observation | None, names: Sequence[str]) -> list[float]:
    """(n,) outcomes of a run, NaN where it failed or is not in."""
    known = seen.metrics if seen is not None and seen.ok else {}
    return [known.get(DIFFERENCE + name, np.nan) for name in names]
