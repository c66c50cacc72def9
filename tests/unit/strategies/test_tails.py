"""What domains are worth at the end of a run: worlds with a known answer, guards, refusals."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mixopt import Domain, InputError, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.diagnostics import Gate
from mixopt.evidence.outcome import Outcome, sweep_outcome
from mixopt.runs.kinds import BRANCH, RECOMMENDED, REFERENCE, TIME_AVERAGE
from mixopt.runs.objective import Guard
from mixopt.strategies import Problem, strategy
from mixopt.strategies.tails import CONTROL, Tails, microanneal, tailpatch

SCALE, TARGET = Scale(10**6, 10_000), Scale(10**6, 40_000)
SPACE = MixtureSpace({"web": 6e8, "code": 3e8, "math": 1e8})
BASE = SPACE.natural.array
NAMES = ("loss/web", "loss/code", "loss/math")
A = np.array([[3.0, 1.0, 0.0], [1.0, 4.0, 2.0], [0.0, 1.0, 9.0]]) * 1e-5
"""(n, m) what a token of domain j takes off loss k: METHODS-ONLINE, section G, world LD."""


def question(**changes: Any) -> Problem:
    return Problem(SPACE, Objective.of(NAMES), (SCALE,), trainer="ld", **changes)


def run(spec: RunSpec, noise: float = 0.0, seed_sd: float = 0.0) -> Observation:
    """LD: losses fall by A w for every token; a seed moves all runs with it alike."""
    losses, begin = np.array([2.0, 2.5, 3.0]), 0
    for until, mixture in spec.phases:
        losses = losses - (until - begin) * (A @ mixture.array)
        begin = until
    rng = np.random.default_rng(int(spec.run_id, 16))
    losses += noise * rng.standard_normal(3)
    losses += seed_sd * np.random.default_rng(spec.seed).standard_normal(3)
    return Observation.of(spec, dict(zip(NAMES, losses.tolist(), strict=True)), flops=1.0)


def play(recipe: Tails, problem: Problem, **world: float) -> list[Observation]:
    done: list[Observation] = []
    for _ in range(9):
        specs = recipe.next(problem, done, [])
        if not specs:
            return done
        done += [run(spec, **world) for spec in specs]
    raise AssertionError("it never ends")


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_golden_the_matrix_is_steps_times_the_transpose_of_the_world(share: float) -> None:
    """METHODS-ONLINE, D: in world LD the matrix is steps A^T, less what the base does."""
    recipe = Tails(share, tail=0.2, confirm_seeds=0)
    done = play(recipe, question())
    told = recipe.values(question(), done)
    steps = 0.2 * SCALE.tokens
    assert told.domains == SPACE.names
    assert told.measured / share + steps * (A @ BASE) == pytest.approx(steps * A.T)
    assert told.shrunk == pytest.approx(told.measured)  # without noise nothing is shrunk
    assert told.objective == pytest.approx(told.measured.mean(axis=1))


def test_controls_come_first_and_every_tail_has_the_seed_of_one() -> None:
    recipe, problem = tailpatch(tail=0.25, seeds=2), question()
    controls = recipe.next(problem, [], [])
    assert [s.kind for s in controls] == [REFERENCE] * 3
    assert len({s.seed for s in controls}) == 3
    assert all(s.is_static and s.mixture == SPACE.natural for s in controls)
    assert recipe.next(problem, [], controls) == []
    part = [run(s) for s in controls[:2]]
    assert recipe.next(problem, part, controls[2:]) == []  # the trunk is not there yet
    tails = recipe.next(problem, [run(s) for s in controls], [])
    assert [s.kind for s in tails] == [BRANCH] * 6
    assert [s.seed for s in tails] == [controls[0].seed] * 3 + [controls[1].seed] * 3
    for spec, alone in zip(tails[:3], np.eye(3), strict=True):
        (until, trunk), (end, last) = spec.phases
        assert (until, end) == (7500, 10_000)
        assert trunk.array == pytest.approx(BASE)
        assert last.array == pytest.approx(alone)


def test_a_microanneal_mixes_a_share_of_the_domain_into_the_base() -> None:
    base = {"web": 0.5, "code": 0.5}
    recipe = microanneal(domains=["math"], base=base, share=0.4, seeds=1)
    problem = question()
    tails = recipe.next(problem, [run(s) for s in recipe.next(problem, [], [])], [])
    assert len(tails) == 1
    assert tails[0].phases[1][1].array == pytest.approx([0.3, 0.3, 0.4])
    assert strategy("microanneal").share == 0.3  # type: ignore[attr-defined]


def test_the_best_stage_is_answered_and_confirmed_against_average_and_control() -> None:
    """LD is linear: all on the domain of the largest column sum, and the order is no matter."""
    problem = replace(question(), scales=(SCALE, TARGET))
    recipe = tailpatch(confirm_seeds=2)
    done = play(recipe, problem, noise=1e-5)
    assert len(done) == len(recipe.planned(problem)) == 3 + 6 + 6
    answer = recipe.answer(problem, done)
    assert answer.schedule is not None
    (until, trunk), (end, last) = answer.schedule.phases
    assert (until, end) == (32_000, 40_000)
    assert last.array == pytest.approx([0, 0, 1])
    assert trunk.array == pytest.approx(BASE)
    gain = answer.gains["natural"]
    truth = 2000 * (A[:, 2].mean() - (A @ BASE).mean())
    assert gain.raw == pytest.approx(truth, abs=1e-4)
    assert 0 < gain.shrunk <= gain.raw + 1e-9
    confirmed = {o.spec.kind.confirms for o in done if o.spec.kind.confirms}
    assert confirmed == {RECOMMENDED, TIME_AVERAGE, "natural"}
    outcome = sweep_outcome(problem, done, answer)
    assert outcome.verdict.state == "not-shown"  # no order helps in this world: see its words
    assert "train its time average from start to end" in outcome.verdict.sentence
    again = Outcome.from_dict(json.loads(json.dumps(outcome.to_dict(), allow_nan=False)))
    assert again.domain_values is not None
    assert again.domain_values.measured == pytest.approx(outcome.domain_values.measured)
    assert outcome.summary()["domain_values"]["domains"]["math"]["objective"]["told"] == "better"
    lines = " ".join(outcome.checkup.lines())
    assert "no held-out runs: every domain was tried alone" in lines
    assert "each other most" not in lines  # of pairs nothing was measured


def test_a_guard_keeps_what_it_guards_with_the_domain_that_helps_it() -> None:
    """All on math raises loss/web by 2000 x 2.1e-5; half of it, by no more than 1 %."""
    guarded = Objective(dict.fromkeys(NAMES, 1.0), guards=(Guard("loss/web", 0.01),))
    problem = replace(question(), objective=guarded)
    recipe = tailpatch(confirm_seeds=0)
    done = play(recipe, problem)
    answer = recipe.answer(problem, done)
    assert answer.schedule is not None
    last = answer.schedule.phases[1][1]
    told = run(RunSpec.scheduled(answer.schedule, SCALE)).metrics["loss/web"]
    control = done[0].metrics["loss/web"]
    assert told <= 1.01 * control + 1e-5  # shares are on a grid
    assert told == pytest.approx(1.01 * control, rel=2e-4)  # at the guard: no more was possible
    assert last["math"] > BASE[2]
    assert "guards (loss/web) are held against the control" in answer.notes


def test_what_only_hurts_leaves_the_base_and_confirms_nothing() -> None:
    recipe, problem = tailpatch(domains=["web"]), question()
    done = play(recipe, problem)
    assert not any(o.spec.kind.confirms for o in done)
    answer = recipe.answer(problem, done)
    assert answer.schedule is None
    assert answer.mixture.array == pytest.approx(BASE)
    assert answer.gains["natural"].raw == 0
    assert "no last stage is predicted to beat the control" in answer.notes[-1]
    told = sweep_outcome(problem, done, answer).checkup.trust
    assert told.line.startswith("Trust the ranking only: none that was tried beats the control")


def test_a_stage_without_fresh_seeds_is_not_trusted_whatever_else_is_asked() -> None:
    recipe, problem = tailpatch(confirm_seeds=0), question()
    done = play(recipe, problem, noise=1e-6)
    told = sweep_outcome(problem, done, recipe.answer(problem, done)).checkup.trust
    assert told.level == "do not trust"
    assert "luck is not told from merit" in told.line
    beside = Gate.unmeasured("past promotions", "none", None, allows="trust")
    assert told.also(beside).level == "do not trust"


def test_what_luck_may_gain_leaves_the_base() -> None:
    """Domains that are worth the same, and noise: the best of three looks better than it is."""
    problem, tried, told = question(), 0, []
    for seed in range(20):
        recipe, given = tailpatch(), replace(problem, seed=seed)
        done = play(recipe, given, noise=1.0)
        answer = recipe.answer(given, done)
        assert (answer.schedule is None) == (len(done) == 9)  # nothing then to confirm
        tried += answer.schedule is not None
        told += [answer.notes[-1]] if answer.schedule is None else []
    assert tried <= 3  # 5 % of 20, and what chance adds to it
    assert all("the base is the answer" in note for note in told)
    assert any("no more than luck may" in note for note in told)


def test_noise_is_shrunk_and_pairs_of_a_seed_have_little() -> None:
    problem = question()
    noisy = tailpatch(confirm_seeds=0, seeds=1)
    told = noisy.values(problem, play(noisy, problem, noise=1.0))
    assert np.abs(told.shrunk).sum() < np.abs(told.measured).sum()
    paired = tailpatch(confirm_seeds=0, seeds=3)
    told = paired.values(problem, play(paired, problem, seed_sd=1.0))
    assert told.sd == pytest.approx(0.0, abs=1e-9)  # a seed moves control and tail alike


def test_a_control_that_failed_gives_its_place_to_the_next_and_a_tail_is_named() -> None:
    recipe, problem = tailpatch(confirm_seeds=0, seeds=1), question()
    controls = recipe.next(problem, [], [])
    seen = [Observation.failure(controls[0], "diverged"), *(run(s) for s in controls[1:])]
    tails = recipe.next(problem, seen, [])
    assert {s.seed for s in tails} == {controls[1].seed}
    seen += [Observation.failure(tails[0], "diverged"), *(run(s) for s in tails[1:])]
    answer = recipe.answer(problem, seen)
    assert answer.domain_values is not None
    assert np.isnan(answer.domain_values.measured[0]).all()
    assert any("the tails of web (seed 1000) failed" in note for note in answer.notes)
    assert answer.schedule is not None
    assert answer.schedule.phases[1][1].array == pytest.approx([0, 0, 1])
    with pytest.raises(InputError, match="no run of the control has succeeded"):
        recipe.answer(problem, [Observation.failure(s, "diverged") for s in controls])


def test_what_was_sent_to_confirmation_stands() -> None:
    recipe, problem = tailpatch(), question()
    done = play(recipe, problem)
    sent = next(o for o in done if o.spec.kind.confirms == RECOMMENDED)
    ours = [replace(o, metrics={k: 9.0 for k in NAMES}) if _on(o, "math") else o for o in done]
    answer = recipe.answer(problem, ours)
    assert answer.schedule == sent.spec.schedule


def _on(seen: Observation, domain: str) -> bool:
    return seen.spec.kind == BRANCH and seen.spec.phases[1][1][domain] == 1.0


def test_tails_that_change_nothing_are_told() -> None:
    recipe, problem = tailpatch(confirm_seeds=0), question()
    done = [replace(o, metrics=dict.fromkeys(NAMES, 1.0)) for o in play(recipe, problem)]
    assert any("raise 'tail'" in note for note in recipe.answer(problem, done).notes)


def test_repetition_is_told() -> None:
    recipe, problem = tailpatch(confirm_seeds=0), question()
    done = [
        replace(o, info={"epochs": {"math": 6.5, "web": 0.1, "code": 5.0}})
        for o in play(recipe, problem)
    ]
    (note,) = [n for n in recipe.answer(problem, done).notes if "passed over" in n]
    assert "math 6.5 times" in note
    assert "code 5 times" in note
    assert "web" not in note


def refused(recipe: Tails, problem: Problem, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe.check(problem, NAMES)


def test_what_cannot_be_measured_is_refused_with_a_remedy() -> None:
    problem = question()
    tailpatch().check(problem, NAMES)
    refused(tailpatch(domains=["cod"]), problem, "unknown domain 'cod'; .* did you mean 'code'")
    refused(tailpatch(domains=["tag=x"]), problem, "no domain has this tag")
    refused(tailpatch(base={"wb": 1.0}), problem, "unknown domain 'wb'")
    refused(tailpatch(base={"web": 0.5}), problem, "base sums to 0.5; give shares that sum to 1")
    short = replace(problem, scales=(Scale(10**6, 3),))
    refused(tailpatch(tail=0.9), short, "leaves trunk or tail without any; give longer runs")
    refused(tailpatch(tail=0.1), short, "leaves trunk or tail without any")
    tight = replace(problem, space=SPACE.replace(bounds={"web": (0.0, 0.5)}))
    tailpatch().check(tight, NAMES)
    refused(tailpatch(base={"web": 1.0}), tight, "base is outside the constraints")
    guarded = Objective(dict.fromkeys(NAMES, 1.0), guards=(Guard("loss/web", 0.0, "uniform"),))
    refused(tailpatch(), replace(problem, objective=guarded), "leave 'baseline' out")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 1.2}, "share is 1.2; give a number above 0 and at most 1"),
        ({"share": 0}, "share is 0"),
        ({"tail": 1.0}, "tail is 1"),
        ({"tail": 0.0}, "tail is 0"),
        ({"domains": "math"}, "domains is 'math'; give a list"),
        ({"domains": [1]}, r"domains\[0\] is 1; give text"),
        ({"control_seeds": 1}, "control_seeds is 1"),
        ({"seeds": 4}, "set control_seeds: 4"),
        ({"base": ["math"]}, "base is"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        strategy("microanneal", **settings)


def test_tailpatch_has_no_share_and_neither_takes_unknown_settings() -> None:
    with pytest.raises(InputError, match="use 'microanneal'"):
        strategy("tailpatch", share=0.5)
    for name in ("tailpatch", "microanneal"):
        with pytest.raises(InputError, match="no setting 'tial'"):
            strategy(name, tial=0.5)


def test_another_base_is_called_the_control() -> None:
    recipe, problem = tailpatch(base={"web": 1.0}), question()
    done = play(recipe, problem)
    assert CONTROL in {o.spec.kind.confirms for o in done}
    assert list(recipe.answer(problem, done).gains) == [CONTROL]


def test_domains_may_be_named_by_tag() -> None:
    tagged = MixtureSpace(
        [Domain("web", 6e8), Domain("code", 3e8, tags={"quality": "high"}), Domain("math", 1e8)]
    )
    problem = replace(question(), space=tagged)
    recipe = tailpatch(domains=["quality=high"], confirm_seeds=0)
    assert _domains(recipe, problem) == ("code",)


def _domains(recipe: Tails, problem: Problem) -> Sequence[str]:
    return recipe.values(problem, play(recipe, problem)).domains
