"""What a sweep (or a table of runs) has found: mixture, confirmation, cost; for screen and file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mixopt import laws
from mixopt.errors import InputError
from mixopt.evidence.checkup import Checkup, check
from mixopt.evidence.confirmation import Confirmation, confirm
from mixopt.proposers import Recommendation
from mixopt.proposers.pareto import spread_out
from mixopt.runs import Observation
from mixopt.runs.kinds import RECOMMENDED, Kind
from mixopt.runs.knobs import Value
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture, MixtureSpace
from mixopt.strategies import FrontFinder, Problem
from mixopt.study import Study


@dataclass(frozen=True)
class Share:
    """One row of the answer: a domain's natural and proposed share, with an interval."""

    domain: str
    natural: float
    proposed: float
    low: float
    high: float


@dataclass(frozen=True)
class TradeOff:
    """A mixture that no other beats in every objective.

    Attributes:
        mixture: its shares.
        objectives: name to predicted value, lower is better.
    """

    mixture: Mixture
    objectives: Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """The result of a sweep or of a fit.

    Attributes:
        study: space, objective, the search runs and the fitted law.
        recommendation: from the law; its mixture is the one that was confirmed, if any was.
        checkup: what the diagnostics say of runs, law and recommendation.
        confirmation: what the confirmatory runs showed; None before the first.
        runs: how many there are, failed ones included.
        flops: spent on them.
        unit: of the metrics.
        warnings: reasons for doubt, in plain words.
        settings: the recommended value of every knob that was searched with the mixture; runs and
            predictions are then for these.
        front: the trade-offs between several objectives, by the first of them.
    """

    study: Study
    recommendation: Recommendation
    checkup: Checkup
    confirmation: Confirmation | None = None
    runs: int = 0
    flops: float = 0.0
    unit: str = ""
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Value] = field(default_factory=dict, hash=False)
    front: tuple[TradeOff, ...] = ()

    def shares(self) -> list[Share]:
        """Natural and proposed share per domain, in the order of the space."""
        space, found = self.study.space, self.recommendation
        return [
            Share(name, float(natural), found.mixture[name], *found.intervals[name])
            for name, natural in zip(space.names, space.prior, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as `--json` writes them."""
        found, shown = self.recommendation, self.confirmation
        return {
            "objective": self.study.objective.describe(),
            "unit": self.unit,
            "recommended": found.mixture.to_dict(),
            "intervals": {k: list(v) for k, v in found.intervals.items()},
            "predicted": {
                "objective": {"mean": found.value, "sd": found.sd},
                "metrics": {k: {"mean": m, "sd": s} for k, (m, s) in found.metrics.items()},
                "gains": {
                    k: {"raw": g.raw, "shrunk": g.shrunk, "sd": g.sd}
                    for k, g in found.gains.items()
                },
            },
            "validated": {} if shown is None else shown.to_dict(),
            "seed_sd": float(shown.seed_sd) if shown and np.isfinite(shown.seed_sd) else None,
            "beats_all_baselines": None if shown is None else shown.passed,
            "verdict": "" if shown is None else shown.verdict,
            "runs": self.runs,
            "flops": self.flops,
            "trust": {"level": self.checkup.trust.level, "lines": self.checkup.lines()},
            "warnings": list(self.warnings),
            "settings": dict(self.settings),
            "front": [
                {"mixture": t.mixture.to_dict(), "objectives": dict(t.objectives)}
                for t in self.front
            ],
        }


def sweep_outcome(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    law: str = "auto",
    recommended: Mixture | None = None,
    unit: str = "",
    warnings: Sequence[str] = (),
    every_metric: bool = True,
) -> Outcome:
    """Fit the law to the search runs, recommend, and compare what was confirmed.

    Args:
        problem: what the sweep worked on.
        observations: its runs.
        law: fitted to the search runs, one set of parameters per metric.
        recommended: the strategy's answer; by default what was confirmed, else the law's optimum.
        unit: of the metrics.
        warnings: of the trainer.
        every_metric: whether to cross-validate metrics that the objective does not weigh.

    Raises:
        InputError: no search run succeeded, or too few for any law.
    """
    search = [o for o in observations if o.spec.kind.in_search]
    several = len({o.spec.scale for o in search if o.ok}) > 1
    study = Study(
        problem.space,
        problem.objective,
        law=laws.for_scales(law) if several else law,
        seed=problem.seed,
    )
    study.tell(search)
    chosen = confirmed_mixture(observations)
    recommendation = study.recommend(recommended or chosen)
    confirmation: Confirmation | None = None
    if chosen is not None:
        try:
            confirmation = confirm(observations, study.surrogate.objective)
        except InputError as error:
            warnings = (*warnings, f"{error}; the recommendation is not validated")
    return Outcome(
        study,
        recommendation,
        check(study, recommendation, curve=False, every_metric=every_metric),
        confirmation,
        runs=len(observations),
        flops=float(sum(o.flops for o in observations)),
        unit=unit,
        warnings=(*warnings, *_doubts(observations)),
    )


def table_outcome(
    runs: RunTable, objective: Objective, space: MixtureSpace, *, law: str = "auto", seed: int = 0
) -> Outcome:
    """Fit a law to a table of runs and recommend.

    Raises:
        InputError: see `Study.tell` and `Study.fit`.
    """
    study = Study(space, objective, law=law, seed=seed)
    study.tell(runs)
    found = study.recommend()
    flops = float(np.nansum(runs.costs))
    return Outcome(study, found, check(study, found), runs=len(runs), flops=flops)


def confirmed_mixture(observations: Sequence[Observation]) -> Mixture | None:
    """The mixture that the strategy sent into confirmation, if it has got that far."""
    kind = Kind.confirmation(RECOMMENDED)
    return next((o.spec.mixture for o in observations if o.spec.kind == kind), None)


def trade_offs(
    recipe: FrontFinder, problem: Problem, observations: Sequence[Observation], most: int = 40
) -> tuple[TradeOff, ...]:
    """The front of a strategy that trades objectives off, by its first objective.

    Of more than `most` points, so many that cover the front evenly, the ends among them.

    Raises:
        InputError: no run has succeeded yet.
    """
    found, names = recipe.front(problem, observations), recipe.objective_names(problem)
    kept = spread_out(found.F, most)
    W = problem.space.round(found.W[kept])
    return tuple(
        TradeOff(problem.space.mixture(w), dict(zip(names, map(float, values), strict=True)))
        for w, values in zip(W, found.F[kept], strict=True)
    )


def _doubts(observations: Sequence[Observation]) -> tuple[str, ...]:
    return (
        *_repetition(observations),
        *_precisions(observations),
        *_failures(observations),
    )


def _repetition(observations: Sequence[Observation]) -> tuple[str, ...]:
    """Where proxies of the recommendation saw domains more or less often than the target will."""
    kind = Kind.confirmation(RECOMMENDED)
    told = [
        str(line)
        for o in observations
        if o.spec.kind == kind
        for line in o.info.get("repetition", {}).get("warnings", ())
    ]
    return tuple(dict.fromkeys(told))


def _failures(observations: Sequence[Observation]) -> tuple[str, ...]:
    failed = [o for o in observations if not o.ok]
    if not failed:
        return ()
    return (f"{len(failed)} of {len(observations)} runs failed, e.g.: {failed[0].error}",)


def _precisions(observations: Sequence[Observation]) -> tuple[str, ...]:
    """Runs of a sweep that moved between machines may have been trained in other precisions."""
    count = Counter(str(o.info["precision"]) for o in observations if "precision" in o.info)
    if len(count) < 2:
        return ()
    told = ", ".join(f"{n} in {name}" for name, n in count.most_common())
    return (
        f"runs were trained in different precisions ({told}); what that changes may pass for an "
        "effect of mixtures: where the noise is that small, set precision in the next sweep",
    )
