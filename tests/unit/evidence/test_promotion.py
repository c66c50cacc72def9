"""The rules of promotion, applied."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mixopt import InputError, Mixture, Objective, Observation, RunSpec, Scale
from mixopt.diagnostics.gates import Gate
from mixopt.errors import StoreError
from mixopt.evidence.decision import Decision, Result
from mixopt.evidence.promotion import Question, decide, results_of
from mixopt.evidence.rules import Given, Rules, Yardstick
from mixopt.runs.objective import Guard
from mixopt.strategies.promoting import Plan

SCALE = Scale(10, 100)
OBJECTIVE = Objective.of(["a", "b"])
RULES = Rules(SCALE)
PREDICTED = {"recommended": 1.0, "candidate-2": 1.05, "natural": 1.2, "uniform": 1.3}
SHARES = {"recommended": 0.6, "candidate-2": 0.5, "natural": 0.3, "uniform": 0.2}


def result(name: str, values: tuple[float, ...], metrics: Mapping[str, float] = {}) -> Result:
    mixture = Mixture.of({"web": SHARES[name], "code": 1 - SHARES[name]})
    rival = name in {"natural", "uniform"}
    return Result(Plan(name, mixture, None, rival, PREDICTED[name], 0.01), values, metrics)


def near(mean: float, spread: float = 0.01) -> tuple[float, ...]:
    return (mean - spread, mean, mean + spread)


GOOD = (
    result("recommended", near(2.0)),
    result("candidate-2", near(2.06)),
    result("natural", near(2.2)),
    result("uniform", near(2.3)),
)


def decided(
    results: tuple[Result, ...] = GOOD,
    repetition: Gate | str = "repetition (no budget)",
    **rules: Any,
) -> Decision:
    question = Question(
        "study", replace(RULES, **rules), Given("abc"), Yardstick(OBJECTIVE), "nats/token"
    )
    return decide(question, results, repetition, ["r2", "r1"])


def states(decision: Decision) -> dict[str, str]:
    return {g.name: g.state for g in decision.gates}


def test_what_is_better_than_every_baseline_beyond_noise_passes() -> None:
    decision = decided()
    assert decision.passed
    assert states(decision) == {
        "gain over natural": "yes",
        "gain over uniform": "yes",
        "optimism": "yes",
        "transfer": "yes",
    }
    assert decision.picked == "recommended"
    assert decision.headline.startswith("Promoted: train on 60.0 % web and 40.0 % code; at 10 ")
    assert "better than natural, the best baseline, by 0.2000 nats/token" in decision.headline
    assert decision.seed_sd == pytest.approx(0.01)
    gain = decision.differences[0]
    # t of 8 degrees of freedom at 97.5 % (two candidates share 5 %) is 2.306
    assert gain.low == pytest.approx(0.2 - 2.306 * 0.01 * np.sqrt(2 / 3), abs=1e-5)
    assert decision.reasons[-1] == "The rules (abc) were given before the first run."
    assert "not asked: repetition (no budget)" in decision.reasons


@pytest.mark.parametrize(
    ("rules", "results", "gate"),
    [
        ({"gain": 0.19}, GOOD, "gain over natural"),
        (
            {"optimism": 1.0},
            (*GOOD[:2], result("natural", near(2.005)), GOOD[3]),
            "gain over natural",
        ),
        ({"optimism": 0.0}, (*GOOD[:2], result("natural", near(2.19)), GOOD[3]), "optimism"),
        ({"transfer": 1.0}, (*GOOD[:2], result("natural", near(2.4)), GOOD[3]), "transfer"),
    ],
    ids=["least gain", "noise", "optimism", "transfer"],
)
def test_every_rule_can_say_no(rules: Any, results: Any, gate: str) -> None:
    decision = decided(results, **rules)
    assert not decision.passed
    assert {n for n, s in states(decision).items() if s != "yes"} == {gate}
    assert decision.headline.startswith(f"Not promoted ({gate}): 60.0 % web")
    assert decision.reasons[0].startswith(f"NO: {gate}: ")


def test_a_loud_baseline_is_judged_by_its_own_noise_and_hides_no_other() -> None:
    loud = (*GOOD[:2], result("natural", near(2.06)), result("uniform", near(2.6, 0.6)))
    decision = decided(loud)
    assert 2.306 * decision.seed_sd * np.sqrt(2 / 3) > 0.06  # pooled, all would drown
    assert states(decision)["gain over natural"] == "yes"
    assert states(decision)["gain over uniform"] == "no"


def test_another_candidate_takes_its_place_only_beyond_noise() -> None:
    within = (GOOD[0], result("candidate-2", near(1.995)), *GOOD[2:])
    assert decided(within).picked == "recommended"
    beyond = (GOOD[0], result("candidate-2", near(1.9)), *GOOD[2:])
    assert decided(beyond).picked == "candidate-2"
    assert decided(beyond).shown.predicted == pytest.approx(1.2 - 1.05)
    assert "train on 50.0 % web" in decided(beyond).headline
    assert decided(beyond).reasons[0].startswith("picked: candidate-2, which is better than the")
    assert not decided(within).reasons[0].startswith("picked")


def test_what_was_not_measured_does_not_pass() -> None:
    dead = Result(GOOD[2].plan, (), {}, 3)
    decision = decided((*GOOD[:2], dead, GOOD[3]))
    assert states(decision)["gain over natural"] == "not measured"
    assert not decision.passed
    single = tuple(replace(r, values=r.values[:1]) for r in GOOD)
    assert states(decided(single))["gain over natural"] == "not measured"
    assert np.isnan(decided(single).seed_sd)
    alone = decided(GOOD[:2])
    assert not alone.passed
    assert alone.gates[-1].told == "there is no baseline that it could be better than"
    with pytest.raises(InputError, match="no run of the recommended mixture succeeded"):
        decided((replace(GOOD[0], values=()), *GOOD[1:]))


def test_guards_look_at_what_was_measured() -> None:
    ours = replace(GOOD[0], metrics={"a": 2.1, "b": 1.0})
    base = replace(GOOD[2], metrics={"a": 2.0, "b": 1.1})
    results = (ours, GOOD[1], base, GOOD[3])
    guards = (Guard("a", 0.04), Guard("b"), Guard("c"), Guard("a", baseline="unimax"))
    gates = [g for g in decided(results, guards=guards).gates if g.name.startswith("guard")]
    assert [g.state for g in gates] == ["no", "yes", "not measured", "not measured"]
    assert gates[0].value == pytest.approx(0.05)
    assert states(decided(results, guards=(Guard("a", 0.06),)))["guard on a"] == "yes"


def test_more_than_was_predicted_is_no_optimism() -> None:
    gate = next(
        g
        for g in decided((*GOOD[:2], result("natural", near(2.5)), GOOD[3])).gates
        if g.name == "optimism"
    )
    assert gate.state == "yes"
    assert "nothing of that is missing" in gate.told


def test_repetition_is_a_rule_like_any_other() -> None:
    assert not decided(repetition=Gate("repetition", "no", "epochs differ")).passed
    assert decided(repetition=Gate("repetition", "yes", "matched")).passed


def test_a_gain_that_was_not_predicted_is_no_optimism() -> None:
    flat = tuple(replace(r, plan=replace(r.plan, predicted=1.0)) for r in GOOD)
    assert "optimism (no gain over natural was predicted)" in decided(flat).unasked
    unknown = tuple(replace(r, plan=replace(r.plan, predicted=float("nan"))) for r in GOOD)
    decision = decided(unknown)
    assert "transfer (the model predicts fewer than two of the plans)" in decision.unasked
    assert decision.passed


def test_a_decision_comes_back_from_json_and_is_known_by_what_it_rests_on() -> None:
    decision = decided()
    text = json.dumps(decision.to_dict(), allow_nan=False)
    back = Decision.from_dict(json.loads(text))
    assert back.summary() == decision.summary()
    assert back.id == decision.id == decided(GOOD).id
    assert decided((GOOD[0], result("candidate-2", near(1.9)), *GOOD[2:])).id != decision.id
    json.dumps(decision.summary(), allow_nan=False)
    with pytest.raises(StoreError, match="has format 9"):
        Decision.from_dict({**decision.to_dict(), "format": 9})
    with pytest.raises(StoreError, match="cannot be read"):
        Decision.from_dict({"format": 2, "study": "x"})


def test_an_order_is_compared_as_an_order() -> None:
    """Twice the measured gain is predicted; at a scale without runs that says nothing."""
    told = "ranking only: no run was trained at 10 params x 100 tokens"
    question = Question("study", replace(RULES, optimism=0.0), Given("abc"), Yardstick(OBJECTIVE))
    far = {"natural": near(2.1), "uniform": near(2.3)}
    results = (*GOOD[:2], *(result(name, values) for name, values in far.items()))
    with_values = decide(question, results, "repetition", ["r"])
    assert states(with_values)["optimism"] == "no"
    decision = decide(replace(question, ranking_only=told), results, "repetition", ["r"])
    assert "optimism" not in states(decision)
    assert f"optimism ({told})" in decision.unasked
    assert states(decision)["transfer"] == "yes"  # the order is what is judged
    assert decision.passed
    assert np.isnan(decision.shown.predicted)
    assert decision.shown.rank == pytest.approx(1.0)
    assert [decision.predicted(r) for r in decision.results] == [f"{i} of 4" for i in (1, 2, 3, 4)]
    assert with_values.predicted(with_values.results[0]) == "1.0000"
    assert any("no run was trained" in line for line in decision.reasons)


def test_rules_given_late_are_marked_as_such() -> None:
    assert "given after 12 runs, when results were known" in Given("abc", 12).line
    question = Question("study", RULES, Given("abc", 12), Yardstick(OBJECTIVE))
    decision = decide(question, GOOD, "repetition", ["r"])
    assert decision.summary()["predeclared"] is False
    assert Given("abc", 12).line in decision.reasons


def test_results_are_of_runs_that_have_what_is_judged() -> None:
    plan = GOOD[0].plan
    spec = RunSpec(plan.mixture, SCALE)
    seen = [
        Observation(spec, metrics={"a": 1.0, "b": 3.0}),
        Observation(replace(spec, seed=1), metrics={"a": 2.0}),
        Observation.failure(replace(spec, seed=2), "died"),
    ]
    (judged,) = results_of([plan], {"recommended": seen}, Yardstick(OBJECTIVE))
    assert (judged.values, judged.failed, judged.metrics) == ((2.0,), 2, {"a": 1.0, "b": 3.0})
    (metric,) = results_of([plan], {"recommended": seen}, Yardstick(OBJECTIVE, "a"))
    assert metric.values == (1.0, 2.0)
    higher = Objective.of({}, maximize=["a"])
    assert Yardstick(higher, "a").value({"a": 2.0}) == -2.0
    assert Yardstick(higher, "a").name == "-a"


def test_a_metric_that_only_guards_may_be_missing() -> None:
    guarded = Yardstick(Objective({"a": 1.0}, guards=(Guard("b", 0.02),)))
    assert guarded.value({"a": 1.5}) == guarded.value({"a": 1.5, "b": 9.0}) == 1.5
    assert np.isnan(guarded.value({"b": 9.0}))
