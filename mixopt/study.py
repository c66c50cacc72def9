"""The notebook facade: space, objective and observations; ask, tell, fit, propose, recommend.

>>> import mixopt
>>> space = mixopt.MixtureSpace({"web": 8e9, "code": 1e9, "math": 1e9})
>>> study = mixopt.Study(space, minimize="loss", law="log-linear")
>>> for spec in study.ask(16):
...     web, code, math = spec.mixture.weights
...     study.tell(spec, {"loss": 2.0 + (web - 0.5) ** 2 + (code - 0.3) ** 2})
>>> len(study)
16
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from mixopt import designs, proposers
from mixopt.errors import InputError, NotFittedError
from mixopt.laws.base import FittedLaw, Law
from mixopt.proposers import Recommendation, Surrogate
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import UNSTATED, Observation, RunSpec, Scale
from mixopt.runs.objective import Metrics, Objective, weights_of
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture, MixtureSpace

DESIGN_RUNS = 3  # `ask` designs until there are this many runs per domain, then proposes


class Study:
    """What is known about one mixture question, and what to do next.

    Args:
        space: the mixtures that are allowed.
        minimize: a metric, several (their mean), metric to weight, or an `Objective`.
        maximize: the same for metrics where higher is better.
        law: name of the law that `fit` uses, or a law.
        scale: of the runs that `ask` gives out.
        seed: of all random numbers; the same study with the same seed answers the same.

    Raises:
        InputError: no metric is named, or one twice.
    """

    def __init__(
        self,
        space: MixtureSpace,
        minimize: Metrics | Objective = (),
        maximize: Metrics = (),
        *,
        law: str | Law = "auto",
        scale: Scale = UNSTATED,
        seed: int = 0,
    ) -> None:
        self.space = space
        self.objective = _objective(minimize, maximize)
        self.scale = scale
        self.seed = seed
        self.law = law
        self._tables: list[RunTable] = []
        self._asked: dict[str, RunSpec] = {}
        self._surrogate: Surrogate | None = None

    def __len__(self) -> int:
        """Number of runs told."""
        return sum(map(len, self._tables))

    # -- evidence --------------------------------------------------------------------------------

    def tell(
        self,
        runs: pd.DataFrame | RunTable | RunSpec | Observation | Iterable[Observation],
        metrics: Mapping[str, float] | float | None = None,
    ) -> None:
        """Add runs: a tidy table, observations, or one run that `ask` gave with its metrics.

        Args:
            runs: what was run.
            metrics: by name, if `runs` is a run spec; a number where the objective has one metric.

        Raises:
            InputError: weights off the simplex, a domain that the space does not hold, an unknown
                metric, or a metric that is not finite (tell nothing of a run that diverged).
        """
        if isinstance(runs, RunSpec):
            runs = _observation(runs, metrics, self.objective)
        elif metrics is not None:
            raise InputError("metrics belong to one run spec; a table carries its own")
        if isinstance(runs, Observation):
            runs = [runs]
        if isinstance(runs, pd.DataFrame):
            table = RunTable.from_frame(runs)
        elif isinstance(runs, RunTable):
            table = runs
        else:
            table = RunTable.from_observations(runs, self.space.names)
        self.objective.check(table.metrics)
        table = table.within(self.space.names)
        self._tables.append(table)
        for run_id in table.facts.get("run", ()):
            self._asked.pop(str(run_id), None)
        self._surrogate = None

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

    # -- what follows from it --------------------------------------------------------------------

    def fit(self, law: str | Law | None = None) -> FittedLaw:
        """Fit a law to all runs, one set of parameters per metric; kept for what follows.

        Raises:
            NotFittedError: nothing was told yet.
            InputError: an unknown law, or too few runs for it.
        """
        if law is not None:
            self.law, self._surrogate = law, None
        return self.surrogate.fitted

    @property
    def surrogate(self) -> Surrogate:
        """The fitted law seen through the objective; fitted when first asked for."""
        if self._surrogate is None:
            self._surrogate = fit_surrogate(
                self.table,
                self.objective,
                self.space,
                self.law,
                rng=self._rng(),
                every_metric=True,
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
            W=self.table.W,
            pending=self._pending(),
            rng=self._rng(),
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
            self.surrogate, self.space, W=self.table.W, rng=self._rng(), mixture=mixture
        )

    def ask(self, n: int = 1) -> list[RunSpec]:
        """The next n runs: a design while runs are few, proposals after.

        Tell each one's metrics with `tell(spec, metrics)`.
        """
        told = len(self)
        if told + len(self._asked) < DESIGN_RUNS * self.space.dim or not told:
            known = [table.W for table in self._tables]
            pending = self._pending()
            existing = [*known, *([] if pending is None else [pending])]
            W = designs.design(
                "regmix",
                self.space,
                n,
                rng=self._rng(),
                existing=np.vstack(existing) if existing else None,
            )
            mixtures = [self.space.mixture(w) for w in W]
        else:
            mixtures = self.propose(n)
        specs = [RunSpec(m, self.scale, seed=self.seed) for m in mixtures]
        self._asked.update({spec.run_id: spec for spec in specs})
        return specs

    def _pending(self) -> np.ndarray | None:
        if not self._asked:
            return None
        return np.array([spec.mixture.array for spec in self._asked.values()])

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, len(self), len(self._asked)])


def _objective(minimize: Metrics | Objective, maximize: Metrics) -> Objective:
    if isinstance(minimize, Objective):
        return minimize
    twice = set(weights_of(minimize)) & set(weights_of(maximize))
    if twice:
        raise InputError(f"{min(twice)!r} is to be both minimised and maximised; name it once")
    return Objective.of(minimize, maximize)


def _observation(
    spec: RunSpec, metrics: Mapping[str, float] | float | None, objective: Objective
) -> Observation:
    if metrics is None:
        raise InputError("tell(spec, metrics) needs the run's metrics, by name")
    if not isinstance(metrics, Mapping):
        if len(objective.metrics) != 1:
            raise InputError(
                f"the objective has {len(objective.metrics)} metrics; give them by name"
            )
        metrics = {objective.metrics[0]: float(metrics)}
    seen = Observation.of(spec, metrics)
    if not seen.ok:
        raise InputError(f"run {spec.run_id}: {seen.error}; leave a run that diverged out")
    return seen
