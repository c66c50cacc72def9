"""One-shot recipes: a design at the smallest scale, a law per metric, the predicted optimum.

Each published recipe is a function that fills in the settings, cites its paper and says where it
departs. In a pool every design draws real runs at random, and the answer is the best predicted one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from mixopt import laws
from mixopt.laws.curves import fit_curve
from mixopt.proposers import Surrogate, simulate
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN
from mixopt.space import simplex
from mixopt.space.numbers import MANY, Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe, fit, fitted_to


@dataclass(frozen=True)
class OneShot(Answers):
    """Settings.

    Attributes:
        swarm: name of the design, see `mixopt.designs.DESIGNS`.
        runs: how many; `per_domain` m + `more` if left out.
        per_domain: runs of the swarm for each domain, where `runs` is left out.
        more: runs of the swarm beside them.
        batch: how many at once; all by default.
        law: of each metric, see `mixopt.laws.LAWS`.
        regularization: weight of KL(w || natural) beside the predicted objective.
        simulated: with it, the answer is the mean of the `top` best of so many random mixtures.
        top: see `simulated`.
        extrapolate: fit to each run's curve continued to the target's tokens.
    """

    swarm: str
    law: laws.Named
    runs: Runs | None = None
    per_domain: Annotated[int, Within(1, 1000)] = 3
    more: Annotated[int, Within(0, MANY)] = 3
    batch: Runs | None = None
    regularization: Annotated[float, Within(0)] = 0.0
    simulated: Annotated[int, Within(0, 10_000_000)] = 0
    top: Runs = 100
    extrapolate: bool = False
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_recipe(self)

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """What is left of the swarm; it waits for nothing."""
        ledger = Ledger.of(problem, observations, pending)
        whole = self._runs(problem)
        left = whole - ledger.asked
        if left < 1:
            return []
        return ledger.design(whole, DESIGN, name=self.swarm, most=min(self.batch or left, left))

    def planned(self, problem: Problem) -> list[Scale]:
        """The swarm at the smallest scale."""
        return [problem.scales[0]] * self._runs(problem)

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The predicted optimum."""
        ledger = self._as_fitted(Ledger.of(problem, observations))
        surrogate: Surrogate = self.memo.get(
            fitted_to(ledger, every_metric),
            lambda: fit(ledger, laws.as_law(self.law), every_metric=every_metric),
        )
        prior = np.maximum(problem.space.prior, 1e-12)

        def score(W: Array) -> Array:
            value = surrogate.value(W)
            if self.regularization:
                value = value + self.regularization * simplex.kl(W, prior)
            return np.asarray(value)

        runs = ledger.table(problem.scales[0])
        if problem.target in problem.pool or not self.simulated:
            return Answer(ledger.answer(score), surrogate, runs)
        space = problem.space
        mean = simulate(score, space, rng=ledger.rng(), candidates=self.simulated, top=self.top)
        mixture = space.mixture(space.round(space.project(mean, metric="kl")))
        return Answer(mixture, surrogate, runs)

    def _as_fitted(self, ledger: Ledger) -> Ledger:
        """The runs as the law sees them: continued to the target's tokens, where that is asked."""
        if not self.extrapolate:
            return ledger
        tokens = ledger.problem.target.tokens
        return replace(ledger, runs=tuple(continued(o, tokens) for o in ledger.runs))

    def _runs(self, problem: Problem) -> int:
        return self.runs or self.per_domain * problem.space.dim + self.more


def regmix(**settings: Any) -> OneShot:
    """RegMix (2407.01492): 512 random runs, trees, the mean of the 100 best of 100,000 mixtures.

    Departs from the paper: the trees are not early-stopped on the test set, their leaves adapt to
    few runs, and the answer keeps the space's constraints.
    """
    return OneShot(
        **{"swarm": "regmix", "law": "lightgbm", "runs": 512, "simulated": 100_000, **settings}
    )


def olmix(**settings: Any) -> OneShot:
    """Olmix (2602.12237): 3 (m + 1) runs, a log-linear law per metric, a KL-regularised proposal.

    Departs from the paper: least squares with analytic gradients and a ridge chosen by
    leave-one-out error in place of 300 Huber fits, exponentiated gradient in place of a conic
    solver (the problem is convex, both reach its optimum).
    """
    return OneShot(**{"swarm": "olmix", "law": "log-linear", "regularization": 0.05, **settings})


def dml(**settings: Any) -> OneShot:
    """Data Mixing Laws (2403.16952): 20 runs, curves continued to the target, a log-linear law.

    Departs from the paper: Dirichlet mixtures in place of a grid of powers of two, the law in
    tokens alone (no law in parameters), and the law of one scale where runs have no curve.
    """
    return OneShot(
        **{"swarm": "dirichlet", "law": "log-linear", "runs": 20, "extrapolate": True, **settings}
    )


def mixture_experiment(**settings: Any) -> OneShot:
    """Data mixing as a mixture experiment (2608.23922): I-optimal design, Scheffe quadratic, lasso.

    The number of runs is 3 (m + 1) unless given; the paper uses about 350 for 17 domains.
    """
    return OneShot(**{"swarm": "i-optimal", "law": "scheffe", **settings})


def autoscale(**settings: Any) -> OneShot:
    """AutoScale's DDO (2407.20177): 2 m + 1 runs, one domain at a time, an additive power law.

    Departs from the paper: runs share one token budget, so shares are perturbed and not amounts;
    the base run is the natural mixture, not equal amounts; the projection of two scales' optima to
    a third is not done here.
    """
    ours = {"swarm": "one-at-a-time", "law": "autoscale", "per_domain": 2, "more": 1}
    return OneShot(**{**ours, **settings})


def continued(seen: Observation, tokens: int) -> Observation:
    """The run with every metric continued to `tokens` by E + A D^-alpha (see `fit_curve`).

    A metric with fewer than three earlier points stays as it is, and so does one that rises and a
    run that has got there.
    """
    reached = seen.spec.scale.tokens
    if not seen.ok or tokens <= reached:
        return seen
    metrics = {}
    for name, last in seen.metrics.items():
        points = {p.tokens: p.metrics[name] for p in seen.curve if name in p.metrics}
        points = {**{t: y for t, y in points.items() if t < reached}, reached: last}
        metrics[name] = last
        if len(points) >= 4:
            curve = fit_curve(list(points), list(points.values()))
            if curve.amplitude > 0:
                metrics[name] = float(curve.predict(tokens)[0])
    return replace(seen, metrics=metrics)
