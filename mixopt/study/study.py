"""The notebook facade: space, objective and observations; ask, tell, fit, propose, recommend."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mixopt import designs, proposers
from mixopt.diagnostics import Trust
from mixopt.errors import InputError, NotFittedError
from mixopt.evidence.outcome import Outcome, table_outcome
from mixopt.laws import Named
from mixopt.laws.base import FittedLaw, Law
from mixopt.lazy import require
from mixopt.proposers import Recommendation, Surrogate
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.objective import Metrics, Objective
from mixopt.runs.reliability import resolved
from mixopt.runs.run_table import RunTable
from mixopt.runs.scales import placed
from mixopt.runs.told_again import new_runs
from mixopt.space import Mixture, MixtureSpace, html
from mixopt.study.pictures import Pictures
from mixopt.study.telling import (
    Runs,
    check_asked,
    check_scales,
    covering_part,
    known_law,
    known_scale,
    listed,
    name_of,
    objective_from,
    observation_of,
    only_scale,
    table_of,
)
from mixopt.study.views import Best, MixturesLike, best_of, mixtures_of, predicted
from mixopt.study.whole_files import write_whole

MOST_RUNS = 1200  # what laws and diagnostics take in minutes; RegMix's tables are just below
DESIGN_RUNS = 3  # `ask` designs until there are this many runs per domain, then proposes


class Study:
    """What is known about one mixture question, and what to do next.

    >>> from mixopt import MixtureSpace
    >>> space = MixtureSpace({"web": "8B", "code": "1B", "math": "1B"})
    >>> study = Study(space, minimize="loss", law="gp")
    >>> study.optimize(lambda run: 2.0 + (run.mixture["web"] - 0.5) ** 2, 16)  # ask, train, tell
    >>> study
    <Study of loss over 3 domains: 16 runs; law gp>
    >>> study.best.runs, len(study.table.frame), len(study.evidence)
    (16, 16, 16)
    >>> study.predict({"web": 0.5, "code": 0.3, "math": 0.2})["objective"].item() < 2.1
    True
    >>> answer = study.recommend()
    >>> list(answer.intervals), sorted(answer.gains)
    (['web', 'code', 'math'], ['natural', 'temperature', 'uniform'])
    >>> len(study.check().gates) > 5, study.outcome.verdict.badge  # in words: study.check()
    (True, 'Not tested')
    >>> list(study.plot.weights(backend="frame"))
    ['domain', 'share', 'low', 'high', 'natural']
    >>> study.report("study.html")
    >>> run, other = study.ask(2)  # or mixtures alone: study.propose(2)
    >>> study.tell(run, {"loss": 2.05})
    >>> study.forget(other)  # it diverged
    >>> len(study), study.asked
    (17, ())
    >>> study.expect([other])  # chosen elsewhere
    >>> type(study.fit("linear")).__name__, study.surrogate.metrics
    ('FittedRidge', ('loss',))

    Args:
        space: the mixtures that are allowed.
        minimize: a metric, several (their mean), metric to weight, or an `Objective`.
        maximize: the same for metrics where higher is better.
        law: name of the law that `fit` uses, or a law.
        scale: of the runs that `ask` gives out, and of runs told that state none; left out, it is
            that of the runs told, or none at all.
        target: scale that answers are for; the largest that ran if left out. One that did not run
            has no level, or one that several scales lead to (`Recommendation.reach`).
        seed: of all random numbers; the same study with the same seed answers the same.

    Raises:
        InputError: no metric is named, or one twice, or an unknown law.
    """

    def __init__(
        self,
        space: MixtureSpace,
        minimize: Metrics | Objective = (),
        maximize: Metrics = (),
        *,
        law: Named | Law = "auto",
        scale: Scale | None = None,
        target: Scale | None = None,
        seed: int = 0,
    ) -> None:
        self.space = space
        self.objective = objective_from(minimize, maximize)
        self.scale = scale
        self.target = target
        self.seed = seed
        self.law = known_law(law)
        self._tables: list[RunTable] = []
        self._asked: dict[str, RunSpec] = {}
        self._surrogate: Surrogate | None = None
        self._evidence: tuple[int, RunTable] | None = None
        self._outcome: Outcome | None = None

    def __repr__(self) -> str:
        runs, waiting = len(self), len(self._asked)
        asked = f", {waiting} asked and not told" if waiting else ""
        return (
            f"<Study of {self.objective.describe()} over {self.space.dim} domains: {runs} runs"
            f"{asked}; law {name_of(self.law)}>"
        )

    def _repr_html_(self) -> str:
        head = html.paragraph(repr(self).strip("<>"), strong=True)
        if not self._tables:
            return head + self.space._repr_html_()
        return head + self.best._repr_html_()

    def __len__(self) -> int:
        """Number of runs told."""
        return sum(map(len, self._tables))

    # -- evidence --------------------------------------------------------------------------------

    def tell(
        self,
        runs: Runs,
        metrics: Mapping[str, float] | float | None = None,
        *,
        renormalize: bool = False,
    ) -> None:
        """Add runs: a tidy table, observations, or one run or mixture with its metrics.

        A run that was told before counts once, which a note of `table` says; a run that failed
        (`Observation.failed`) is no longer waited for.

        Args:
            runs: what was run; a mixture, or its shares by name, has the study's scale and seed.
            metrics: by name, if `runs` is one run; a number where the objective has one metric.
            renormalize: accept weights of a frame, or shares, of any sum (percentages, tokens).

        Raises:
            InputError: weights off the simplex, a domain that the space does not hold, an unknown
                metric, one that is not finite (see `forget`), another scale than was asked, runs
                with a scale beside runs without, or a run that was told before with other metrics.
        """
        if isinstance(runs, Mixture | Mapping):
            (w,) = mixtures_of(self.space, runs, renormalize)
            at = self.scale or only_scale(self._tables, self._asked)
            runs = RunSpec(self.space.mixture(w), at, seed=self.seed)
        if isinstance(runs, RunSpec):
            runs = observation_of(runs, metrics, self.objective)
        elif metrics is not None:
            raise InputError("metrics belong to one run spec or mixture; a table carries its own")
        if isinstance(runs, Observation):
            check_asked(runs.spec, self._asked)
            runs = [runs]
        runs = listed(runs)
        if isinstance(runs, list):
            failed = [self._asked.pop(o.run_id, None) for o in runs if not o.ok]
            if runs and len(runs) == sum(spec is not None for spec in failed):
                return  # runs that were asked have failed, and that is all there is to know
        table = table_of(runs, self.space.names, renormalize)
        self.objective.check(table.metrics)
        table = placed(table.within(self.space.names), self.scale)
        check_scales(table, self._asked, self._tables)
        fresh = new_runs(table, self.table if self._tables else None)
        for run_id in table.facts.get("run", ()):
            self._asked.pop(str(run_id), None)
        if len(fresh):
            self._tables.append(fresh)
            self._surrogate = None
        else:
            self._tables = [self.table.with_notes(*fresh.notes)]

    @property
    def asked(self) -> tuple[RunSpec, ...]:
        """Runs that `ask` gave and that were neither told nor forgotten."""
        return tuple(self._asked.values())

    def expect(self, runs: Iterable[RunSpec]) -> None:
        """Wait for runs that were chosen elsewhere, as for those that `ask` gave."""
        self._asked.update({spec.run_id: spec for spec in runs})

    def forget(self, asked: RunSpec) -> None:
        """No longer wait for a run that `ask` gave: it diverged, or was never started.

        Raises:
            InputError: it was not asked, or was told already.
        """
        if asked.run_id not in self._asked:
            raise InputError(
                f"run {asked.run_id} is not waited for: it was told, forgotten, or never asked"
            )
        del self._asked[asked.run_id]

    @property
    def table(self) -> RunTable:
        """All runs told.

        Raises:
            NotFittedError: nothing was told yet.
        """
        if not self._tables:
            raise NotFittedError("the study has no runs yet; tell it some first")
        self._tables = [RunTable.joined(self._tables)]
        return self._tables[0]

    @property
    def evidence(self) -> RunTable:
        """The runs that laws are fitted to: all, or at most 1,200 that cover them.

        Laws and their diagnostics take minutes at that number, and days at ten times as many. The
        part is always the same for the same runs and seed, and a note of the table says so.
        """
        table = self.table
        if len(table) <= MOST_RUNS:
            return table
        if self._evidence is None or self._evidence[0] != len(table):
            part = covering_part(table, self.objective.metrics, MOST_RUNS, self.seed)
            self._evidence = (len(table), part)
        return self._evidence[1]

    # -- what follows from it --------------------------------------------------------------------

    def fit(self, law: Named | Law | None = None) -> FittedLaw:
        """Fit a law to all runs, one set of parameters per metric; kept for what follows.

        Raises:
            NotFittedError: nothing was told yet.
            InputError: an unknown law, or too few runs for it.
        """
        if law is not None:
            self.law, self._surrogate = known_law(law), None
        return self.surrogate.fitted

    @property
    def surrogate(self) -> Surrogate:
        """The fitted law seen through the objective; fitted when first asked for."""
        if self._surrogate is None:
            self._surrogate = fit_surrogate(
                self.evidence,
                self.objective,
                self.space,
                self.law,
                rng=self._rng(),
                every_metric=True,
                target=self.target,
            )
        return self._surrogate

    def propose(self, n: int = 1) -> list[Mixture]:
        """The mixtures to train next, best first; runs that were asked and not told are pending.

        Raises:
            NotFittedError: nothing was told yet; use `ask`, or a design.
        """
        W = proposers.propose_batch(
            self.surrogate,
            self.space,
            n,
            W=self.evidence.W,
            pending=self._pending(),
            rng=self._rng(len(self._asked)),
        )
        return [self.space.mixture(w) for w in W]

    def recommend(self, mixture: Mixture | None = None) -> Recommendation:
        """The mixture to train at last, with intervals and predicted gains over baselines.

        Args:
            mixture: judge this one instead of looking for the optimum.

        Raises:
            NotFittedError: nothing was told yet.
        """
        return proposers.recommend(
            self.surrogate, self.space, W=self.evidence.W, rng=self._rng(), mixture=mixture
        )

    def predict(
        self, mixtures: MixturesLike, scale: Scale | None = None, *, renormalize: bool = False
    ) -> pd.DataFrame:
        """Objective and metrics at mixtures: one row each, with the sd of what the law leaves open.

        Args:
            mixtures: one or several: mixtures, shares by domain, a frame of shares, or weights
                (n, m) in the order of the space.
            scale: that of the study's answers if left out. At one that did not run, the column
                `reach` says what is left of the prediction: see `views.predicted`.
            renormalize: accept weights of any sum.

        Raises:
            NotFittedError: nothing was told yet.
            InputError: weights off the simplex, an unknown domain, or runs that state no scale.
        """
        at = known_scale(scale)
        law = self.surrogate if at is None else self.surrogate.at(at)
        return predicted(law, mixtures_of(self.space, mixtures, renormalize))

    @property
    def best(self) -> Best:
        """The best run told; `recommend` says what is better than all of them."""
        return best_of(self.table, resolved(self.objective, self.table))

    @property
    def outcome(self) -> Outcome:
        """The recommendation with all that speaks for and against it; made when first asked for.

        Raises:
            NotFittedError: nothing was told yet.
        """
        surrogate = self.surrogate
        if self._outcome is None or self._outcome.surrogate is not surrogate:
            self._outcome = table_outcome(surrogate, self.evidence, self.space, rng=self._rng())
        return self._outcome

    def check(self) -> Trust:
        """Whether the answer is to be trusted: every gate in words, and what would change it.

        Raises:
            NotFittedError: nothing was told yet.
        """
        return self.outcome.checkup.trust

    def report(self, path: str | Path, title: str = "study", notes: Sequence[str] = ()) -> None:
        """Write the outcome, and notes of yours, as one HTML page that a browser alone can show."""
        page: str = require("mixopt.study.pages").study_page(self, title, notes)
        write_whole(Path(path), page)

    @property
    def plot(self) -> Pictures:
        """Pictures: `weights`, `response`, `front`, `fidelity`, `calibration`, `history`."""
        return Pictures(self)

    def optimize(
        self,
        train: Callable[[RunSpec], Mapping[str, float] | float],
        runs: int,
        *,
        callbacks: Iterable[Callable[["Study", Observation], None]] = (),
    ) -> None:
        """Ask, train and tell, one run at a time.

        Args:
            train: gives the metrics of a run; a run whose metrics are not finite is forgotten.
            runs: how many.
            callbacks: called with the study and each run; one that raises `StopIteration` ends it.
        """
        told = list(callbacks)
        for _ in range(runs):
            (spec,) = self.ask(1)
            metrics = train(spec)
            named = metrics if isinstance(metrics, Mapping) else {self.objective.needed[0]: metrics}
            seen = Observation.of(spec, {name: float(v) for name, v in named.items()})
            if seen.ok:
                self.tell(spec, metrics)
            else:
                self.forget(spec)
            try:
                for callback in told:
                    callback(self, seen)
            except StopIteration:
                return

    def ask(self, n: int = 1, scale: Scale | None = None) -> list[RunSpec]:
        """The next n runs: a design while runs are few, proposals after.

        Tell each one's metrics with `tell(spec, metrics)`.

        Args:
            n: how many.
            scale: of these runs; the study's if left out, or that of the runs told.

        Raises:
            InputError: the runs told are of several scales, and nobody says which is meant.
        """
        at = known_scale(scale) or self.scale or only_scale(self._tables, self._asked)
        told = len(self)
        if told + len(self._asked) < DESIGN_RUNS * self.space.dim or not told:
            known = [table.W for table in self._tables]
            pending = self._pending()
            existing = [*known, *([] if pending is None else [pending])]
            W = designs.design(
                "regmix",
                self.space,
                n,
                rng=self._rng(len(self._asked)),
                existing=np.vstack(existing) if existing else None,
            )
            mixtures = [self.space.mixture(w) for w in W]
        else:
            mixtures = self.propose(n)
        specs = [RunSpec(m, at, seed=self.seed) for m in mixtures]
        self.expect(specs)
        return specs

    def _pending(self) -> np.ndarray | None:
        if not self._asked:
            return None
        return np.array([spec.mixture.array for spec in self._asked.values()])

    def _rng(self, *more: int) -> np.random.Generator:
        """The same for the same runs told, whatever was asked before."""
        return np.random.default_rng([self.seed, len(self), *more])
