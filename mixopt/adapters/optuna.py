"""Optuna both ways: our search inside a study, and Optuna's samplers as strategies.

study = optuna.create_study(storage=..., sampler=MixtureSampler(space))
def objective(trial):
    mixture = suggest_mixture(trial, space)
    metrics = train(mixture)
    trial.set_user_attr("metrics", metrics)   # optional: one process per metric
    return mean(metrics.values())

`to_optuna` and `from_optuna` turn whole studies into each other, for Optuna's plots and dashboard,
and for our laws, gates and reports on trials that there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from mixopt import designs
from mixopt.adapters.optuna_studies import (
    METRICS,
    MIXTURE,
    PREFIX,
    VALUE,
    from_optuna,
    mixture_of,
    to_optuna,
)
from mixopt.errors import InputError, did_you_mean
from mixopt.laws.processes.gp import GaussianProcess
from mixopt.proposers.bayes import propose
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, PROPOSAL
from mixopt.runs.objective import Objective, objective_of
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture, MixtureSpace, simplex
from mixopt.space.numbers import MANY, Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem
from mixopt.strategies.ledger import Ledger, Runs, check_recipe

__all__ = ["MixtureSampler", "OptunaSearch", "from_optuna", "suggest_mixture", "to_optuna"]

_SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "qmc": "QMCSampler",
}
_LOGIT = 4.0  # logits within +-4 reach shares from 1e-3 or so up to nearly 1


def suggest_mixture(trial: Trial, space: MixtureSpace) -> Mixture:
    """The trial's mixture, within the constraints; kept with the trial as `mixture`.

    Works with any sampler: weights that are off the simplex (another sampler has no idea of it) are
    scaled to sum to 1 and moved into the constraints.
    """
    raw = np.array([trial.suggest_float(PREFIX + name, 0.0, 1.0) for name in space.names])
    w = raw / raw.sum() if raw.sum() > 0 else space.prior
    if not bool(space.contains(w, 1e-9)[0]):
        w = space.project(w, metric="kl")
    mixture = space.mixture(w)
    trial.set_user_attr(MIXTURE, mixture.to_dict())
    return mixture


class MixtureSampler(BaseSampler):  # type: ignore[misc] # Optuna's base is untyped here
    """Composite Bayesian optimisation of mixture weights inside an Optuna study.

    Weights are the parameters `w/<domain>`; all other parameters go to `others`. Finished trials
    are read off the study (any storage), running ones are pending. Where every trial kept its
    metrics as the user attribute `metrics`, one process per metric is fitted to `objective`.

    Args:
        space: the mixtures that are allowed.
        objective: over the metrics kept with the trials; the trial's value if left out.
        startup: trials drawn at random before anything is fitted.
        seed: of all random numbers.
        others: sampler of parameters that are no weights; random if left out.
    """

    def __init__(
        self,
        space: MixtureSpace,
        objective: Objective | None = None,
        *,
        startup: int = 10,
        seed: int = 0,
        others: BaseSampler | None = None,
    ) -> None:
        if startup < 2:
            raise InputError(f"startup is {startup}; give at least 2, a law needs two mixtures")
        self._space, self._objective = space, objective
        self._startup, self._seed = startup, seed
        self._others = others or RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The weights, all at once."""
        del study, trial
        return {PREFIX + name: FloatDistribution(0.0, 1.0) for name in self._space.names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The weights of the next trial.

        Raises:
            InputError: the study has several objectives.
        """
        if len(study.directions) != 1:
            raise InputError(
                f"the study has {len(study.directions)} objectives; MixtureSampler takes one: "
                "weigh them in an Objective over the trials' metrics"
            )
        trials = study.get_trials(deepcopy=False)
        rng = np.random.default_rng([self._seed, trial.number])
        done = [
            t for t in trials if t.state == TrialState.COMPLETE and self._weights(t) is not None
        ]
        running = [
            w
            for t in trials
            if t.state in {TrialState.RUNNING, TrialState.FAIL} and t.number != trial.number
            and (w := self._weights(t)) is not None
        ]  # fmt: skip
        pending = np.array(running) if running else None
        if len(done) < self._startup:
            known = [w for t in done if (w := self._weights(t)) is not None] + running
            existing = np.array(known) if known else None
            w = designs.design("regmix", self._space, 1, rng=rng, existing=existing)[0]
        else:
            w = self._propose(study, done, pending, rng)
        return dict(zip(search_space, w.tolist(), strict=True))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A parameter that is no weight."""
        return self._others.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """For parallel workers of one process tree; ours depends on the trial's number alone."""
        self._others.reseed_rng()

    def _weights(self, trial: FrozenTrial) -> Array | None:
        """(m,) the mixture of a trial, None where it has none."""
        return mixture_of(trial, self._space)

    def _propose(
        self,
        study: Study,
        done: Sequence[FrozenTrial],
        pending: Array | None,
        rng: np.random.Generator,
    ) -> Array:
        W = np.array([self._weights(t) for t in done])
        objective = self._objective
        if objective is not None and all(METRICS in t.user_attrs for t in done):
            names = tuple(sorted(set.intersection(*(set(t.user_attrs[METRICS]) for t in done))))
            objective.check(names)
            Y = np.array([[t.user_attrs[METRICS][k] for k in names] for t in done], dtype=float)
        else:
            higher = study.direction == StudyDirection.MAXIMIZE
            objective = Objective.of((), VALUE) if higher else Objective.of(VALUE)
            names, Y = (VALUE,), np.array([[t.value] for t in done], dtype=float)
        runs = RunTable(self._space.names, names, W, Y, pd.DataFrame(index=range(len(W))))
        surrogate = fit_surrogate(runs, objective, self._space, GaussianProcess(), rng=rng)
        W = propose(surrogate, self._space, 1, runs=W, pending=pending, rng=rng)
        return np.asarray(W[0])


@dataclass(frozen=True)
class OptunaSearch(Answers):
    """Any Optuna sampler as a strategy: it searches logits, the mixture is their softmax.

    The study is rebuilt from what is known at every call, so nothing is kept outside the store. The
    best run is the answer: most samplers have no model to ask. In a pool the nearest mixture that
    is left stands for the one proposed.

    Attributes:
        sampler: one of `tpe`, `random`, `cmaes`, `gp`, `qmc`.
        design: random runs before it.
        runs: at most.
        batch: how many at once.
    """

    sampler: str = "tpe"
    design: Annotated[int, Within(0, MANY)] = 10
    runs: Runs = 48
    batch: Runs = 4

    def __post_init__(self) -> None:
        check_recipe(self)
        if self.sampler not in _SAMPLERS:
            raise InputError(
                f"unknown Optuna sampler {self.sampler!r}; {did_you_mean(self.sampler, _SAMPLERS)}"
            )

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The design, then what the sampler asks for."""
        ledger = Ledger.of(problem, observations, pending)
        whole = min(self.design, self.runs)
        missing = whole - ledger.asked
        if missing > 0:
            return ledger.design(whole, DESIGN, scale=problem.target, most=missing)
        n = min(self.batch, self.runs - ledger.asked)
        if ledger.pending or n < 1:
            return []
        study = self._study(ledger)
        space, target = problem.space, problem.target
        asked = np.array([_softmax(self._ask(study, space)) for _ in range(n)])
        allowed = space.round(space.project(asked, metric="kl"))
        X = ledger.candidates(target, lambda: allowed)
        chosen: list[int] = []
        for w in allowed[: len(X)]:
            away = simplex.hellinger_distance(X, w[None])[:, 0]
            away[chosen] = np.inf
            chosen.append(int(away.argmin()))
        return [problem.run(space.mixture(X[i]), PROPOSAL, scale=target) for i in chosen]

    def planned(self, problem: Problem) -> list[Scale]:
        """All runs at the target."""
        return [problem.target] * self.runs

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The best run."""
        del every_metric
        return Answer(Ledger.of(problem, observations).best_run())

    def _study(self, ledger: Ledger) -> Study:
        """A study in memory that has seen the runs."""
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        seed = int(ledger.rng().integers(2**31))
        made = getattr(optuna.samplers, _SAMPLERS[self.sampler])(seed=seed)
        study = optuna.create_study(sampler=made)
        optuna.logging.set_verbosity(before)
        names = ledger.problem.space.names
        limits = {PREFIX + n: FloatDistribution(-_LOGIT, _LOGIT) for n in names}
        for seen in ledger.at(ledger.problem.target):
            logits = _logits(seen.spec.mixture.array)
            value = objective_of(seen.metrics, ledger.objective)
            params = dict(zip(limits, logits.tolist(), strict=True))
            study.add_trial(create_trial(params=params, distributions=limits, value=value))
        return study

    def _ask(self, study: Study, space: MixtureSpace) -> Array:
        trial = study.ask()
        return np.array([trial.suggest_float(PREFIX + n, -_LOGIT, _LOGIT) for n in space.names])


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def _logits(w: Array) -> Array:
    """Logits of which w is nearly the softmax."""
    logs = np.log(w + 1e-3)
    return np.asarray(np.clip(logs - 0.5 * (logs.max() + logs.min()), -_LOGIT, _LOGIT))
