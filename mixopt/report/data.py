"""What a report is made of.

Notation:
    n runs, m domains, k metrics
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from mixopt.diagnostics import Dependence, DomainValues, Influence, Transfer, Trust
from mixopt.evidence.confirmation import Confirmation
from mixopt.evidence.decision import Decision
from mixopt.evidence.past import Past
from mixopt.laws.base import Prediction
from mixopt.laws.constants import Constants
from mixopt.proposers import Recommendation
from mixopt.proposers.prices import Prices
from mixopt.runs import UNSTATED, Kind, Observation, RunSpec, Scale, What
from mixopt.runs.kinds import GIVEN
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture, MixtureSpace
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class HeldOut:
    """Cross-validated predictions: each made without the run that it predicts.

    Attributes:
        metrics: (k,) names.
        observed: (n, k) measured, NaN where missing.
        mean: (n, k) predicted.
        sd: (n, k) of one new run around the prediction (law and noise).
        runs: (n,) names of the runs; may be left out.
    """

    metrics: tuple[str, ...]
    observed: Array
    mean: Array
    sd: Array
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """Where a study comes from, and where its runs are.

    Attributes:
        question: what the study is to answer, in its owner's words.
        owner: whose it is.
        written: when the report is.
        began: when the first run was opened.
        ended: when the last one was closed.
        running: what is still under way, in words; empty for a finished study. The page then loads
            itself again, until it is rewritten.
        pages: id of a run to its page on the server that keeps it.
        hint: how to see the runs where they have no page, as something to do.
    """

    question: str = ""
    owner: str = ""
    written: datetime | None = None
    began: datetime | None = None
    ended: datetime | None = None
    running: str = ""
    pages: Mapping[str, str] = field(default_factory=dict, hash=False)
    hint: str = ""

    @property
    def seconds(self) -> float:
        """From the first run to the last, pauses included; NaN where not known."""
        if self.began is None or self.ended is None:
            return float("nan")
        return (self.ended - self.began).total_seconds()


@dataclass(frozen=True)
class Evidence:
    """What diagnostics measured; None where the runs did not allow it.

    Attributes:
        trust: the verdict with its gates.
        influence: what each domain does, and which pairs help each other.
        transfer: how small runs rank against larger ones.
    """

    trust: Trust | None = None
    influence: Influence | None = None
    transfer: Transfer | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows; all but the first four may be missing.

    Attributes:
        title: name of the study.
        space: domains and constraints.
        objective: what was minimised.
        observations: all runs in order, failed ones and those that confirm included.
        recommendation: None before the first fit.
        confirmation: None before the first fresh seeds are in.
        held_out: cross-validated predictions.
        predict: the fitted law, mixtures (g, m) to a `Prediction`, for the response curves.
        metrics: (k,) names of what `predict` returns, in its order.
        unit: of the metrics, e.g. `"bits/byte"`.
        laws: metric to law to its weight in the average.
        diagnostics: what was measured about runs, law and answer, in plain words; verdict last.
        facts: what else is on record (spec, versions), plain JSON values; nested ones are folded.
        warnings: reasons for doubt, in plain words.
        settings: recommended values of what was searched with the mixture, by name.
        front: mixtures that no other beats in every objective, each with its objectives by name.
        domain_values: what each domain was measured to be worth at the end of a run.
        dependence: whether the experiments of a run interfere.
        prices: what it costs to leave out or to bound a tier of domains.
        constants: of the law, where they mean something by themselves.
        reason: why there is no recommendation, where there is none.
        origin: whose study it is, when it ran, and where its runs are.
        evidence: what diagnostics measured.
        promotion: what the last promotion decided; None before one.
        past: what became of promotions of earlier studies.
    """

    title: str
    space: MixtureSpace
    objective: Objective
    observations: tuple[Observation, ...] = ()
    recommendation: Recommendation | None = None
    confirmation: Confirmation | None = None
    held_out: HeldOut | None = None
    predict: Callable[[Array], Prediction] | None = None
    metrics: tuple[str, ...] = ()
    unit: str = ""
    laws: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    diagnostics: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    front: tuple[tuple[Mixture, Mapping[str, float]], ...] = ()
    domain_values: DomainValues | None = None
    dependence: Dependence | None = None
    prices: Prices = field(default_factory=Prices)
    constants: Constants | None = None
    reason: str = ""
    origin: Origin = field(default_factory=Origin)
    evidence: Evidence = field(default_factory=Evidence)
    promotion: Decision | None = None
    past: tuple[Past, ...] = ()

    @property
    def good(self) -> tuple[Observation, ...]:
        """Runs that succeeded."""
        return tuple(o for o in self.observations if o.ok)

    @property
    def failed(self) -> tuple[Observation, ...]:
        """Runs that failed."""
        return tuple(o for o in self.observations if not o.ok)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Every metric that a run reports, those of the objective first."""
        seen = dict.fromkeys(k for o in self.good for k in o.metrics)
        first = [k for k in self.objective.metrics if k in seen]
        return tuple(dict.fromkeys([*first, *seen]))

    @property
    def objective_axis(self) -> str:
        """The objective with its unit, for axes."""
        return with_unit(self.objective.describe(), self.objective_unit)

    @property
    def objective_unit(self) -> str:
        """The unit of the metrics where the objective keeps it, else nothing."""
        return self.objective.unit(self.unit)

    def covers(self, metrics: Sequence[str]) -> bool:
        """Whether these metrics are enough for the objective."""
        return set(self.objective.needed) <= set(metrics)

    def value(self, metrics: Mapping[str, float]) -> float:
        """The objective of one run's metrics (lower is better); NaN where it misses one."""
        needed = self.objective.needed
        row = np.array([[metrics.get(k, np.nan) for k in needed]], dtype=float)
        return float(self.objective.value(row, needed)[0])


def with_unit(name: str, unit: str) -> str:
    """`"code [bits/byte]"`, or the bare name without a unit."""
    return f"{name} [{unit}]" if unit else name


def table_observations(table: RunTable, domains: Sequence[str] = ()) -> tuple[Observation, ...]:
    """The rows of a run table as observations, for a report on somebody's own results.

    Args:
        table: the runs.
        domains: order of the domains; the table's own by default.
    """
    order = [table.domains.index(d) for d in domains or table.domains]
    names = tuple(table.domains[i] for i in order)
    seeds = table.facts["seed"] if "seed" in table.facts else np.zeros(len(table))
    costs = table.costs if "cost" in table.facts else np.nan_to_num(6 * table.scales.prod(axis=1))
    observations = []
    for row, (w, y) in enumerate(zip(table.W[:, order], table.Y, strict=True)):
        scale = table.scales[row]
        spec = RunSpec(
            Mixture(names, tuple(w.tolist())),
            Scale(*(int(v) for v in scale)) if np.isfinite(scale).all() else UNSTATED,
            seed=int(seeds[row]) if np.isfinite(seeds[row]) else 0,
            kind=_kind(table, row),
        )
        metrics = {k: float(v) for k, v in zip(table.metrics, y, strict=True) if np.isfinite(v)}
        observations.append(
            Observation(spec, metrics=metrics, flops=float(np.nan_to_num(costs[row])))
        )
    return tuple(observations)


def _kind(table: RunTable, row: int) -> Kind:
    """What the columns `kind` and `candidate` say; a user's own column `kind` says nothing."""
    what, candidate = (
        str(table.facts[name][row]) if name in table.facts else "" for name in ("kind", "candidate")
    )
    if what not in set(What):
        return GIVEN
    return Kind.from_dict({"what": what, "candidate": "" if candidate == "nan" else candidate})
