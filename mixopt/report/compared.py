"""Sweeps side by side: what they answer, what may be compared, and what may not.

Values of two sweeps say something of each other only where metric, unit, scale and data are the
same; whatever is not is named, and left out of the comparison rather than put beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mixopt.errors import InputError
from mixopt.evidence.confirmation import Confirmation
from mixopt.evidence.verdict import Verdict
from mixopt.proposers import Recommendation
from mixopt.runs.objective import Objective
from mixopt.space import MixtureSpace

_FOR_READERS = ("version", "name", "question", "owner", "execution", "store", "trainer.runtime")
"""Fields of a spec that change no run and no answer."""
MOST = 8  # sweeps that can be read side by side


@dataclass(frozen=True, eq=False)
class Side:
    """One sweep.

    Attributes:
        name: of it. question, owner: as its spec has them.
        space: domains and constraints.
        objective: what was minimised. unit: of the metrics. metrics: that its runs have.
        headline, verdict: of its answer.
        trust: the level of trust; empty without an answer.
        recommendation: None without an answer.
        confirmation: None before the first fresh seeds.
        scales: parameters and tokens of its runs, the smallest first, for people.
        data: of the data manifest.
        runs, failed: how many. flops, seconds: spent on all.
        spec: plain JSON.
    """

    name: str
    space: MixtureSpace
    objective: Objective
    headline: str
    verdict: Verdict
    question: str = ""
    owner: str = ""
    unit: str = ""
    metrics: tuple[str, ...] = ()
    trust: str = ""
    recommendation: Recommendation | None = None
    confirmation: Confirmation | None = None
    scales: tuple[str, ...] = ()
    data: str = ""
    runs: int = 0
    failed: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gains(self) -> dict[str, tuple[float, float, float]]:
        """Baseline to gain with its 90 % interval: measured where it was, else predicted."""
        if self.confirmation is not None:
            seen = self.confirmation.comparisons
            return {c.baseline: (c.difference, c.low, c.high) for c in seen}
        predicted = {} if self.recommendation is None else self.recommendation.gains
        return {name: (g.raw, *g.interval) for name, g in predicted.items()}

    @property
    def value(self) -> float:
        """The objective of the answer: measured where it was, else predicted; NaN without one."""
        if self.confirmation is not None:
            return self.confirmation.recommended.mean
        answer = self.recommendation
        return float("nan") if answer is None or not answer.levels else answer.value


@dataclass(frozen=True, eq=False)
class Compared:
    """Sweeps side by side.

    Attributes:
        sides: the sweeps, in the order given.
        domains: that all have. apart: sweep to the domains that not all have.
        metrics: that all have.
        reasons: what cannot be compared, and why, in sentences.
        values: whether objectives and gains may be held against each other.
        differs: field of the spec to its value in every sweep, where they differ.
    """

    sides: tuple[Side, ...]
    domains: tuple[str, ...]
    apart: Mapping[str, tuple[str, ...]]
    metrics: tuple[str, ...]
    reasons: tuple[str, ...]
    values: bool
    differs: Mapping[str, tuple[Any, ...]]

    @property
    def best(self) -> Side | None:
        """The sweep whose answer has the lowest objective; None where that says nothing."""
        known = [s for s in self.sides if np.isfinite(s.value)]
        if not self.values or len(known) < 2 or any(s.confirmation is None for s in known):
            return None
        return min(known, key=lambda s: s.value)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values for programs; a missing number is None."""
        return {
            "sweeps": {s.name: _summary(s) for s in self.sides},
            "common": {"domains": list(self.domains), "metrics": list(self.metrics)},
            "domains_apart": {k: list(v) for k, v in self.apart.items()},
            "comparable": self.values,
            "reasons": list(self.reasons),
            "best": None if self.best is None else self.best.name,
            "spec": {k: list(v) for k, v in self.differs.items()},
        }


def compare(sides: Sequence[Side]) -> Compared:
    """Put sweeps side by side.

    Raises:
        InputError: fewer than two sweeps, more than can be read, one of them twice, or no domain
            and no metric that all have.
    """
    names = [s.name for s in sides]
    if not 2 <= len(sides) <= MOST:
        raise InputError(f"{len(sides)} sweeps were given; give two to {MOST} of them")
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(f"the sweep {twice[0]!r} was given twice; give each sweep once")
    domains = _common([s.space.names for s in sides])
    metrics = _common([s.metrics for s in sides])
    if not domains and not metrics:
        raise InputError(
            f"{', '.join(names)} have no domain and no metric in common, so nothing of them can be "
            "compared; give sweeps of one question"
        )
    values, reasons = _reasons(sides)
    apart = {s.name: tuple(d for d in s.space.names if d not in domains) for s in sides}
    if any(apart.values()):
        lone = [f"{len(v)} of {k}" for k, v in apart.items() if v]
        reasons.append(
            "Shares are of all domains that a sweep had, and not all had the same: "
            f"{', '.join(lone)} are not in every sweep."
        )
    return Compared(
        tuple(sides),
        domains,
        {k: v for k, v in apart.items() if v},
        metrics,
        tuple(reasons),
        values,
        _differences([s.spec for s in sides]),
    )


def _reasons(sides: Sequence[Side]) -> tuple[bool, list[str]]:
    """Whether objectives may be held against each other, and all that speaks against it."""
    told: list[str] = []
    asked: tuple[tuple[str, Callable[[Side], Any], str], ...] = (
        ("objectives", lambda s: s.objective.describe(), "have other objectives"),
        ("units", lambda s: s.unit or "no unit", "are in other units"),
        ("scales", _answered_at, "are at other scales"),
        ("data", lambda s: s.data or "unknown", "come from other data"),
    )
    for _, what, words in asked:
        seen = {s.name: what(s) for s in sides}
        if len(set(seen.values())) > 1:
            each = "; ".join(f"{name}: {value}" for name, value in seen.items())
            told.append(f"Values of the objective are not compared: they {words} ({each}).")
    if not told and len({s.objective for s in sides}) > 1:
        told.append(
            "Values of the objective are not compared: it weighs or scales the same metrics in "
            "other ways."
        )
    values = not told
    silent = [s.name for s in sides if s.recommendation is None]
    if silent:
        told.append(f"No answer yet: {', '.join(silent)}.")
    loose = [s.name for s in sides if s.recommendation is not None and s.confirmation is None]
    if loose:
        told.append(f"Predicted, not measured with fresh seeds: {', '.join(loose)}.")
    return values, told


def _answered_at(side: Side) -> str:
    return side.scales[-1] if side.scales else "no run"


def _common(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    first, *others = lists
    return tuple(name for name in first if all(name in other for other in others))


def _differences(specs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Dotted field to its value in every spec, where they differ; None where one lacks it."""
    flat = [dict(_flat(spec)) for spec in specs]
    fields = dict.fromkeys(key for values in flat for key in values)
    rows = {key: tuple(values.get(key) for values in flat) for key in fields}
    return {
        key: row
        for key, row in rows.items()
        if not any(key == f or key.startswith(f"{f}.") for f in _FOR_READERS)
        and any(value != row[0] for value in row)
    }


def _flat(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(inner, f"{path}.{key}" if path else str(key))
        ]
    return [(path, value)]


def _summary(side: Side) -> dict[str, Any]:
    mixture = None if side.recommendation is None else side.recommendation.mixture.to_dict()
    return {
        "question": side.question,
        "owner": side.owner,
        "objective": side.objective.describe(),
        "unit": side.unit,
        "headline": side.headline,
        "state": side.verdict.state,
        "verdict": side.verdict.sentence,
        "trust": side.trust,
        "recommended": mixture,
        "value": _number(side.value),
        "measured": side.confirmation is not None,
        "gains": {
            k: {"gain": _number(v), "low": _number(low), "high": _number(high)}
            for k, (v, low, high) in side.gains.items()
        },
        "runs": side.runs,
        "failed": side.failed,
        "flops": side.flops,
        "seconds": side.seconds,
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
