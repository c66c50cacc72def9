"""What a sweep (or a table of runs) has shown: mixture, confirmation, cost; for screen and file.

The model that chose the runs is the model that answers. It is stored with its answer, so that a
report or an export reads what was concluded and fits nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mixopt import laws, proposers
from mixopt.diagnostics import Dependence, DomainValues
from mixopt.diagnostics.unlike import doubts
from mixopt.errors import InputError
from mixopt.evidence.checkup import Checkup, check
from mixopt.evidence.confirmation import Confirmation, confirm
from mixopt.evidence.constants import constants_as_json
from mixopt.evidence.passes import epochs_of
from mixopt.evidence.priced import priced, prices_as_json
from mixopt.evidence.reached import far, predictions, reach_of, reached
from mixopt.evidence.run_doubts import doubts_of_runs, unpredicted
from mixopt.evidence.stored import plain, read_back
from mixopt.evidence.trusted import one_by_one, trusted
from mixopt.evidence.verdict import UNASKED, Verdict, headline, judge, weighed
from mixopt.evidence.weights import weighing
from mixopt.judging.measuring import Beside
from mixopt.laws.constants import Constants, HasConstants
from mixopt.proposers import Recommendation, Surrogate
from mixopt.proposers.prices import Prices
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Observation
from mixopt.runs.knobs import Value
from mixopt.runs.objective import Objective, judged
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace, html
from mixopt.strategies import Answer, Problem, TradeOff

FORMAT = 8
"""Of a stored outcome; another one is refused, and concluded anew from the runs."""


@dataclass(frozen=True)
class Share:
    """One row of the answer: a domain's natural and proposed share, with an interval."""

    domain: str
    natural: float
    proposed: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of a sweep or of a fit.

    Attributes:
        surrogate: the model that chose, seen through the objective that it minimised.
        recommendation: from it; its mixture is the one that was confirmed, if any was.
        checkup: what the diagnostics say of runs, law and recommendation.
        names: (n,) of the runs that the model rests on.
        confirmation: what the confirmatory runs showed; None before the first.
        runs: how many there are, failed ones included.
        flops: spent on them.
        unit: of the metrics.
        warnings: reasons for doubt, in plain words.
        notes: what the strategy has to say of its search, in plain words.
        settings: the recommended value of every knob that was searched with the mixture; runs and
            predictions are then for these.
        front: the trade-offs between several objectives, by the first of them.
        rests_on: see `evidence_of`.
        domain_values: what each domain was measured to be worth, where that was asked.
        dependence: whether experiments that share a run interfere, where that was asked.
        prices: what it costs to leave out or to bound a tier, where domains have tags or groups.
    """

    surrogate: Surrogate
    recommendation: Recommendation
    checkup: Checkup
    names: tuple[str, ...] = ()
    confirmation: Confirmation | None = None
    runs: int = 0
    flops: float = 0.0
    unit: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)
    front: tuple[TradeOff, ...] = ()
    rests_on: str = ""
    domain_values: DomainValues | None = None
    dependence: Dependence | None = None
    prices: Prices = field(default_factory=Prices)

    @property
    def objective(self) -> Objective:
        """What was minimised, in the units in which it was."""
        return self.surrogate.objective

    @property
    def verdict(self) -> Verdict:
        """What fresh seeds have shown of it."""
        return judge(self.confirmation) if self.dependence is None else UNASKED

    @property
    def headline(self) -> str:
        """The answer in one sentence."""
        if self.dependence is not None:
            return self.dependence.headline
        unit = self.objective.unit(self.unit)
        return headline(self.recommendation, self.confirmation, self.objective, unit)

    def __repr__(self) -> str:
        return f"<Outcome of {self.runs or len(self.names)} runs: {self.headline}>"

    def _repr_html_(self) -> str:
        parts = [
            html.paragraph(self.headline, strong=True),
            html.paragraph(self.verdict.line),
            self.recommendation._repr_html_(),
            *(html.paragraph(line) for line in (*self.checkup.trust.lines()[:1], *self.warnings)),
        ]
        return "".join(parts)

    @property
    def constants(self) -> Constants | None:
        """Constants of the law that mean something by themselves, if it has any."""
        law, domains = self.surrogate.fitted, self.checkup.influence.domains
        return law.constants(domains) if isinstance(law, HasConstants) else None

    def shares(self, space: MixtureSpace) -> list[Share]:
        """Natural and proposed share per domain, in the order of the space."""
        answer = self.recommendation
        return [
            Share(name, float(natural), answer.mixture[name], *answer.intervals[name])
            for name, natural in zip(space.names, space.prior, strict=True)
        ]

    def summary(self) -> dict[str, Any]:
        """Plain JSON values for programs, as `--json` writes them: everything but the model."""
        answer, shown = self.recommendation, self.confirmation
        return {
            "headline": self.headline,
            "objective": self.objective.describe(),
            "weights": dict(self.objective.weights),
            "reliability": dict(self.objective.reliabilities),
            "unit": self.objective.unit(self.unit),
            "recommended": answer.mixture.to_dict(),
            "schedule": None if answer.schedule is None else answer.schedule.to_dict(),
            "intervals": {k: list(v) for k, v in answer.intervals.items()},
            "predicted": predictions(answer),
            "broken_guards": list(answer.broken),
            "validated": {} if shown is None else shown.to_dict(),
            "seed_sd": float(shown.seed_sd) if shown and np.isfinite(shown.seed_sd) else None,
            "seed_sds": {} if shown is None else shown.sds,
            "beats_all_baselines": None if shown is None else shown.passed,
            "state": self.verdict.state,
            "badge": self.verdict.badge,
            "verdict": self.verdict.sentence,
            "runs": self.runs,
            "flops": self.flops,
            "trust": {
                "level": self.checkup.trust.level,
                "line": self.checkup.trust.line,
                "gates": plain(self.checkup.trust.gates),
                "next": plain(self.checkup.trust.next),
                "unasked": list(self.checkup.trust.unasked),
                "changed": self.checkup.trust.changed,
                "lines": self.checkup.lines(),
            },
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "laws": self.surrogate.law_weights(),
            "constants": constants_as_json(self.constants, self.surrogate.metrics),
            "settings": dict(self.settings),
            "dependence": None if self.dependence is None else self.dependence.to_dict(),
            "domain_values": None if self.domain_values is None else self.domain_values.to_dict(),
            "prices": prices_as_json(self.prices, self.checkup.trust.level),
            "front": [
                {"mixture": t.mixture.to_dict(), "objectives": dict(t.objectives)}
                for t in self.front
            ],
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values, the fitted law included; `from_dict` reads it back."""
        return {"format": FORMAT, **plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Outcome":
        """The outcome that `to_dict` wrote.

        Raises:
            StoreError: it was written in another format.
        """
        made: Outcome = read_back(
            cls, values, FORMAT, "outcome", "'mixopt report' concludes it anew"
        )
        return made


def evidence_of(problem: Problem, observations: Sequence[Observation], how: str = "") -> str:
    """A hash of what an outcome rests on: the question, and the runs with what came of them.

    An outcome that was stored under the same hash is what would be concluded now.

    Args:
        problem: the question.
        observations: its runs.
        how: what else decides the answer and its words: the strategy with its settings.
    """
    question = (problem.space, problem.objective, problem.seed, how)
    digest = hashlib.sha256(repr(question).encode())
    for seen in sorted(observations, key=lambda o: o.run_id):
        digest.update(f"{seen.run_id}{seen.status}{seen.spec.kind}".encode())
    return digest.hexdigest()[:16]


def sweep_outcome(
    problem: Problem,
    observations: Sequence[Observation],
    answer: Answer,
    *,
    unit: str = "",
    warnings: Sequence[str] = (),
    unique: Mapping[str, float] | None = None,
    how: str = "",
) -> Outcome:
    """The strategy's answer with what its own model says of it, and what was confirmed.

    A strategy without a model (random search) is looked at through the law `auto`.

    Args:
        problem: what the sweep worked on.
        observations: its runs.
        answer: of the strategy.
        unit: of the metrics.
        warnings: of the trainer.
        unique: domain to the unique tokens that the proxies had, where known.
        how: see `evidence_of`.

    Raises:
        InputError: no search run succeeded, or too few for any law.
    """
    observations = [judged(o, problem.objective) for o in observations]
    rng = np.random.default_rng([problem.seed, len(observations)])
    surrogate, runs = _modelled(problem, observations, answer, rng)
    recommendation = _recommended(problem, answer, surrogate, runs, rng)
    prices = priced(
        surrogate, recommendation, problem.space, W=runs.W, rng=rng, measured=answer.measured
    )
    confirmation, unconfirmed = _confirmed(observations, surrogate.objective)
    beside = Beside(
        problem.space,
        epochs_of(problem, observations, answer.mixture, unique or {}),
        repeats=_repeats(problem, observations),
        alone=one_by_one(answer),
    )
    checkup = check(
        surrogate, runs, recommendation, beside, rng=rng, curve=False, searched=answer.searched
    )
    told = far(checkup, recommendation, confirmation)
    return Outcome(
        surrogate,
        recommendation.widened(checkup.widening),
        replace(checkup, trust=trusted(answer, told, confirmation, observations)),
        _names(runs),
        confirmation,
        runs=len(observations),
        flops=float(sum(o.spent for o in observations)),
        unit=unit,
        warnings=(*warnings, *unconfirmed, *_beyond(recommendation), *doubts_of_runs(observations)),
        notes=(
            *answer.notes,
            *weighing(surrogate.objective, checkup.noise),
            *unpredicted(problem, runs, surrogate),
        ),
        settings=answer.settings,
        front=answer.front,
        rests_on=evidence_of(problem, observations, how),
        domain_values=answer.domain_values,
        dependence=answer.dependence,
        prices=prices.widened(checkup.widening),
    )


def _modelled(
    problem: Problem,
    observations: Sequence[Observation],
    answer: Answer,
    rng: np.random.Generator,
) -> tuple[Surrogate, RunTable]:
    """The model of an answer and the runs that it rests on; without one, the law `auto`.

    Raises:
        InputError: no search run succeeded, or too few for the law.
    """
    if answer.surrogate is not None and answer.runs is not None:
        return answer.surrogate, answer.runs
    search = [o for o in observations if o.spec.kind.in_search]
    runs = RunTable.from_observations(search, problem.space.names)
    surrogate = fit_surrogate(
        runs, problem.objective, problem.space, laws.law("auto"), rng=rng, every_metric=True
    )
    return surrogate, runs


def _confirmed(
    observations: Sequence[Observation], objective: Objective
) -> tuple[Confirmation | None, tuple[str, ...]]:
    """What fresh seeds showed, if there are any, or why they show nothing."""
    if not any(o.spec.kind.confirms for o in observations):
        return None, ()
    try:
        return confirm(observations, objective), ()
    except InputError as error:
        return None, (f"{error}; the recommendation is not validated",)


def _recommended(
    problem: Problem,
    answer: Answer,
    surrogate: Surrogate,
    runs: RunTable,
    rng: np.random.Generator,
) -> Recommendation:
    """The strategy's answer as its model sees it, and what that says at the target."""
    made = proposers.recommend(
        surrogate,
        problem.space,
        W=runs.W,
        rng=rng,
        mixture=answer.mixture,
        schedule=answer.schedule,
        gains=answer.gains,
    )
    return replace(made, reach=reach_of(problem.target, runs))


def table_outcome(
    surrogate: Surrogate, runs: RunTable, space: MixtureSpace, *, rng: np.random.Generator
) -> Outcome:
    """What a law that was fitted to a table of runs recommends.

    Args:
        surrogate: the fitted law.
        runs: what it was fitted to, over the domains of the space.
        space: constraints.
        rng: source of randomness.
    """
    recommendation = proposers.recommend(surrogate, space, W=runs.W, rng=rng)
    unlike = doubts(runs, surrogate.objective)
    reasons = ["the metrics may not say what is meant (see the notes)"] if unlike else []
    checkup = check(surrogate, runs, recommendation, Beside(space, doubts=reasons), rng=rng)
    return Outcome(
        surrogate,
        recommendation.widened(checkup.widening),
        replace(checkup, trust=weighed(checkup.trust, None)),
        _names(runs),
        runs=len(runs),
        flops=float(np.nansum(runs.costs)),
        warnings=(*runs.notes, *unlike, *_beyond(recommendation)),
        notes=weighing(surrogate.objective, checkup.noise),
        prices=priced(surrogate, recommendation, space, W=runs.W, rng=rng).widened(
            checkup.widening
        ),
    )


def _repeats(problem: Problem, observations: Sequence[Observation]) -> RunTable | None:
    """Runs of one mixture with fresh seeds at the largest scale; None where there are none."""
    fresh = [
        o
        for o in observations
        if o.ok and o.spec.kind.confirms and o.spec.is_static and o.spec.scale == problem.target
    ]
    return RunTable.from_observations(fresh, problem.space.names) if fresh else None


def _names(runs: RunTable) -> tuple[str, ...]:
    return tuple(str(name)[:8] for name in runs.facts["run"]) if "run" in runs.facts else ()


def _beyond(recommendation: Recommendation) -> tuple[str, ...]:
    """That it is for a scale without runs, and which guards it breaks."""
    broken = (
        f"no mixture within the constraints is predicted to keep every guard: {line}"
        for line in recommendation.broken
    )
    return (*reached(recommendation), *broken)
