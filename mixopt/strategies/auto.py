"""Ours: a space-covering design, rounds of proposals from fitted laws, then proof with fresh seeds.

1. `design` runs at the smallest scale: natural and uniform first, then RegMix's Dirichlet recipe
   (2407.01492); `repeats` of them once more, with another seed;
2. `proposals` more in rounds of `batch`: laws are fitted per metric (2602.12237); the batch is the
   predicted optimum, then mixtures chosen by one Gaussian process per metric (composite Bayesian
   optimisation, 1906.01537), pending runs conditioned on;
3. where there are larger scales, `corrections` runs at the largest: each is the best next run given
   co-kriging per metric (see `ladder`), the second is the natural mixture, and scales in between
   are run where they promise more per cost. They say per metric whether the small runs can be
   believed, and correct them where they can;
4. the last `reserve` runs go to what would change the verdict on the answer, where it is not
   trusted: each gate that holds it back names them (see `remedies`). They are taken from the
   proposals, which a trusted answer gets back: no sweep is dearer for it. With several scales they
   come after the corrections, since the verdict is on the largest;
5. the posterior-mean optimum is trained with fresh seeds at the largest scale, beside the
   baselines and the best run of the design.

All search runs share one seed (common random numbers) but for repeats, on request; confirmation
uses seeds of its own. Runs of earlier studies (`Problem.earlier`) enter every choice after the
design.

Where the runs to choose from are given (a pool), or the cost of every scale is, each decision is
also at which scale to run (see `ladder`), and nothing is confirmed: a pool holds no fresh seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from mixopt.diagnostics.trust import Trust
from mixopt.errors import InputError
from mixopt.laws import Named
from mixopt.proposers import Surrogate
from mixopt.proposers.recommend import best_mixture
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.objective import Objective
from mixopt.space import Mixture
from mixopt.space.numbers import MANY, Within
from mixopt.strategies.base import Answer, Answers, Problem, Remedied, Traits
from mixopt.strategies.known import known_ids
from mixopt.strategies.ladder import LadderSearch
from mixopt.strategies.ledger import Ledger, Memo, Runs, check_recipe, fitted_to, free_slots
from mixopt.strategies.phases import (
    Confirming,
    Corrections,
    Design,
    Proposals,
    search_surrogate,
    sent_to_confirmation,
)
from mixopt.strategies.remedies import (
    Remedies,
    remedied,
    spent,
    verdict,
    without_remedies,
)
from mixopt.threads import one_blas_thread


@dataclass(frozen=True)
class Auto(Answers):
    """Settings.

    Attributes:
        design: runs of the design.
        proposals: runs proposed by fitted laws.
        batch: proposals per round.
        law: fitted per metric.
        confirm_seeds: fresh seeds per candidate; 0 trains no confirmation.
        singles: whether every single-domain mixture is among the baselines.
        stop: proposals end early once the best expected gain is below this many noise sds of one
            run; 0 makes all of them.
        replicate: a round's last run repeats the best mixture so far, with another seed, while the
            best expected gain is below this many noise sds of one run; 0 (the default) never does:
            a new mixture nearby taught as much in our trials, and the fits pool their noise.
        corrections: runs of the search at the largest scale, where there are several scales; 0
            searches the smallest alone.
        repeats: mixtures of the design, natural and uniform first, that are run once more with
            another seed, beside all other runs: they measure the noise of every metric, which
            weights by reliability need.
        reserve: runs of the smallest scale, by cost, for what would change the verdict, and no more
            than half of the proposals; 0 asks for no verdict during the search.
        wait: choose a round once all runs under way are in; else `batch` runs of the search are
            kept under way, chosen with what those may show in mind. For runs that take unequally
            long, on as many workers as a batch has runs.
    """

    design: Annotated[int, Within(3, MANY)] = 32
    proposals: Annotated[int, Within(0, MANY)] = 16
    batch: Runs = 4
    law: Named = "auto"
    confirm_seeds: Annotated[int, Within(0, 1000)] = 3
    singles: bool = True
    stop: Annotated[float, Within(0)] = 0.0
    replicate: Annotated[float, Within(0)] = 0.0
    repeats: Annotated[int, Within(0, MANY)] = 0
    corrections: Annotated[int, Within(0, MANY)] = 4
    reserve: Annotated[int, Within(0, MANY)] = 4
    wait: bool = True
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    traits: ClassVar[Traits] = Traits(earlier=True, repeats=True)

    def __post_init__(self) -> None:
        check_recipe(self)
        if self.repeats > self.design:
            raise InputError(
                f"repeats is {self.repeats}, more than the {self.design} mixtures of the design; "
                "lower 'repeats', or raise 'design'"
            )

    @one_blas_thread
    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The rest of the design, then a round of proposals, then the confirmation."""
        if _given(problem):
            return self._ladder.next(problem, observations, pending)
        known = known_ids(observations, pending)
        design = Design(self.design, self.repeats).specs(problem)
        missing = [s for s in design if s.run_id not in known]
        if missing:
            return missing
        ledger = Ledger.of(problem, observations, pending)
        # A round is fitted to all runs before it, so that a resume repeats it.
        room = min(free_slots(ledger, self.batch, self.wait), self.batch)
        if room < 1:
            return []
        sent = sent_to_confirmation(observations, pending)
        asked = self._search(ledger, room, final=sent is not None)
        if asked or ledger.pending or not self.confirm_seeds:
            return asked
        chosen = self._chosen(ledger)[0] if sent is None else sent.mixture
        return [s for s in self._confirming.specs(ledger, chosen) if s.run_id not in known]

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Refuse weights by reliability where nothing will be run twice.

        Raises:
            InputError: names what to set.
        """
        del metrics
        if problem.objective.reliability != "ignore" and _given(problem):
            raise InputError(
                "objective.reliability is 'down-weight', and where the runs to choose from or what "
                "scales cost are given nothing is run twice; leave it out, or give weights"
            )
        self.check_question(problem.objective, problem.config)

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Refuse weights by reliability where no mixture is run twice.

        Raises:
            InputError: names what to set.
        """
        del config
        if objective.reliability != "ignore" and self.repeats < 2:
            raise InputError(
                f"objective.reliability is 'down-weight' and strategy.repeats is {self.repeats}: "
                "no mixture is run twice, so that no noise is known; give 'repeats: 4' (2 at "
                "least), or leave objective.reliability out"
            )

    def planned(self, problem: Problem) -> list[Scale]:
        """Design, proposals (remedies are of them), corrections, and candidates with every seed."""
        if _given(problem):
            return self._ladder.planned(problem)
        search = [problem.scales[0]] * self._runs
        search += [scale for scale in problem.scales[1:] for _ in range(self.corrections)]
        return search + self._confirming.planned(problem)

    @one_blas_thread
    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The posterior-mean optimum; the one that was sent to confirmation, if any was."""
        if _given(problem):
            return self._ladder.answer(problem, observations, every_metric=every_metric)
        ledger = Ledger.of(problem, observations)
        mixture, surrogate = self._chosen(ledger, every_metric)
        sent = sent_to_confirmation(observations)
        before = without_remedies(ledger)
        changed: Remedied | None = None
        if before is not None:
            changed = remedied(ledger, self._verdict(before, "before")[0])
        final = mixture if sent is None else sent.mixture
        return Answer(final, surrogate, ledger.every(), remedied=changed)

    def _search(self, ledger: Ledger, room: int, *, final: bool) -> list[RunSpec]:
        """Proposals at the smallest scale, corrections above it, and what the verdict asks for.

        Args:
            ledger: the runs.
            room: the most proposals.
            final: whether the answer stands, so that no verdict changes it any more.
        """
        runs, first = self._runs, ledger.problem.scales[0]
        climbing = ledger.asked > ledger.count(first)
        if not climbing:
            proposed = self._proposals(runs - self._reserved).next(ledger, room)
            if proposed or ledger.pending:
                return proposed
        asked = Corrections(self.corrections, runs, self.wait).next(ledger, self._ladder)
        if asked or ledger.pending or final or not self._reserved:
            return asked
        # What remedies cost above the smallest scale is paid by proposals at the smallest.
        runs -= math.ceil(spent(ledger, above=first) / ledger.problem.cost(first) - 1e-9)
        return self._remedies(ledger, runs) or self._proposals(runs).next(ledger, room)

    def _remedies(self, ledger: Ledger, runs: int) -> list[RunSpec]:
        """What the verdict asks for, within what is left of the reserve."""
        first = ledger.problem.scales[0]
        each = ledger.problem.cost(first)
        left = min(self._reserved * each - spent(ledger), (runs - ledger.count(first)) * each)
        if left < each * (1 - 1e-9):
            return []
        told, mixture = self._verdict(ledger)
        return Remedies(left).next(ledger, told, mixture)

    def _verdict(self, ledger: Ledger, sort: str = "fit") -> tuple[Trust, Mixture]:
        """On the answer that these runs give, and the answer."""

        def make() -> tuple[Trust, Mixture]:
            mixture, surrogate = self._chosen(ledger, sort=sort)
            return verdict(ledger, surrogate, mixture), mixture

        told: tuple[Trust, Mixture] = self.memo.get(fitted_to(ledger), make, f"{sort} verdict")
        return told

    def _proposals(self, runs: int) -> Proposals:
        return Proposals(runs, self.batch, self.law, self.stop, self.replicate)

    @property
    def _runs(self) -> int:
        return self.design + self.repeats + self.proposals

    @property
    def _reserved(self) -> int:
        return min(self.reserve, self.proposals // 2)

    def _chosen(
        self, ledger: Ledger, every_metric: bool = False, sort: str = "fit"
    ) -> tuple[Mixture, Surrogate]:
        """The optimum of the model, and the model."""
        surrogate: Surrogate = self.memo.get(
            ("auto", fitted_to(ledger, every_metric)),
            lambda: search_surrogate(ledger, self.law, every_metric=every_metric),
            sort,
        )
        space, W = ledger.problem.space, ledger.every().W
        return best_mixture(surrogate, space, W=W, rng=ledger.rng()), surrogate

    @property
    def _confirming(self) -> Confirming:
        return Confirming(self.confirm_seeds, self.singles)

    @property
    def _ladder(self) -> LadderSearch:
        return LadderSearch(
            design=self.design,
            runs=self._runs,
            batch=self.batch,
            wait=self.wait,
            memo=self.memo,
        )


def _given(problem: Problem) -> bool:
    """Whether the runs to choose from, or what every scale costs, are given."""
    return bool(problem.pool or problem.costs)
