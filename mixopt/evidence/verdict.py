"""What may be believed of an answer: one verdict and one headline, for screen, page and JSON.

Both are made of the confirmation, where there is one, and of predictions where there is none; no
sentence says more than they do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mixopt.diagnostics.gates import Gate, Level, Remedy
from mixopt.diagnostics.trust import Trust
from mixopt.evidence.confirmation import Comparison, Confirmation
from mixopt.evidence.numbers import number, percent, plural
from mixopt.proposers import Recommendation
from mixopt.proposers.recommend import Gain
from mixopt.runs import Observation, Schedule
from mixopt.runs.failures import causes
from mixopt.runs.kinds import BEST_RANDOM
from mixopt.runs.objective import Objective
from mixopt.runs.reach import named
from mixopt.space import Mixture

State = Literal["shown", "not-shown", "untested"]

_NAMED_SHARES = 3  # domains named in the headline
_STILL = 0.01  # of the tokens: a schedule that moves less is told as its mean
_PLAIN = ("natural", "uniform")  # what one would train without any search, if it is known
_FRESH = "comparison with fresh seeds"


@dataclass(frozen=True)
class Verdict:
    """What may be believed: a badge and one sentence or two.

    Attributes:
        state: `"shown"` (better than every baseline, beyond noise), `"not-shown"`, `"untested"`.
        badge: the same for people.
        sentence: by what it is shown, or why it is not.
    """

    state: State
    badge: str
    sentence: str

    @property
    def line(self) -> str:
        """Badge and sentence."""
        return f"{self.badge}: {self.sentence}"


UNASKED = Verdict(
    "untested",
    "No search",
    "No mixture was searched: all runs have one, and say whether the experiments that share it "
    "interfere.",
)
"""Where no mixture was asked for."""


def judge(shown: Confirmation | None) -> Verdict:
    """Whether fresh seeds have shown that the recommendation is better."""
    if shown is None:
        return Verdict(
            "untested",
            "Not tested",
            "The recommended mixture has no result with fresh seeds against baselines; all that "
            "follows are predictions of the fitted law.",
        )
    if rival_of(shown) is not None:
        return Verdict("not-shown", "Beaten", shown.verdict)
    if shown.passed:
        return Verdict("shown", "Shown", shown.verdict)
    if shown.baselines and np.isfinite(shown.seed_sd):
        return Verdict("not-shown", "Not shown", shown.verdict)
    return Verdict("untested", "Not tested", shown.verdict)


def rival_of(shown: Confirmation) -> Comparison | None:
    """The best random run of the search, where it beats the recommendation beyond noise."""
    rival = next((c for c in shown.comparisons if c.baseline == BEST_RANDOM), None)
    return rival if rival is not None and rival.lost else None


def weighed(trust: Trust, shown: Confirmation | None) -> Trust:
    """Trust in the light of the confirmation: what fresh seeds did not show lowers it."""
    verdict = judge(shown)
    if shown is None or verdict.state == "untested":
        return trust.without(f"{_FRESH} (none was made)")
    if verdict.state == "shown":
        return trust.asked(Gate(_FRESH, "yes", "fresh seeds showed it to be better"))
    lost = rival_of(shown) is not None or any(c.difference <= 0 for c in shown.baselines)
    reason = "fresh seeds did not show it to be better than every baseline"
    if rival_of(shown) is not None:
        reason = "with fresh seeds the best random run of the search was better"
    allows: Level = "do not trust" if lost else "ranking only"
    more = Remedy("2 more fresh seeds each of the recommended and the best other mixture", 4)
    return trust.asked(Gate(_FRESH, "no", reason, allows=allows, remedy=more))


def headline(
    answer: Recommendation, shown: Confirmation | None, objective: Objective, unit: str = ""
) -> str:
    """The answer in one sentence; it says "train" only where that was shown.

    Args:
        answer: the recommendation.
        shown: what fresh seeds showed; None before the first.
        objective: what was minimised.
        unit: of the objective.
    """
    shares, verdict = plan_in_words(answer.mixture, answer.schedule), judge(shown)
    if shown is None:
        return f"Predicted best, not tested: {shares}; {_predicted(answer, objective, unit)}."
    rival = rival_of(shown)
    if rival is not None:
        best = next(c for c in shown.candidates if c.name == rival.baseline)
        theirs = plan_in_words(best.mixture, best.schedule)
        return (
            f"Train on the best random run of the search, {theirs}: measured "
            f"{_amount(best.mean, objective, unit)}; the proposal, {shares}, measured "
            f"{number(shown.recommended.mean)}."
        )
    text = _measured(shown, objective, unit)
    if verdict.state == "shown":
        return f"Train on {shares}: {text}."
    if verdict.state == "not-shown":
        return f"Not shown to be better than every baseline: {shares}; {text}."
    return f"Not tested beyond noise: {shares}; {text}."


def plan_in_words(mixture: Mixture, schedule: Schedule | None = None) -> str:
    """The shares to train on; of a schedule those of every phase, and where each ends."""
    if schedule is None:
        return in_words(mixture)
    mean = schedule.mean.array
    moved = max(float(np.abs(p.array - mean).sum()) / 2.0 for _, p in schedule.phases)
    if moved <= _STILL:
        most = f"{percent(moved)} of the tokens"
        return f"{in_words(schedule.mean)}, which moved by at most {most} over the run"
    *before, (_, last) = schedule.phases
    parts = [
        f"{in_words(phase)} until {percent(until / schedule.tokens, 0)} of the run"
        for until, phase in before
    ]
    return ", then on ".join([*parts, f"{in_words(last)} to its end"])


def in_words(mixture: Mixture) -> str:
    """`"62.0 % python, 30.1 % apidocs and 7.9 % in 3 others"`, rounded as in every table."""
    shares = [(d, w) for d, w in mixture.to_dict().items() if w > 0]
    ranked = sorted(shares, key=lambda pair: -pair[1])
    many = len(ranked) > _NAMED_SHARES + 1
    named, rest = (ranked[:_NAMED_SHARES], ranked[_NAMED_SHARES:]) if many else (ranked, [])
    parts = [f"{percent(w)} {d}" for d, w in named]
    parts += [f"{percent(sum(w for _, w in rest))} in {len(rest)} others"] if rest else []
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _turned(objective: Objective) -> bool:
    """Whether it is one metric of which more is better, as it was measured but for the sign."""
    plain = all(s == 1 for s in objective.scales.values()) and not objective.standardize
    return plain and len(objective.metrics) == 1 and objective.metrics[0] in objective.maximize


def _side(better: bool, objective: Objective) -> str:
    """`"lower (better)"` or `"higher (worse)"`; of a metric of which more is better the reverse."""
    lower = better != _turned(objective)
    return f"{'lower' if lower else 'higher'} ({'better' if better else 'worse'})"


def _amount(value: float, objective: Objective, unit: str) -> str:
    if _turned(objective):
        return f"{number(-value)} on {objective.metrics[0]}"
    return f"{number(value)}{f' {unit}' if unit else ''} on {objective.describe()}"


def _measured(shown: Confirmation, objective: Objective, unit: str) -> str:
    best = shown.recommended
    seeds = plural(best.seeds, "fresh seed")
    text = f"measured {_amount(best.mean, objective, unit)} over {seeds}"
    if not shown.comparisons:
        return text
    known = {c.baseline: c for c in shown.comparisons}
    first = known[_plainest(list(known))]
    return f"{text}, {_apart(first, objective)}"


def _apart(against: Comparison, objective: Objective) -> str:
    name, difference = f"the {against.baseline} mixture", against.difference
    if difference == 0:
        return f"the same as {name}"
    side = _side(difference > 0, objective)
    noise = "noise unknown"
    if np.isfinite(against.sd):
        noise = "beyond noise" if against.beyond_noise or against.lost else "within noise"
    return f"{number(abs(difference))} {side} than {name}, {noise}"


def _plainest(baselines: Sequence[str]) -> str:
    """The baseline that a reader thinks of first."""
    return next((name for name in _PLAIN if name in baselines), baselines[0])


def _predicted(answer: Recommendation, objective: Objective, unit: str) -> str:
    reach = answer.reach
    if not answer.levels and reach is not None:
        return f"ranking only on {objective.describe()}, for no run was trained at {reach.where}"
    text = f"predicted {_amount(answer.value, objective, unit)}"
    if reach is not None and not reach.levels and answer.scale is not None:
        text += f" at {named(answer.scale)}, where the runs are"
    elif reach is not None and reach.level == "extrapolated":
        text += f" at {reach.where}, where no run was trained"
    if not answer.gains:
        return text
    name = _plainest(list(answer.gains))
    return f"{text}, {_gained(answer.gains[name], name, objective)}"


def _gained(gain: Gain, name: str, objective: Objective) -> str:
    if not (np.isfinite(gain.shrunk) and np.isfinite(gain.raw)):
        return f"unknown against the {name} mixture"
    if gain.raw == 0:
        return f"the same as the {name} mixture"
    if gain.shrunk < 0:
        return f"{number(-gain.shrunk)} {_side(False, objective)} than the {name} mixture"
    if gain.shrunk == 0:
        return f"no better than the {name} mixture once luck is allowed for"
    error = "beyond" if gain.certain else "within"
    return (
        f"{number(gain.shrunk)} {_side(True, objective)} than the {name} mixture, {error} the "
        "error of the prediction"
    )


@dataclass(frozen=True)
class Unanswered:
    """A sweep from whose runs nothing could be concluded, and why.

    Attributes:
        reason: in words, with what the runs say themselves.
        runs: how many there are, failed ones included.
        failures: reason of failed runs to how many of them.
        flops: spent on all runs.
        warnings: reasons for doubt beside it.
    """

    reason: str
    runs: int = 0
    failures: Mapping[str, int] = field(default_factory=dict, hash=False)
    flops: float = 0.0
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, reason: str, observations: Sequence[Observation], warnings: Sequence[str] = ()
    ) -> "Unanswered":
        """From the runs that there are."""
        failures = {cause.words: len(cause.runs) for cause in causes(observations)}
        flops = float(sum(o.spent for o in observations))
        return cls(reason, len(observations), failures, flops, tuple(warnings))

    @property
    def verdict(self) -> Verdict:
        """That there is none, and why."""
        return Verdict("untested", "No answer yet", self.reason)

    @property
    def headline(self) -> str:
        """One sentence."""
        return NO_RECOMMENDATION

    def summary(self) -> dict[str, Any]:
        """Plain JSON values for programs, with the keys that every answer has."""
        return {
            "headline": self.headline,
            "recommended": None,
            "state": self.verdict.state,
            "badge": self.verdict.badge,
            "verdict": self.reason,
            "runs": self.runs,
            "failed": sum(self.failures.values()),
            "failures": [{"reason": why, "runs": n} for why, n in self.failures.items()],
            "flops": self.flops,
            "warnings": list(self.warnings),
        }


NO_RECOMMENDATION = "There is no recommendation yet."
