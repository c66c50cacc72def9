"""The decision of a promotion: what was trained, what the rules say of it, in words and as JSON."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mixopt.diagnostics.gates import Gate
from mixopt.evidence.numbers import number
from mixopt.evidence.past import Past
from mixopt.evidence.rules import Given
from mixopt.evidence.stored import plain, read_back
from mixopt.evidence.verdict import plan_in_words
from mixopt.runs import Scale
from mixopt.runs.kinds import RECOMMENDED
from mixopt.strategies.promoting import Plan

FORMAT = 2
"""Of a stored decision; another one is refused."""
ANNOTATION = "promotion"
"""Under which a study's store holds its last decision."""


@dataclass(frozen=True)
class Result:
    """What came of a plan.

    Attributes:
        plan: what was trained.
        values: what is judged (lower is better), one per seed that succeeded.
        metrics: name to mean over these seeds.
        failed: how many runs failed.
    """

    plan: Plan
    values: tuple[float, ...]
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    failed: int = 0

    @property
    def name(self) -> str:
        """Of the plan."""
        return self.plan.name

    @property
    def mean(self) -> float:
        """Over seeds; NaN without one."""
        return float(np.mean(self.values)) if self.values else float("nan")


@dataclass(frozen=True)
class Difference:
    """A candidate against a baseline, above 0 is a win.

    Attributes:
        baseline: its name.
        mean: difference of the means.
        low: lower end of the one-sided interval at 5 %, shared among all candidates.
        high: upper end, likewise.
    """

    baseline: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Decision:
    """What a promotion has shown, with reasons.

    Attributes:
        study: name of the sweep.
        scale: at which plans were trained.
        judged: what they were judged by, in words. unit: of that.
        picked: name of the plan that the rules point to.
        results: candidates first, then baselines, each from best to worst.
        differences: of the picked plan, one for each baseline.
        gates: what the rules asked; all of them hold, or it is not promoted.
        unasked: what does not arise, and why.
        seed_sd: s; NaN where no plan has two seeds.
        given: when the rules were given.
        shown: predicted and measured gain, for those who come later.
        runs: ids of the runs that it rests on.
        ranking_only: why of what was predicted the order alone is meant; empty where the values
            are.
    """

    study: str
    scale: Scale
    judged: str
    unit: str
    picked: str
    results: tuple[Result, ...]
    differences: tuple[Difference, ...]
    gates: tuple[Gate, ...]
    unasked: tuple[str, ...]
    seed_sd: float
    given: Given
    shown: Past
    runs: tuple[str, ...]
    ranking_only: str = ""

    @property
    def passed(self) -> bool:
        """Whether every rule holds."""
        return bool(self.gates) and all(g.state == "yes" for g in self.gates)

    @property
    def pick(self) -> Result:
        """The plan that the rules point to."""
        return next(r for r in self.results if r.name == self.picked)

    @property
    def id(self) -> str:
        """16 hexadecimal digits: of the study, the rules, the runs and what was picked."""
        return identity(self.study, self.given.digest, self.runs, self.picked)

    def predicted(self, result: Result) -> str:
        """What the study's model said of a plan, in words; its rank where only that is meant."""
        value = result.plan.predicted
        if not self.ranking_only or not np.isfinite(value):
            return number(value)
        known = [r.plan.predicted for r in self.results if np.isfinite(r.plan.predicted)]
        return f"{1 + sum(v < value for v in known)} of {len(known)}"

    @property
    def headline(self) -> str:
        """The decision in one sentence."""
        unit = f" {self.unit}" if self.unit else ""
        shares = plan_in_words(self.pick.plan.mixture, self.pick.plan.schedule)
        if self.passed:
            least = min(self.differences, key=lambda d: d.mean)
            return (
                f"Promoted: train on {shares}; at {self.scale} it is better than {least.baseline}, "
                f"the best baseline, by {number(least.mean)}{unit} (at least {number(least.low)})."
            )
        against = [g.name for g in self.gates if g.state != "yes"] or ["nothing was asked"]
        return f"Not promoted ({', '.join(against)}): {shares}."

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every rule with what it saw, those that speak against first; then what was not asked."""
        marks = {"yes": "yes", "no": "NO", "not measured": "NOT MEASURED"}
        ordered = sorted(self.gates, key=lambda g: g.state == "yes")
        told = [f"{marks[g.state]}: {g.name}: {g.told}" for g in ordered]
        first = next((r for r in self.results if r.name == RECOMMENDED), None)
        if first is not None and self.picked != RECOMMENDED:
            told.insert(
                0,
                f"picked: {self.picked}, which is better than the recommended mixture by "
                f"{number(first.mean - self.pick.mean)}, beyond noise",
            )
        if self.ranking_only:
            told.append(f"predicted: {self.ranking_only}")
        return (*told, *(f"not asked: {what}" for what in self.unasked), self.given.line)

    def summary(self) -> dict[str, Any]:
        """Plain JSON values for programs, with the words of screen and report."""
        pick = self.pick.plan
        return {
            "promotion": self.id,
            "study": self.study,
            "passed": self.passed,
            "headline": self.headline,
            "reasons": list(self.reasons),
            "picked": self.picked,
            "mixture": pick.mixture.to_dict(),
            "schedule": None if pick.schedule is None else pick.schedule.to_dict(),
            "scale": {"params": self.scale.params, "tokens": self.scale.tokens},
            "judged": self.judged,
            "unit": self.unit,
            "seed_sd": plain(self.seed_sd),
            "predeclared": not self.given.after,
            "rules": self.given.digest,
            "rules_after": self.given.after,
            "gates": plain(self.gates),
            "unasked": list(self.unasked),
            "differences": plain(self.differences),
            "results": [
                {
                    "name": r.name,
                    "rival": r.plan.rival,
                    "mean": plain(r.mean),
                    "seeds": len(r.values),
                    "failed": r.failed,
                    "predicted": plain(r.plan.predicted),
                    "metrics": plain(r.metrics),
                }
                for r in self.results
            ],
            "shown": plain(self.shown),
            "ranking_only": self.ranking_only,
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values; `from_dict` reads it back."""
        return {"format": FORMAT, **plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Decision":
        """The decision that `to_dict` wrote.

        Raises:
            StoreError: it was written in another format.
        """
        made: Decision = read_back(
            cls, values, FORMAT, "decision", "'mixopt promote' writes it anew"
        )
        return made


def identity(study: str, digest: str, runs: Sequence[str], picked: str) -> str:
    """16 hexadecimal digits of a promotion, the same whenever and wherever it is decided."""
    text = "\n".join([study, digest, picked, *sorted(runs)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
