"""Early stopping over rungs: every mixture starts short, and only those worth it go on.

Scales are rungs, smallest first; best of one model size and growing token counts, so that a run
goes on from its own checkpoint. While fewer than `PAIRS` runs have reached the next rung, the best
1 / eta of a rung go on (successive halving, 1810.05934). From then on co-kriging over the rungs,
one process per metric, forecasts every run at the last rung: a run goes on while it beats the best
forecast with a probability of at least `kill`. It learns from the runs that went on how a rung
ranks (its slopes), what it gets wrong by mixture (curves that cross), and its noise.

Controls go on whatever they show, so that the forecasts stay honest: the natural mixture, and a
share of runs drawn by their identity, before any result. `calibration` says what stopping them
would have missed. With one scale there is nothing to stop: design and proposals.

Mixtures are compared at the same rung only: points on the way are at another learning rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

import numpy as np
from scipy.special import ndtr

from mixopt.laws.curves import fit_curve
from mixopt.proposers import Surrogate
from mixopt.proposers.bayes import propose
from mixopt.runs import Kind, Observation, RunSpec, Scale
from mixopt.runs.kinds import BRANCH, DESIGN, GIVEN, PROPOSAL, REFERENCE
from mixopt.runs.objective import objective_of
from mixopt.space import Mixture
from mixopt.space.numbers import MANY, Within
from mixopt.space.simplex import Array
from mixopt.strategies.base import Answer, Answers, Problem, Traits
from mixopt.strategies.ladder import LadderSearch, fit_scales
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe

PAIRS = 4
"""Runs with results at a rung and the next from which forecasts decide, not ranks."""


@dataclass(frozen=True)
class Calibration:
    """What early stopping would have done to the controls.

    Attributes:
        controls: controls with a result at the last rung.
        stopped: of these, those that would have been stopped on the way.
        missed: of the stopped, those that beat every other run of the last rung.
    """

    controls: int
    stopped: int
    missed: int

    def lines(self) -> tuple[str, ...]:
        """In plain words; nothing where no control tells."""
        if not self.controls:
            return ()
        return (
            f"early stopping would have ended {self.stopped} of {self.controls} controls on the "
            f"way, {self.missed} of them better than every other run",
        )


@dataclass(frozen=True)
class Rungs(Answers):
    """Settings.

    Attributes:
        design: runs of the design, at the first rung.
        proposals: runs proposed after it, at the first rung, in rounds of `batch`.
        batch: proposals per round; runs that go on per round once forecasts decide.
        eta: one in so many goes on while ranks decide; above 1.
        kill: probability of beating the incumbent below which a run is stopped.
        most: share of a rung's runs that go on at most, controls aside.
        controls: share of runs that go on whatever they show.
        curves: stop a run only if its own learning curve, continued to the last rung, says so too.
            Only for trainers whose learning rate is constant: else curves mislead.
    """

    traits: ClassVar[Traits] = Traits(earlier=True, continuation=True)

    design: Annotated[int, Within(3, MANY)] = 27
    proposals: Annotated[int, Within(0, MANY)] = 0
    batch: Runs = 4
    eta: Annotated[float, Within(1, open=True)] = 3.0
    kill: Annotated[float, Within(0, 1)] = 0.05
    most: Annotated[float, Within(0, 1)] = 0.5
    controls: Annotated[float, Within(0, 1)] = 0.1
    curves: bool = False
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_recipe(self)

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The design, proposals, then who goes on; each round waits for the one before."""
        ledger = Ledger.of(problem, observations, pending)
        first = problem.scales[0]
        missing = self.design - ledger.count(first)
        if missing > 0:
            return ledger.design(self.design, DESIGN, most=missing)
        if ledger.pending:
            return []
        left = min(self.batch, self.design + self.proposals - ledger.count(first))
        if left > 0:
            return self._propose(ledger, left)
        for rung in range(len(problem.scales) - 2, -1, -1):  # those that are furthest go first
            onward = self._onward(ledger, rung)
            if onward:
                return onward
        return []

    def planned(self, problem: Problem) -> list[Scale]:
        """All runs at the first rung; of every other one as many as may get there."""
        n = self.design + self.proposals
        scales = [problem.scales[0]] * n
        chosen = n
        for scale in problem.scales[1:]:
            chosen = max(int(np.ceil(self.most * chosen)), int(np.ceil(chosen / self.eta)))
            # Controls are drawn by identity: how many there will be is not known beforehand.
            scales += [scale] * (n if self.controls else min(n, chosen + 1))
        return scales

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The posterior-mean optimum at the last rung, by co-kriging over all rungs."""
        search = LadderSearch(memo=self.memo)
        best = search.answer(problem, observations, every_metric=every_metric)
        return replace(best, notes=self.calibration(problem, observations).lines())

    def calibration(self, problem: Problem, observations: Sequence[Observation]) -> Calibration:
        """What stopping would have done to the controls that have got to the last rung."""
        ledger, target = Ledger.of(problem, observations), problem.target
        finished = {o.spec.mixture: o for o in ledger.at(target)}
        controls = [m for m in finished if self._is_control(ledger, m)]
        stopped = missed = 0
        for mixture in controls:
            others = [self._value(ledger, o) for m, o in finished.items() if m != mixture]
            if others and self._would_stop(ledger, mixture):
                stopped += 1
                missed += self._value(ledger, finished[mixture]) < min(others)
        return Calibration(len(controls), stopped, missed)

    def _propose(self, ledger: Ledger, n: int) -> list[RunSpec]:
        problem, first = ledger.problem, ledger.problem.scales[0]
        if first in problem.pool:
            return ledger.lowest(fit_scales(ledger).value, n, PROPOSAL)
        W, avoid = ledger.weights(first), ledger.avoid(first)
        mixtures = propose(
            fit_scales(ledger), problem.space, n, runs=W, rng=ledger.rng(), pending=avoid
        )
        return [problem.run(problem.space.mixture(w), PROPOSAL) for w in mixtures]

    def _onward(self, ledger: Ledger, rung: int) -> list[RunSpec]:
        """Runs of a rung that go on to the next now."""
        here, above = ledger.problem.scales[rung], ledger.problem.scales[rung + 1]
        asked = {o.spec.mixture for o in ledger.runs if o.spec.scale == above}
        pool = ledger.problem.pool.get(above)
        runs = [o for o in ledger.at(here) if pool is None or o.spec.mixture in pool]
        waiting = [o for o in runs if o.spec.mixture not in asked]
        controls = [o for o in waiting if self._is_control(ledger, o.spec.mixture)]
        if controls:
            return self._continue(ledger, controls, above, REFERENCE)
        chosen = [m for m in asked if not self._is_control(ledger, m)]
        if len({o.spec.mixture for o in ledger.at(above)}) < PAIRS:
            room = int(np.ceil(len(runs) / self.eta)) - len(chosen)
            best = sorted(waiting, key=lambda o: (self._value(ledger, o), o.run_id))
            return self._continue(ledger, best[: max(room, 0)], above, BRANCH)
        room = min(self.batch, int(np.ceil(self.most * len(runs))) - len(chosen))
        if room < 1 or not waiting:
            return []
        chance = self._chances(ledger, waiting)
        order = np.argsort(-chance, kind="stable")[:room]
        best = [waiting[i] for i in order if chance[i] >= self.kill]
        return self._continue(ledger, best, above, BRANCH)

    def _continue(
        self, ledger: Ledger, runs: Sequence[Observation], scale: Scale, kind: Kind
    ) -> list[RunSpec]:
        """The same runs with more tokens: mixture and seed stay, so checkpoints are found."""
        specs = [
            ledger.problem.run(o.spec.mixture, kind, scale=scale, seed=o.spec.seed) for o in runs
        ]
        known = {o.run_id for o in ledger.runs}
        return [spec for spec in specs if spec.run_id not in known]

    def _chances(self, ledger: Ledger, runs: Sequence[Observation]) -> Array:
        """(n,) probability that each run beats the incumbent at the last rung."""
        surrogate = fit_scales(ledger)
        everyone = np.array(
            list(dict.fromkeys(o.spec.mixture.weights for o in ledger.runs if o.ok))
        )
        best = everyone[int(surrogate.value(everyone).argmin())]
        chance = better(surrogate, np.array([o.spec.mixture.weights for o in runs]), best)
        if self.curves:
            incumbent = float(surrogate.value(best[None])[0])
            own = [_own_chance(ledger, o, incumbent) for o in runs]
            chance = np.maximum(chance, own)
        return chance

    def _would_stop(self, ledger: Ledger, mixture: Mixture) -> bool:
        """Whether a run would be stopped at some rung, its later results unseen."""
        scales = ledger.problem.scales
        for rung, here in enumerate(scales[:-1]):
            later = set(scales[rung + 1 :])
            unseen = [o for o in ledger.runs if o.spec.mixture == mixture and o.spec.scale in later]
            blind = replace(ledger, runs=tuple(o for o in ledger.runs if o not in unseen))
            runs = [o for o in blind.at(here) if o.spec.mixture == mixture]
            if runs and self._chances(blind, runs)[0] < self.kill:
                return True
        return False

    def _is_control(self, ledger: Ledger, mixture: Mixture) -> bool:
        """By identity, before any result: the natural mixture and a share of all."""
        if mixture == ledger.problem.space.natural:
            return True
        drawn = int(ledger.problem.run(mixture, GIVEN).run_id[:8], 16) / 16**8
        return drawn < self.controls

    def _value(self, ledger: Ledger, seen: Observation) -> float:
        return objective_of(seen.metrics, ledger.objective)


def better(surrogate: Surrogate, X: Array, best: Array) -> Array:
    """(n,) probability that the objective at mixtures X (n, m) is below that at `best` (m,).

    By the joint posterior of both; 1/2 where X is `best` itself.
    """
    P = np.vstack([X, best])
    weights = surrogate.objective.coefficients(surrogate.metrics) ** 2
    cov = np.einsum("k,kab->ab", weights, surrogate.joint(P, P))
    value, variance = surrogate.value(P), cov.diagonal()
    sd = np.sqrt(np.maximum(variance[:-1] + variance[-1] - 2.0 * cov[:-1, -1], 1e-18))
    return np.asarray(ndtr((value[-1] - value[:-1]) / sd))


def _own_chance(ledger: Ledger, seen: Observation, incumbent: float) -> float:
    """Probability of beating the incumbent by the run's own curve; 0 with too few points."""
    objective, target = ledger.objective, ledger.problem.target
    points = [(p.tokens, p.metrics) for p in seen.curve if p.tokens < seen.spec.scale.tokens]
    points.append((seen.spec.scale.tokens, seen.metrics))
    whole = [(t, m) for t, m in points if all(name in m for name in objective.metrics)]
    if len(whole) < 4 or seen.spec.scale.params != target.params:
        return 0.0
    values = [objective_of(m, objective) for _, m in whole]
    mean, sd = fit_curve([t for t, _ in whole], values).predict(target.tokens)
    return float(ndtr((incumbent - mean) / np.maximum(sd, 1e-12)))
