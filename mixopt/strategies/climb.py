"""CLIMB (2504.13161): 64 random runs, then 32 and 16 drawn from the best that trees predict.

Departs from the paper: the trees' depth and penalties are this library's, the starting mixtures are
drawn around the natural mixture (the paper's clusters do not exist here).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mixopt import laws
from mixopt.designs.base import distinct, honour
from mixopt.proposers import Surrogate
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.space import Mixture, MixtureSpace, simplex
from mixopt.space.simplex import Array
from mixopt.strategies.base import Problem
from mixopt.strategies.ledger import Ledger, Memo, fit, fitted_to

_STRENGTHS = (0.5, 50.0)  # of the candidates around the natural mixture, as of the first round


@dataclass(frozen=True)
class Climb:
    """Rounds of shrinking size.

    Attributes:
        rounds: runs per round.
        top: the next round is drawn from the `top` times as many best predicted mixtures.
        law: of each metric.
        candidates: mixtures to predict.
    """

    rounds: tuple[int, ...] = (64, 32, 16)
    top: int = 4
    law: str = "lightgbm"
    candidates: int = 20_000
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The next round once the one before is in."""
        ledger = Ledger.of(problem, observations, pending)
        ends = np.cumsum(self.rounds)
        if ledger.pending or ledger.asked >= ends[-1]:
            return []
        here = int(np.searchsorted(ends, ledger.asked, side="right"))
        n = int(ends[here]) - ledger.asked
        if here == 0:
            return ledger.design(n, "design", name="dirichlet")
        surrogate, rng = self._fit(ledger), ledger.rng()
        scale = problem.scales[0]
        mixtures = ledger.left(scale)
        if not ledger.pooled(scale):
            W = self._candidates(problem.space, ledger.weights(scale), rng)
            mixtures = [problem.space.mixture(w) for w in W]
        X = np.array([m.weights for m in mixtures])
        best = np.argsort(surrogate.value(X), kind="stable")[: self.top * n]
        picked = rng.permutation(best)[:n]
        return [problem.run(mixtures[i], f"round-{here + 1}") for i in picked]

    def planned(self, problem: Problem) -> list[Scale]:
        """All rounds at the smallest scale."""
        return [problem.scales[0]] * sum(self.rounds)

    def recommend(self, problem: Problem, observations: Sequence[Observation]) -> Mixture:
        """The predicted optimum."""
        ledger = Ledger.of(problem, observations)
        return ledger.answer(self._fit(ledger).value)

    def _candidates(self, space: MixtureSpace, runs: Array, rng: np.random.Generator) -> Array:
        """(c, m) random mixtures that were not run; fewer where few domains leave no more."""
        s = np.exp(rng.uniform(*np.log(_STRENGTHS), size=(self.candidates, 1)))
        W = honour(space, simplex.dirichlet(s * space.prior, rng), constrained=True)
        return W[distinct(W, runs)]

    def _fit(self, ledger: Ledger) -> Surrogate:
        found: Surrogate = self.memo.get(fitted_to(ledger), lambda: fit(ledger, laws.law(self.law)))
        return found
