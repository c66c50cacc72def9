"""Mixture and hyperparameters at once: learning rate, quality threshold, sampling parameters.

A design over both, then rounds of noisy expected improvement from one Gaussian process per metric
over the joint space (see `mixopt.runs.knobs`), all at the smallest scale. The answer is a mixture
with the values of every knob; nothing is confirmed, since baselines have no values of their own.

References: noisy expected improvement 1706.07094; composite objectives 1906.01537.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy as np

from mixopt import designs
from mixopt.designs.base import distinct
from mixopt.errors import InputError
from mixopt.laws.slice import FittedSlice
from mixopt.proposers import Surrogate
from mixopt.proposers.bayes import Acquisition, choose, gains
from mixopt.proposers.search import cloud
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, PROPOSAL
from mixopt.runs.knobs import SearchSpace, Value, read_knobs
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable, last_words
from mixopt.space import Mixture
from mixopt.space.numbers import MANY, Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem, Traits, alike
from mixopt.strategies.ladder import quick_process
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe, fitted_to
from mixopt.threads import one_blas_thread

_CANDIDATES = 800
_ROUNDS = ((3, 12, 266, 400), (10, 4, 80, 100))
"""How often candidates are refined, around how many, by how many, and how many are kept: after the
last rounds gradients gain nothing more, and what they find is around one optimum alone."""


@dataclass(frozen=True)
class KnobSearch(Answers):
    """Settings.

    Attributes:
        design: runs before anything is fitted: the natural mixture in the middle of all knobs,
            then RegMix's mixtures with a Latin hypercube of values.
        runs: all in all.
        batch: runs per round.
        acquisition: see `mixopt.proposers.bayes`.
        caution: the answer minimises mean + caution sd of the objective.
    """

    traits: ClassVar[Traits] = Traits(knobs=True)

    design: Annotated[int, Within(3, MANY)] = 24
    runs: Annotated[int, Within(3, MANY)] = 64
    batch: Runs = 4
    acquisition: Acquisition = "nei"
    caution: Annotated[float, Within(0)] = 0.5
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_recipe(self)

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Refuse an objective that compares with what has no values for the knobs.

        Raises:
            InputError: see above.
        """
        del config
        _check_objective(objective)

    @one_blas_thread
    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The design, then rounds; each waits for the one before, so that a resume repeats it."""
        ledger = Ledger.of(problem, observations, pending)
        missing = min(self.design, self.runs) - ledger.asked
        if missing > 0:
            return self._design(ledger, missing)
        n = min(self.batch, self.runs - ledger.asked)
        if ledger.pending or n < 1:
            return []
        surrogate, R = self._surrogate(ledger)
        avoid = _points(ledger, [o.spec for o in ledger.runs if not o.ok])
        known = np.vstack([R, avoid])
        X = self._candidates(ledger, surrogate, R)
        X = X[distinct(X, known)]
        if not len(X):
            return []
        picked = choose(
            surrogate,
            X,
            n,
            runs=R,
            rng=ledger.rng(),
            pending=avoid if len(avoid) else None,
            acquisition=self.acquisition,
        )
        W, values = _joint(problem).split(X[picked])
        return [
            problem.run(problem.space.mixture(w), PROPOSAL, values=v)
            for w, v in zip(problem.space.round(W), values, strict=True)
        ]

    def planned(self, problem: Problem) -> list[Scale]:
        """All runs, at the smallest scale."""
        return [problem.scales[0]] * self.runs

    def together(self, problem: Problem, observations: Sequence[Observation]) -> list[int]:
        """What is left of the design by its values, and every proposal alone; see `Configuring`."""
        ledger = Ledger.of(problem, observations)
        left, missing = self.runs - ledger.asked, min(self.design, self.runs) - ledger.asked
        design = self._design(ledger, missing) if missing > 0 else []
        return alike(design) + [1] * max(left - len(design), 0)

    @one_blas_thread
    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The mixture and the value of every knob with the lowest mean + caution sd.

        The model is the joint one at these values; runs are shown as it says they had come out
        there: y - f(w, its values) + f(w, recommended).

        Raises:
            InputError: no run has succeeded yet.
        """
        ledger = Ledger.of(problem, observations)
        surrogate, R = self._surrogate(ledger, every_metric)
        mixture, values = self._best(ledger, surrogate, R)
        joint = _joint(problem)
        point = joint.join(mixture.array[None], [values])[0]
        sliced = replace(
            surrogate, fitted=FittedSlice(surrogate.fitted, point[problem.space.dim :]), prior=None
        )
        runs = _table(ledger)
        W, own = joint.split(R)
        before, after = (surrogate.expected(joint.join(W, v)) for v in (own, [values] * len(W)))
        moved = runs.values(surrogate.metrics) + after.mean - before.mean
        shown = replace(runs, metrics=surrogate.metrics, Y=moved)
        return Answer(mixture, sliced, shown, settings=values)

    def _best(
        self, ledger: Ledger, surrogate: Surrogate, R: Array
    ) -> tuple[Mixture, dict[str, Value]]:
        def risk(P: Array) -> Array:
            return surrogate.risk(P, self.caution)

        X = np.vstack([R, self._candidates(ledger, surrogate, R)])
        joint, rng, space = _joint(ledger.problem), ledger.rng(), ledger.problem.space
        for _ in range(4):
            X = X[np.argsort(risk(X), kind="stable")[:12]]
            X = np.vstack([X, self._mixed(ledger, X, _CANDIDATES // 2, rng)])
        W, values = joint.split(X[np.argsort(risk(X), kind="stable")[:1]])
        among = ledger.answers(lambda: space.round(W))
        P = joint.join(among, values * len(among))
        return space.mixture(among[int(risk(P).argmin())]), values[0]

    def _design(self, ledger: Ledger, n: int) -> list[RunSpec]:
        problem, joint = ledger.problem, _joint(ledger.problem)
        whole = min(self.design, self.runs)
        rng = np.random.default_rng([problem.seed, 0])
        values = joint.spread(whole, rng)
        known = {o.run_id for o in ledger.runs} | {s.run_id for s in ledger.pending}
        if problem.scales[0] in problem.pool:
            drawn = Ledger.of(problem, []).design(whole, DESIGN)
            pairs = zip(drawn, values, strict=False)
            specs = [problem.run(spec.mixture, DESIGN, values=v) for spec, v in pairs]
            return [spec for spec in specs if spec.run_id not in known][:n]
        W = designs.design("regmix", problem.space, whole - 1, rng=rng)
        middle = {knob.name: knob.middle for knob in problem.knobs}
        specs = [problem.run(problem.space.natural, DESIGN, values=middle)]
        specs += [
            problem.run(problem.space.mixture(w), DESIGN, values=v)
            for w, v in zip(W, values, strict=False)
        ]
        return [spec for spec in specs if spec.run_id not in known]

    def _candidates(self, ledger: Ledger, surrogate: Surrogate, R: Array) -> Array:
        """(c, p) points that can be run next, the most promising parts of the space refined."""
        rng, joint = ledger.rng(), _joint(ledger.problem)
        best = R[np.argsort(surrogate.value(R), kind="stable")[:16]]
        X = self._mixed(ledger, best, _CANDIDATES, rng)
        W = X[rng.permutation(len(X))][:, : ledger.problem.space.dim] * (1 + len(joint.knobs))
        X = np.vstack([X, joint.join(W, joint.spread(len(W), rng))])
        gain = gains(surrogate, X, R)
        kept: list[Array] = []
        for rounds, among, more, few in _ROUNDS:
            for _ in range(rounds):
                top = X[np.argsort(-gain, kind="stable")[:among]]
                near = self._mixed(ledger, top, more, rng)
                X = np.vstack([X, near])
                gain = np.concatenate([gain, gains(surrogate, near, R)])
            kept.append(X[np.argsort(-gain, kind="stable")[:few]])
        return np.vstack(kept)

    def _mixed(self, ledger: Ledger, around: Array, n: int, rng: np.random.Generator) -> Array:
        """(about n, p) mixtures near those of `around`, or of the pool, with values near theirs."""
        problem, joint = ledger.problem, _joint(ledger.problem)

        def near() -> Array:
            own, _ = joint.split(around)
            W = cloud(problem.space, n, rng, around=own, local=True)
            # Half of them keep a mixture as it is: the knobs alone are searched there.
            W[: len(W) // 2] = own[rng.integers(len(own), size=len(W) // 2)]
            return problem.space.round(W)

        W = ledger.candidates(problem.scales[0], near)
        if problem.scales[0] in problem.pool and len(W):
            W = W[rng.integers(len(W), size=n)]
        return joint.join(W, joint.near(around, len(W), rng))

    def _surrogate(self, ledger: Ledger, every_metric: bool = False) -> tuple[Surrogate, Array]:
        """One process per metric over the joint space, and the points (r, p) of its runs."""
        made: tuple[Surrogate, Array] = self.memo.get(
            fitted_to(ledger, every_metric), lambda: _fit(ledger, every_metric)
        )
        return made


def _fit(ledger: Ledger, every_metric: bool) -> tuple[Surrogate, Array]:
    problem, joint = ledger.problem, _joint(ledger.problem)
    _check_objective(problem.objective)
    R = _points(ledger, [o.spec for o in _with_values(ledger)])
    table = _table(ledger)
    surrogate = fit_surrogate(
        replace(table, domains=joint.simplex.names, W=R),
        problem.objective,
        joint.simplex,
        quick_process(),
        rng=ledger.rng(),
        every_metric=every_metric,
    )
    return surrogate, R


def _with_values(ledger: Ledger) -> list[Observation]:
    """Successful runs that say the value of every knob.

    Raises:
        InputError: there is none.
    """
    problem = ledger.problem
    runs = [o for o in ledger.at(problem.scales[0]) if _values(problem, o.spec) is not None]
    if not runs:
        raise InputError(
            f"none of {len(ledger.runs)} runs succeeded with every knob set; nothing can be "
            f"fitted{last_words(ledger.runs)}"
        )
    return runs


def _table(ledger: Ledger) -> RunTable:
    return RunTable.from_observations(_with_values(ledger), ledger.problem.space.names)


def _check_objective(objective: Objective) -> None:
    if objective.kl or any(g.baseline != "natural" for g in objective.guards):
        raise InputError(
            "the strategy 'joint' takes guards against the natural mixture only, and no 'kl': "
            "other baselines have no values for the knobs; leave them out, or use 'auto'"
        )


def _points(ledger: Ledger, specs: Sequence[RunSpec]) -> Array:
    """(n, p) runs as points of the joint space."""
    joint = _joint(ledger.problem)
    rows = [(s.mixture.array, v) for s in specs if (v := _values(ledger.problem, s)) is not None]
    if not rows:
        return np.empty((0, joint.simplex.dim))
    return joint.join(np.array([w for w, _ in rows]), [v for _, v in rows])


def _values(problem: Problem, spec: RunSpec) -> Mapping[str, Value] | None:
    return read_knobs(spec.config, problem.knobs)


def _joint(problem: Problem) -> SearchSpace:
    return SearchSpace(problem.space, problem.knobs)
