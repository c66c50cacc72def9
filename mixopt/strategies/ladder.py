"""Sequential search by composite Bayesian optimisation, over one scale or a ladder of them.

Every metric has its own Gaussian process (at several scales: recursive co-kriging, which lets go of
a scale that does not help), and the acquisition looks at the objective. With several scales each
decision is *where* first: the scale whose best run promises the largest fall of the target's
posterior mean per cost (knowledge gradient); at the target, the mixtures are then chosen by noisy
expected improvement. Proxies may spend no more than an allowance, so that one which misleads costs
little.

References: composite 1906.01537; noisy EI 1706.07094 in logs 2310.20708; co-kriging 1210.0686.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np

from mixopt.errors import InputError
from mixopt.laws.base import joint_of, mean_of
from mixopt.laws.features import FeatureName
from mixopt.laws.processes.cokriging import CoKriging
from mixopt.laws.processes.gp import GaussianProcess
from mixopt.laws.processes.scale_runs import ScaleRuns
from mixopt.laws.processes.truncated import Truncated
from mixopt.proposers import Surrogate
from mixopt.proposers.bayes import (
    Acquisition,
    candidates,
    choose,
    information,
    knowledge_gradient,
    lowest_values,
)
from mixopt.proposers.search import cloud
from mixopt.proposers.surrogate import fit_surrogate, fitted_metrics
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, PROPOSAL, REFERENCE
from mixopt.runs.objective import Objective
from mixopt.runs.reliability import resolved
from mixopt.runs.run_table import OBJECTIVE, RunTable, as_objective, last_words
from mixopt.space import simplex
from mixopt.space.numbers import MANY, Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem, Traits
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe, fitted_to, free_slots
from mixopt.strategies.unlearned import unlearned
from mixopt.threads import one_blas_thread

_SUBSET, _ITERATIONS = 192, 30  # of a fit: hyperparameters need no more, decisions are many
_LEAST = 2  # runs to fit anything to
_CONTRAST = 0.2  # Hellinger distance at which two runs show a difference
_APART = 0.1  # Hellinger distance between proxy runs of one round
_LOOK = 400  # mixtures at most among which the next proxy run is looked for
_PROXY_ROUND = 16


ScaleProcess = Literal["cokriging", "truncated"]
_PROCESSES: dict[ScaleProcess, type[CoKriging | Truncated]] = {
    "cokriging": CoKriging,
    "truncated": Truncated,
}


@dataclass(frozen=True)
class LadderSearch(Answers):
    """Settings.

    Attributes:
        design: random runs at the smallest scale before anything is fitted.
        runs: at most so many, all scales together.
        batch: runs per round at the target.
        acquisition: at the target, see `mixopt.proposers.bayes`.
        proxies: at most so many runs at every scale below the target.
        allowance: cost that proxies may spend before the first target run, in target runs.
        share: how much of what target runs cost proxies may add after it.
        composite: one process per metric; else one for the objective itself.
        features: of the processes, see `mixopt.laws.features`.
        contrast: make the second run at the target the natural mixture: only a difference between
            mixtures shows whether the proxies are right.
        caution: the answer minimises mean + caution sd of the objective.
        partial: also learn from points on the way of longer runs of the same size, where they lie
            at a scale's tokens; for trainers with a constant learning rate (see `Ledger.partial`).
        criterion: by which the scale is chosen, per cost: `"gain"` (knowledge gradient) or
            `"entropy"` (information about the lowest value).
        process: over several scales, `"cokriging"` (every scale on the one below) or
            `"truncated"` (all in one process with a bias that fades, as in BoTorch).
        wait: choose once all runs under way are in; else `batch` runs are kept under way, chosen
            with what those may show in mind.
    """

    design: Annotated[int, Within(0, MANY)] = 10
    runs: Runs = 64
    batch: Runs = 2
    acquisition: Acquisition = "nei"
    proxies: Annotated[int, Within(0)] = 96
    allowance: Annotated[float, Within(0, infinite=True)] = 1.0
    share: Annotated[float, Within(0, infinite=True)] = 0.1
    composite: bool = True
    features: FeatureName = "sqrt"
    contrast: bool = True
    caution: Annotated[float, Within(0)] = 0.5
    partial: bool = False
    criterion: Literal["gain", "entropy"] = "gain"
    process: ScaleProcess = "cokriging"
    wait: bool = True
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    traits: ClassVar[Traits] = Traits(earlier=True)

    def __post_init__(self) -> None:
        check_recipe(self)

    @one_blas_thread
    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The design, then rounds; a round waits for the one before, unless told not to."""
        ledger = Ledger.of(problem, observations, pending)
        first = problem.scales[0]
        whole = min(max(self.design, _LEAST), self.runs)
        missing = whole - ledger.count(first)
        if missing > 0:
            return ledger.design(whole, DESIGN, most=missing)
        room = min(free_slots(ledger, self.batch, self.wait), self.runs - ledger.asked)
        if room < 1:
            return []
        surrogate = self.surrogate(ledger)
        if ledger.pending and len(problem.scales) > 1:
            ledger = believed(ledger, surrogate)
            surrogate = self._fit(ledger)  # not remembered: its runs have yet to come in
        scale = problem.target
        picked: list[RunSpec] = []
        if len(problem.scales) > 1:
            if ledger.count(scale) == 1 and self.contrast:
                return self._contrast(ledger, [])
            scale, picked = self._where(ledger, surrogate)
        if scale == problem.target:
            picked = self._at_target(ledger, surrogate)
            if len(problem.scales) > 1 and self.contrast and not ledger.count(scale):
                picked = [*picked[:1], *(self._contrast(ledger, picked[:1]) if picked[1:] else [])]
        return picked[:room]

    def planned(self, problem: Problem) -> list[Scale]:
        """All runs, the first ones at the smallest scale, the rest as if at the target."""
        first = min(self.design, self.runs)
        return [problem.scales[0]] * first + [problem.target] * (self.runs - first)

    @one_blas_thread
    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The posterior-mean optimum at the target, with some caution.

        At one scale the best run as it was measured, where the process has learned nothing.
        """
        ledger = Ledger.of(problem, observations)
        surrogate = self.surrogate(ledger, every_metric=every_metric)
        if why := unlearned(surrogate):
            best = ledger.best_run()
            return Answer(best, surrogate, ledger.every(), notes=(why,), measured=True)
        mixture = ledger.answer(lambda W: surrogate.risk(W, self.caution))
        return Answer(mixture, surrogate, ledger.every())

    def surrogate(self, ledger: Ledger, *, every_metric: bool = False) -> Surrogate:
        """One process per metric, predicting the target scale."""
        made: Surrogate = self.memo.get(
            fitted_to(ledger, every_metric), lambda: self._fit(ledger, every_metric)
        )
        return made

    def _fit(self, ledger: Ledger, every_metric: bool = False) -> Surrogate:
        return fit_scales(
            ledger,
            quick_process(self.features),
            composite=self.composite,
            partial=self.partial,
            process=self.process,
            every_metric=every_metric,
        )

    def _at_target(self, ledger: Ledger, surrogate: Surrogate) -> list[RunSpec]:
        problem, target = ledger.problem, ledger.problem.target
        rng, avoid = ledger.rng(), ledger.avoid(target)
        batch = self.batch if len(problem.scales) == 1 else max(1, self.batch // 2)
        runs = ledger.weights(target if ledger.at(target) else problem.scales[0])
        X = ledger.candidates(
            target,
            lambda: candidates(surrogate, problem.space, runs=runs, rng=rng, pending=avoid),
        )
        if not len(X):
            return []
        how = self.acquisition
        rows = choose(surrogate, X, batch, runs=runs, rng=rng, pending=avoid, acquisition=how)
        return [problem.run(problem.space.mixture(X[i]), PROPOSAL, scale=target) for i in rows]

    def _contrast(self, ledger: Ledger, chosen: Sequence[RunSpec]) -> list[RunSpec]:
        """The natural mixture (in a pool the nearest to it), or another if the first run was it."""
        problem, target = ledger.problem, ledger.problem.target
        space, natural = problem.space, problem.space.natural
        known = np.vstack([natural.array, space.uniform.array, np.eye(space.dim)])
        X = ledger.candidates(target, lambda: known[space.contains(known, 1e-9)])
        specs = [*(o.spec for o in ledger.runs), *ledger.pending, *chosen]
        first = np.array([s.mixture.array for s in specs if s.scale == target])
        far = simplex.hellinger_distance(X, first).min(axis=1) >= _CONTRAST
        X = X[far] if far.any() else X
        if not len(X):
            return []
        near = simplex.hellinger_distance(X, natural.array[None])[:, 0]
        mixture = problem.space.mixture(X[int(near.argmin())])
        return [problem.run(mixture, REFERENCE, scale=target)]

    def _where(self, ledger: Ledger, surrogate: Surrogate) -> tuple[Scale, list[RunSpec]]:
        """The scale with the most gain per cost, and the runs there if it is a proxy."""
        problem = ledger.problem
        price = problem.cost(problem.target)
        spent = {s: ledger.count(s) * problem.cost(s) / price for s in problem.scales}
        room = self.allowance + self.share * spent[problem.target]
        room -= sum(spent[s] for s in problem.scales[:-1])
        A = self._answers(ledger, surrogate)
        best, choice = -np.inf, (problem.target, list[RunSpec]())
        for scale in problem.scales[::-1]:
            cost, proxy = problem.cost(scale) / price, scale != problem.target
            n = int(np.clip(0.02 / cost, self.batch, _PROXY_ROUND)) if proxy else 1
            if proxy:
                n = min(n, self.proxies - ledger.count(scale), int(min(room / cost, 1e9) + 1e-9))
            X = self._options(ledger, scale, A)
            if n < 1 or not len(X):
                continue
            gain = _gains(surrogate, A, X, scale, self.criterion)
            if gain.max() - np.log(cost) > best:
                best = float(gain.max() - np.log(cost))
                rows = _apart(X, gain, n)
                specs = [
                    problem.run(problem.space.mixture(X[i]), PROPOSAL, scale=scale) for i in rows
                ]
                choice = (scale, specs)
        return choice

    def _answers(self, ledger: Ledger, surrogate: Surrogate) -> Array:
        """(a, m) mixtures among which the answer is."""
        X = ledger.answers(lambda: self._near_optimum(ledger, surrogate))
        return X[np.argsort(surrogate.value(X), kind="stable")[:_LOOK]]

    def _near_optimum(self, ledger: Ledger, surrogate: Surrogate) -> Array:
        """(a, m) mixtures of the space where the optimum may be."""
        problem = ledger.problem
        runs = np.vstack([ledger.weights(s) for s in problem.scales if ledger.at(s)])
        starts = runs[np.argsort(surrogate.value(runs), kind="stable")[:16]]
        space, rng = problem.space, ledger.rng()
        wide = cloud(space, _LOOK, rng, around=starts)
        X = np.vstack([starts, wide, cloud(space, _LOOK, rng, around=starts, local=True)])
        X = space.round(X)
        mean, sd = surrogate.moments(X)
        return X[np.argsort(mean - sd, kind="stable")[: _LOOK // 2]]

    def _options(self, ledger: Ledger, scale: Scale, answers: Array) -> Array:
        """(c, m) mixtures that can be run at a scale."""
        known = {m.weights for m in (o.spec.mixture for o in ledger.at(scale))}
        new = np.array([w for w in answers if tuple(w.tolist()) not in known])
        X = ledger.candidates(scale, lambda: new)
        return X if len(X) <= _LOOK else X[ledger.rng().permutation(len(X))[:_LOOK]]


def believed(ledger: Ledger, surrogate: Surrogate) -> Ledger:
    """Runs under way as if they had come out as expected: what they will show is not bought twice.

    Raises:
        InputError: the surrogate knows the objective alone, not the metrics of a run.
    """
    if surrogate.metrics == (OBJECTIVE,):
        raise InputError("wait: false over several scales needs a process per metric (composite)")
    expected = []
    for spec in ledger.pending:
        values = mean_of(surrogate.fitted, spec.mixture.array[None], _at(spec.scale))[0]
        metrics = dict(zip(surrogate.metrics, values.tolist(), strict=True))
        expected.append(Observation(spec, metrics=metrics))
    return Ledger.of(ledger.problem, [*ledger.runs, *expected])


def quick_process(features: str = "sqrt") -> GaussianProcess:
    """A Gaussian process for decisions, which are many: hyperparameters from few runs and steps."""
    return GaussianProcess(features=features, subset=_SUBSET, iterations=_ITERATIONS)


@one_blas_thread
def fit_scales(
    ledger: Ledger,
    law: GaussianProcess | None = None,
    *,
    composite: bool = True,
    partial: bool = False,
    process: ScaleProcess = "cokriging",
    every_metric: bool = False,
) -> Surrogate:
    """One process over scales per metric (or for the objective), fitted to the runs of every scale.

    Earlier studies are scales below the smallest scale. So how far they are believed is learned per
    metric like any transfer between scales: one that disagrees gets a slope near 0 and is left out.

    Args:
        ledger: the runs.
        law: of the smallest scale; `quick_process` by default.
        composite: one process per metric; else one for the objective.
        partial: also learn from points on the way, see `Ledger.partial`.
        process: how scales are related, see `LadderSearch`.
        every_metric: fit those too that the objective ignores.

    Raises:
        InputError: the smallest scale has too few runs, or an unknown metric.
    """
    problem, space = ledger.problem, ledger.problem.space
    more = [o for s in problem.scales for o in ledger.partial(s)] if partial else []
    known = [o for o in (*ledger.runs, *more) if o.ok]
    if not any(o.spec.scale == problem.scales[0] for o in known):
        raise InputError(
            f"none of {len(ledger.runs)} runs succeeded at {problem.scales[0]}, the smallest "
            f"scale; there is nothing to fit{last_words(ledger.runs)}"
        )
    runs, earlier = RunTable.from_observations(known, space.names), problem.earlier
    objective = problem.objective
    if not composite:
        units = resolved(objective, runs)
        runs, *before = (as_objective(table, units) for table in (runs, *earlier))
        objective, earlier = Objective.of(OBJECTIVE), tuple(before)
    names = fitted_metrics(runs, objective, every_metric=every_metric)
    if every_metric:
        names = _begun(names, runs, earlier, problem)
        runs = runs.only(names)
    made = _PROCESSES[process](
        law or quick_process(),
        tuple(s.sizes for s in problem.scales),
        tuple(ScaleRuns(table.W, table.values(names)) for table in earlier),
    )
    return fit_surrogate(
        runs,
        objective,
        space,
        made,
        rng=ledger.rng(),
        every_metric=every_metric,
        target=problem.target,
    )


def _begun(
    names: Sequence[str], runs: RunTable, earlier: Sequence[RunTable], problem: Problem
) -> tuple[str, ...]:
    """The metrics that a process over scales can start from: its first runs have measured them.

    A metric that only later runs have (the validation set of a domain that has come in since) is
    not predicted; one that the objective needs stays, and is refused where it is fitted.
    """
    small = problem.scales[0]
    first = earlier[0] if earlier else runs.take((runs.scales == _at(small)).all(axis=1))
    known = np.atleast_1d(np.isfinite(first.values(names)).any(axis=0))
    needed = set(problem.objective.needed)
    return tuple(n for n, some in zip(names, known, strict=True) if some or n in needed)


def _at(scale: Scale) -> Array:
    """(2,) parameters and tokens, as laws take them."""
    return np.array(scale.sizes)


def _gains(
    surrogate: Surrogate, A: Array, X: Array, scale: Scale, criterion: Literal["gain", "entropy"]
) -> Array:
    """(c,) log of what one run at mixtures X and a scale is worth for the answer among A."""
    fitted, at = surrogate.fitted, _at(scale)
    weights = surrogate.objective.coefficients(surrogate.metrics) ** 2
    total = fitted.predict(X, at).total_sd ** 2 @ weights
    mean = surrogate.value(A)
    if criterion == "gain":
        cov = np.einsum("k,kax->xa", weights, joint_of(fitted, A, X, scale_B=at))
        return knowledge_gradient(mean, cov, total)
    lowest = lowest_values(mean, surrogate.moments(A)[1])
    own = surrogate.moments(X)
    shared = np.array(
        [weights @ joint_of(fitted, x[None], x[None], scale_B=at)[:, 0, 0] for x in X]
    )
    correlation = shared / np.sqrt(np.maximum(own[1] ** 2 * total, 1e-30))
    return information(own[0], own[1], lowest, correlation)


def _apart(X: Array, gain: Array, n: int) -> list[int]:
    """Positions of n rows of the highest gain, not too near to each other while that lasts."""
    order = np.argsort(-gain, kind="stable")
    chosen: list[int] = []
    for i in order:
        if len(chosen) == n:
            break
        if not chosen or simplex.hellinger_distance(X[[i]], X[chosen]).min() >= _APART:
            chosen.append(int(i))
    rest = [int(i) for i in order if i not in chosen]
    return [*chosen, *rest][:n]
