"""Whether a recommendation is good enough for a large run, by rules that were given before.

Notation:
    s: sd of one run, pooled over all plans where they are as noisy as each other, else of the two
        that are compared, partly pooled (`mixopt.runs.group_noise`)
    difference: mean of a baseline minus that of a candidate; above 0 is a win
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixopt.diagnostics.gates import Gate, State
from mixopt.diagnostics.ranks import spearman
from mixopt.errors import InputError
from mixopt.evidence.decision import Decision, Difference, Result
from mixopt.evidence.numbers import number, plural
from mixopt.evidence.past import Past
from mixopt.evidence.rules import LEVEL, Given, Rules, Yardstick
from mixopt.runs import Observation
from mixopt.runs.group_noise import GroupNoise, PairNoise, group_noise
from mixopt.runs.objective import Guard
from mixopt.strategies.promoting import Plan

_PLAIN = ("natural", "uniform")  # what one would train without any search, if it is known


def results_of(
    plans: Sequence[Plan], seen: Mapping[str, Sequence[Observation]], yardstick: Yardstick
) -> tuple[Result, ...]:
    """What came of every plan.

    Args:
        plans: what was trained.
        seen: name of a plan to its runs.
        yardstick: what they are judged by.
    """
    results = []
    for plan in plans:
        good = [o for o in seen[plan.name] if o.ok and np.isfinite(yardstick.value(o.metrics))]
        names = dict.fromkeys(k for o in good for k in o.metrics)
        metrics = {k: float(np.mean([o.metrics[k] for o in good if k in o.metrics])) for k in names}
        values = tuple(yardstick.value(o.metrics) for o in good)
        results.append(Result(plan, values, metrics, len(seen[plan.name]) - len(good)))
    return tuple(results)


@dataclass(frozen=True)
class Question:
    """What a promotion is asked.

    Attributes:
        study: name of the sweep.
        rules: to apply. given: when they were given.
        yardstick: what is judged. unit: of that.
        ranking_only: why the study's model predicts no values at the scale, but an order alone;
            empty where it does (`mixopt.evidence.reached.unlevelled`).
    """

    study: str
    rules: Rules
    given: Given
    yardstick: Yardstick
    unit: str = ""
    ranking_only: str = ""


def decide(
    question: Question, results: Sequence[Result], repetition: Gate | str, runs: Sequence[str]
) -> Decision:
    """Apply the rules.

    The recommended plan is judged, unless another candidate is better than it beyond noise. What is
    picked must be better than every baseline by more than `rules.gain`, beyond noise: the level of
    5 % is shared among the candidates, one of which could be the best by luck. All baselines must
    be beaten, so that they share nothing.

    Args:
        question: what is asked.
        results: of every plan, the recommended first.
        repetition: a gate, or why it is not asked.
        runs: ids of what it rests on.

    Raises:
        InputError: no run of the recommended plan succeeded.
    """
    rules = question.rules
    candidates = [r for r in results if not r.plan.rival]
    against = [r for r in results if r.plan.rival]
    if not candidates or not candidates[0].values:
        raise InputError(
            "no run of the recommended mixture succeeded at the scale of promotion; see why with "
            "'mixopt report', and run 'mixopt promote' again once that is mended"
        )
    noise = _Noise(tuple(results), group_noise([r.values for r in results]), len(candidates))
    pick = candidates[0]
    for other in candidates[1:]:
        if other.values and noise.between(pick, other).low > 0 and other.mean < pick.mean:
            pick = other
    differences = tuple(noise.between(b, pick) for b in against)
    shown = _shown(question, pick, against, results, differences)
    unasked = [] if against else ["gain (the recommended mixture is the only baseline itself)"]
    gates = [
        _gain(d, b, rules.gain, noise.sd(b, pick))
        for d, b in zip(differences, against, strict=True)
    ]
    gates += _guards(rules.guards, pick, results, question.yardstick)
    for asked in (
        _optimism(shown, rules.optimism, question.ranking_only),
        _transfer(results, noise, rules.transfer),
        repetition,
    ):
        if isinstance(asked, Gate):
            gates.append(asked)
        else:
            unasked.append(asked)
    if not against:
        gates.append(Gate("gain", "no", "there is no baseline that it could be better than"))
    return Decision(
        question.study,
        rules.scale,
        question.yardstick.name,
        question.unit,
        pick.name,
        (*sorted(candidates, key=_order), *sorted(against, key=_order)),
        differences,
        tuple(gates),
        tuple(unasked),
        noise.groups.pooled,
        question.given,
        shown,
        tuple(sorted(runs)),
        question.ranking_only,
    )


def _state(good: bool) -> State:
    return "yes" if good else "no"


def _order(result: Result) -> float:
    return result.mean if result.values else float("inf")


@dataclass(frozen=True)
class _Noise:
    """Noise of every plan, and how many candidates share the level."""

    results: tuple[Result, ...]
    groups: GroupNoise
    candidates: int

    def sd(self, one: Result, other: Result) -> float:
        """The sd of one run by which two plans are compared; NaN where it is unknown."""
        return self._of(one, other).sd if one.values and other.values else float("nan")

    def between(self, baseline: Result, candidate: Result) -> Difference:
        """How much better the candidate is."""
        mean = baseline.mean - candidate.mean
        if not (baseline.values and candidate.values and np.isfinite(self.groups.pooled)):
            return Difference(baseline.name, mean, float("nan"), float("nan"))
        half = self._of(baseline, candidate).half(LEVEL / max(self.candidates, 1))
        return Difference(baseline.name, mean, mean - half, mean + half)

    def _of(self, one: Result, other: Result) -> PairNoise:
        rows = [r.name for r in self.results]
        runs = [len(r.values) for r in self.results]
        return self.groups.between(rows.index(one.name), rows.index(other.name), runs)

    def apart(self, one: Result, other: Result) -> bool:
        """Whether two plans differ beyond noise."""
        difference = self.between(one, other)
        return difference.low > 0 or difference.high < 0


def _gain(difference: Difference, baseline: Result, least: float, sd: float) -> Gate:
    name = f"gain over {baseline.name}"
    if not baseline.values:
        return Gate.unmeasured(name, f"none of its {baseline.failed} runs succeeded", None)
    if not np.isfinite(sd):
        return Gate.unmeasured(name, "no plan has two seeds, so that the noise is unknown", None)
    told = (
        f"{number(difference.mean)}, {number(difference.low)} to {number(difference.high)} with "
        f"noise (sd of one run {number(sd)}); all of it above {number(least) if least else 0} is "
        "asked"
    )
    return Gate(
        name,
        _state(difference.low > least),
        told,
        difference.mean,
        difference.low,
        difference.high,
        least,
    )


def _guards(
    guards: Sequence[Guard], pick: Result, results: Sequence[Result], yardstick: Yardstick
) -> list[Gate]:
    """Metrics as measured: worse than the baseline's mean by more than the tolerance is a no."""
    known = {r.name: r for r in results}
    gates = []
    for guard in guards:
        name = f"guard on {guard.metric}"
        base = known.get(guard.baseline)
        if base is None and guard.baseline not in known:
            why = f"its baseline {guard.baseline!r} was not trained; name it under 'against'"
            gates.append(Gate.unmeasured(name, why, None))
            continue
        ours = pick.metrics.get(guard.metric)
        theirs = None if base is None else base.metrics.get(guard.metric)
        if ours is None or theirs is None:
            gates.append(Gate.unmeasured(name, "no run has the metric", None))
            continue
        sign = -1.0 if guard.metric in yardstick.objective.maximize else 1.0
        worse = sign * (ours - theirs) / max(abs(theirs), 1e-12)
        told = (
            f"{number(ours)} against {number(theirs)} of {guard.baseline}: {100 * worse:+.2g} %, "
            f"and {100 * guard.tolerance:.2g} % are allowed"
        )
        state = _state(worse <= guard.tolerance)
        gates.append(Gate(name, state, told, worse, threshold=guard.tolerance))
    return gates


def _optimism(shown: Past, largest: float, ranking_only: str) -> "Gate | str":
    """Is what was predicted what was measured? Of an order there is no gain to compare."""
    if ranking_only:
        return f"optimism ({ranking_only})"
    if not (np.isfinite(shown.predicted) and shown.predicted > 0):
        over = f" over {shown.baseline}" if shown.baseline else ""
        return f"optimism (no gain{over} was predicted)"
    if not np.isfinite(shown.measured):
        return Gate.unmeasured("optimism", f"{shown.baseline} has no result", None)
    missing = 1.0 - shown.measured / shown.predicted
    lacking = f"{100 * missing:.0f} % of that" if missing > 0 else "nothing of that"
    told = (
        f"over {shown.baseline} {number(shown.predicted)} were predicted and "
        f"{number(shown.measured)} measured: {lacking} is missing, and {100 * largest:.0f} % may be"
    )
    ends = (1 - shown.high / shown.predicted, 1 - shown.low / shown.predicted)
    return Gate("optimism", _state(missing <= largest), told, missing, *ends, largest)


def _transfer(results: Sequence[Result], noise: _Noise, least: float) -> "Gate | str":
    """Of pairs that differ beyond noise, how many did the model order as they were measured?"""
    known = [r for r in results if r.values and np.isfinite(r.plan.predicted)]
    pairs = [(a, b) for i, a in enumerate(known) for b in known[i + 1 :]]
    apart = [(a, b) for a, b in pairs if noise.apart(a, b)]
    if len(known) < 2:
        return "transfer (the model predicts fewer than two of the plans)"
    if not apart:
        return Gate.unmeasured("transfer", "no two plans differ beyond noise", None)
    right = sum((a.mean < b.mean) == (a.plan.predicted < b.plan.predicted) for a, b in apart)
    value = right / len(apart)
    told = (
        f"of {plural(len(apart), 'pair')} of plans that differ beyond noise the model ordered "
        f"{right} as measured"
    )
    return Gate("transfer", _state(value >= least), told, value, threshold=least)


def _shown(
    question: Question,
    pick: Result,
    against: Sequence[Result],
    results: Sequence[Result],
    differences: Sequence[Difference],
) -> Past:
    """Predicted and measured gain over the plainest baseline, and how well plans were ranked."""
    names = [r.name for r in against]
    plainest = next((n for n in _PLAIN if n in names), names[0] if names else "")
    measured = next((d for d in differences if d.baseline == plainest), None)
    base = next((r for r in against if r.name == plainest), None)
    ranked = [r for r in results if r.values and np.isfinite(r.plan.predicted)]
    predicted = np.array([r.plan.predicted for r in ranked])
    means = np.array([r.mean for r in ranked])
    gain = missing = float("nan")
    if base is not None and not question.ranking_only:
        gain = base.plan.predicted - pick.plan.predicted
    return Past(
        study=question.study,
        where="promotion",
        params=question.rules.scale.params,
        tokens=question.rules.scale.tokens,
        baseline=plainest,
        predicted=gain,
        measured=missing if measured is None else measured.mean,
        low=missing if measured is None else measured.low,
        high=missing if measured is None else measured.high,
        rank=spearman(predicted, means) if len(ranked) > 2 else missing,
        plans=len(ranked),
    )
