"""Mixture and hyperparameters at once: learning rate, quality threshold, sampling parameters.

A design over both, then rounds of noisy expected improvement from one Gaussian process per metric
over the joint space (see `mixopt.runs.knobs`), all at the smallest scale. The answer is a mixture
with the values of every knob; nothing is confirmed, since baselines have no values of their own.

References: noisy expected improvement 1706.07094; composite objectives 1906.01537.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mixopt import designs
from mixopt.designs.base import distinct
from mixopt.errors import InputError
from mixopt.proposers import Surrogate
from mixopt.proposers.bayes import Acquisition, choose, gains
from mixopt.proposers.search import cloud
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, PROPOSAL
from mixopt.runs.knobs import JointSpace, Value, read_knobs
from mixopt.runs.objective import Objective
from mixopt.space import Mixture
from mixopt.space.simplex import Array
from mixopt.strategies.base import Problem
from mixopt.strategies.ladder import quick_process
from mixopt.strategies.ledger import Ledger, Memo, check_whole, fitted_to
from mixopt.threads import one_blas_thread

_CANDIDATES = 800


@dataclass(frozen=True)
class Joint:
    """Settings.

    Attributes:
        design: runs before anything is fitted: the natural mixture in the middle of all knobs,
            then RegMix's mixtures with a Latin hypercube of values.
        runs: all in all.
        batch: runs per round.
        acquisition: see `mixopt.proposers.bayes`.
        caution: the answer minimises mean + caution sd of the objective.
    """

    design: int = 24
    runs: int = 64
    batch: int = 4
    acquisition: Acquisition = "nei"
    caution: float = 0.5
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_whole(self, {"design": 3, "runs": 3, "batch": 1})

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Refuse an objective that compares with what has no values for the knobs.

        Raises:
            InputError: see above.
        """
        del metrics
        _check_objective(problem.objective)

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

    def recommend(self, problem: Problem, observations: Sequence[Observation]) -> Mixture:
        """The mixture of `recommend_joint`."""
        return self.recommend_joint(problem, observations)[0]

    @one_blas_thread
    def recommend_joint(
        self, problem: Problem, observations: Sequence[Observation]
    ) -> tuple[Mixture, dict[str, Value]]:
        """The mixture and the value of every knob with the lowest mean + caution sd.

        Raises:
            InputError: no run has succeeded yet.
        """
        ledger = Ledger.of(problem, observations)
        surrogate, R = self._surrogate(ledger)

        def risk(P: Array) -> Array:
            seen = surrogate.predict(P)
            mean, sd = surrogate.objective.moments(seen.mean, seen.sd, surrogate.metrics)
            return np.asarray(mean + self.caution * sd + surrogate.penalty(seen))

        X = np.vstack([R, self._candidates(ledger, surrogate, R)])
        joint, rng = _joint(problem), ledger.rng()
        for _ in range(4):
            X = X[np.argsort(risk(X), kind="stable")[:12]]
            X = np.vstack([X, self._mixed(ledger, X, _CANDIDATES // 2, rng)])
        X = X[np.argsort(risk(X), kind="stable")]
        W, values = joint.split(X[:1])
        if ledger.pooled(problem.target):
            pool = problem.pool[problem.target]
            P = joint.join(np.array([m.weights for m in pool]), values * len(pool))
            return pool[int(risk(P).argmin())], values[0]
        return problem.space.mixture(problem.space.round(W)[0]), values[0]

    def at_answer(self, problem: Problem, observations: Sequence[Observation]) -> list[Observation]:
        """The runs moved to the recommended values of all knobs, by what the process says of both.

        A run keeps what it showed against the prediction: y - f(w, its values) + f(w, recommended).

        Raises:
            InputError: no run has succeeded yet.
        """
        if not problem.knobs:
            return list(observations)
        _, best = self.recommend_joint(problem, observations)
        surrogate, _ = self._surrogate(Ledger.of(problem, observations))
        joint, found = _joint(problem), []
        for seen in observations:
            values = _values(problem, seen.spec)
            if not seen.ok or values is None:
                found.append(seen)
                continue
            P = joint.join(np.tile(seen.spec.mixture.array, (2, 1)), [values, best])
            at = surrogate.expected(P).mean
            moved = dict(zip(surrogate.metrics, at[1] - at[0], strict=True))
            metrics = {k: v + float(moved.get(k, 0.0)) for k, v in seen.metrics.items()}
            found.append(replace(seen, metrics=metrics, curve=()))
        return found

    def _design(self, ledger: Ledger, n: int) -> list[RunSpec]:
        problem, joint = ledger.problem, _joint(ledger.problem)
        whole = min(self.design, self.runs)
        rng = np.random.default_rng([problem.seed, 0])
        values = joint.spread(whole, rng)
        if ledger.pooled(problem.scales[0]):
            left = ledger.left(problem.scales[0])
            picked = [left[i] for i in ledger.rng().permutation(len(left))[:n]]
            pairs = zip(picked, values[:n], strict=False)
            return [problem.run(m, DESIGN, values=v) for m, v in pairs]
        W = designs.design("regmix", problem.space, whole - 1, rng=rng)
        middle = {knob.name: knob.middle for knob in problem.knobs}
        specs = [problem.run(problem.space.natural, DESIGN, values=middle)]
        specs += [
            problem.run(problem.space.mixture(w), DESIGN, values=v)
            for w, v in zip(W, values, strict=False)
        ]
        known = {o.run_id for o in ledger.runs} | {s.run_id for s in ledger.pending}
        return [spec for spec in specs if spec.run_id not in known]

    def _candidates(self, ledger: Ledger, surrogate: Surrogate, R: Array) -> Array:
        """(c, p) points that can be run next, the most promising parts of the space refined."""
        rng, joint = ledger.rng(), _joint(ledger.problem)
        best = R[np.argsort(surrogate.value(R), kind="stable")[:16]]
        X = self._mixed(ledger, best, _CANDIDATES, rng)
        W = X[rng.permutation(len(X))][:, : ledger.problem.space.dim] * (1 + len(joint.knobs))
        X = np.vstack([X, joint.join(W, joint.spread(len(W), rng))])
        for _ in range(3):
            top = X[np.argsort(-gains(surrogate, X, R), kind="stable")[:12]]
            X = np.vstack([X, self._mixed(ledger, top, _CANDIDATES // 3, rng)])
        return X[np.argsort(-gains(surrogate, X, R), kind="stable")[: _CANDIDATES // 2]]

    def _mixed(self, ledger: Ledger, around: Array, n: int, rng: np.random.Generator) -> Array:
        """(about n, p) mixtures near those of `around`, or of the pool, with values near theirs."""
        problem, joint = ledger.problem, _joint(ledger.problem)
        if ledger.pooled(problem.scales[0]):
            left = ledger.left(problem.scales[0])
            if not left:
                return np.empty((0, around.shape[1]))
            W = np.array([left[i].weights for i in rng.integers(len(left), size=n)])
        else:
            own, _ = joint.split(around)
            W = cloud(problem.space, n, rng, around=own, local=True)
            # Half of them keep a mixture as it is: the knobs alone are searched there.
            W[: len(W) // 2] = own[rng.integers(len(own), size=len(W) // 2)]
            W = problem.space.round(W)
        return joint.join(W, joint.near(around, len(W), rng))

    def _surrogate(self, ledger: Ledger) -> tuple[Surrogate, Array]:
        """One process per metric over the joint space, and the points (r, p) of its runs."""
        found: tuple[Surrogate, Array] = self.memo.get(fitted_to(ledger), lambda: _fit(ledger))
        return found


def _fit(ledger: Ledger) -> tuple[Surrogate, Array]:
    problem, objective = ledger.problem, ledger.problem.objective
    _check_objective(objective)
    runs = [o for o in ledger.at(problem.scales[0]) if _values(problem, o.spec) is not None]
    if not runs:
        failed = [o.error for o in ledger.runs if o.error]
        why = f" (the last one says: {failed[-1]})" if failed else ""
        raise InputError(
            f"none of {len(ledger.runs)} runs succeeded with every knob set; nothing can be "
            f"fitted{why}"
        )
    names = tuple(k for k in sorted(runs[0].metrics) if k in objective.needed)
    objective.check(names)
    R = _points(ledger, [o.spec for o in runs])
    Y = np.array([[o.metrics[k] for k in names] for o in runs])
    if objective.standardize:
        objective = objective.standardized(Y, names)
    fitted = quick_process().fit(R, Y, rng=ledger.rng())
    return Surrogate.of(fitted, objective, names, _joint(problem).simplex), R


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


def _joint(problem: Problem) -> JointSpace:
    return JointSpace(problem.space, problem.knobs)
