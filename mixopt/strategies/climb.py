"""CLIMB (2504.13161): 64 random runs, then 32 and 16 drawn from the best that trees predict.

Departs from the paper: the trees' depth and penalties are this library's, the starting mixtures are
drawn around the natural mixture (the paper's clusters do not exist here).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from mixopt import laws
from mixopt.designs.base import distinct, honour
from mixopt.errors import InputError
from mixopt.proposers import Surrogate
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, PROPOSAL
from mixopt.space import MixtureSpace, simplex
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe, fit, fitted_to

_STRENGTHS = (0.5, 50.0)  # of the candidates around the natural mixture, as of the first round


@dataclass(frozen=True)
class Climb(Answers):
    """Rounds of shrinking size.

    Attributes:
        rounds: runs per round.
        top: the next round is drawn from the `top` times as many best predicted mixtures.
        law: of each metric.
        candidates: mixtures to predict.
    """

    rounds: tuple[Runs, ...] = (64, 32, 16)
    top: Runs = 4
    law: laws.Named = "lightgbm"
    candidates: Annotated[int, Within(100, 10_000_000)] = 20_000
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_recipe(self)
        if not self.rounds:
            raise InputError("rounds is empty; give the runs of every round, e.g. [64, 32, 16]")
        object.__setattr__(self, "rounds", tuple(self.rounds))

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The next round once the one before is in."""
        ledger = Ledger.of(problem, observations, pending)
        missing = self.rounds[0] - ledger.asked
        if missing > 0:
            return ledger.design(self.rounds[0], DESIGN, name="dirichlet", most=missing)
        ends = np.cumsum(self.rounds)
        if ledger.pending or ledger.asked >= ends[-1]:
            return []
        n = int(ends[np.searchsorted(ends, ledger.asked, side="right")]) - ledger.asked
        surrogate, rng = self._fit(ledger), ledger.rng()
        space, scale = problem.space, problem.scales[0]
        X = ledger.candidates(scale, lambda: self._candidates(space, ledger.weights(scale), rng))
        best = np.argsort(surrogate.value(X), kind="stable")[: self.top * n]
        return [problem.run(space.mixture(X[i]), PROPOSAL) for i in rng.permutation(best)[:n]]

    def planned(self, problem: Problem) -> list[Scale]:
        """All rounds at the smallest scale."""
        return [problem.scales[0]] * sum(self.rounds)

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The predicted optimum."""
        ledger = Ledger.of(problem, observations)
        surrogate = self._fit(ledger, every_metric)
        mixture = ledger.answer(surrogate.value)
        return Answer(mixture, surrogate, ledger.table(problem.scales[0]))

    def _candidates(self, space: MixtureSpace, runs: Array, rng: np.random.Generator) -> Array:
        """(c, m) random mixtures that were not run; fewer where few domains leave no more."""
        low, high = np.log(_STRENGTHS)
        s = np.exp(rng.uniform(low, high, size=(self.candidates, 1)))
        W = honour(space, simplex.dirichlet(s * space.prior, rng), constrained=True)
        return W[distinct(W, runs)]

    def _fit(self, ledger: Ledger, every_metric: bool = False) -> Surrogate:
        made: Surrogate = self.memo.get(
            fitted_to(ledger, every_metric),
            lambda: fit(ledger, laws.as_law(self.law), every_metric=every_metric),
        )
        return made
