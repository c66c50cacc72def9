"""The dependence test as a strategy: its runs, worlds with a known answer, what is refused."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.evidence.outcome import Outcome, sweep_outcome
from mixopt.runs.kinds import What
from mixopt.strategies import Injecting, Parting, Problem
from mixopt.strategies.dependence import DIFFERENCE, DependenceTest, experiments

SCALE = Scale(10**6, 10_000)
SPACE = MixtureSpace({"web": 6e8, "code": 4e8})
NAMES = ("a", "b", "c")
METRICS = ("loss", *(DIFFERENCE + name for name in NAMES))


def question(**config: Any) -> Problem:
    made = {"injections": {name: {} for name in NAMES}, **config}
    return Problem(SPACE, Objective.of("loss"), (SCALE,), trainer="world", config=made, seed=4)


def run(spec: RunSpec, *, of_b_in_a: float = 0.0, noise: float = 0.01) -> Observation:
    """Each lowers its own outcome by 1; the data of b change that of a as well."""
    rng = np.random.default_rng(int(spec.run_id, 16))
    inject = spec.config["inject"]
    metrics = {"loss": 2.0 + noise * rng.standard_normal()}
    for name in NAMES:
        value = 5.0 - (name in inject) + noise * rng.standard_normal()
        metrics[DIFFERENCE + name] = value + of_b_in_a * (name == "a" and "b" in inject)
    return Observation.of(spec, metrics, flops=1.0)


def play(
    recipe: DependenceTest, problem: Problem, how: Callable[[RunSpec], Observation] = run
) -> list[Observation]:
    done: list[Observation] = []
    while specs := recipe.next(problem, done, []):
        done += [how(spec) for spec in specs]
    return done


def concluded(recipe: DependenceTest, problem: Problem, done: Sequence[Observation]) -> Outcome:
    return sweep_outcome(problem, done, recipe.answer(problem, done, every_metric=True))


def test_the_first_run_trains_the_trunk_and_all_others_part_from_it() -> None:
    recipe, problem = DependenceTest(tail=0.25, seeds=4), question()
    (first,) = recipe.next(problem, [], [])
    assert recipe.next(problem, [], [first]) == []
    others = recipe.next(problem, [run(first)], [])
    assert len(others) == 3 + 3 + 1
    assert recipe.next(problem, [run(first)], others[2:]) == others[:2]
    assert len(recipe.planned(problem)) == 8
    assert recipe.branches(problem) == 7
    every = [first, *others]
    assert len({spec.seed for spec in every}) == len(every)
    start = {"tokens": 7500, "seed": problem.seed}
    assert all(spec.config["shared_start"] == start for spec in every)
    assert all(spec.mixture == SPACE.natural and spec.is_static for spec in every)
    injected = [spec.config["inject"] for spec in every]
    assert injected == [[], [], [], [], ["a"], ["b"], ["c"], ["a", "b", "c"]]
    assert [spec.kind.what for spec in every] == [What.REFERENCE] + [What.BRANCH] * 7
    assert [str(spec.kind) for spec in every[3:6]] == [
        "branch without any",
        "branch a alone",
        "branch b alone",
    ]
    assert recipe.fullest(problem)["inject"] == ["a", "b", "c"]
    assert isinstance(recipe, Parting)
    assert isinstance(recipe, Injecting)
    # The first goes out alone; of the others those without any injection are alike.
    assert recipe.together(problem, []) == [1, 3, 1, 1, 1, 1]
    assert recipe.together(problem, [run(first), run(others[0])]) == [2, 1, 1, 1, 1]
    assert recipe.together(problem, [run(spec) for spec in every]) == []


def test_a_world_without_interference_is_told_so_everywhere() -> None:
    recipe, problem = DependenceTest(), question()
    outcome = concluded(recipe, problem, play(recipe, problem))
    told = outcome.dependence
    assert told is not None
    assert told.independent
    assert outcome.headline.startswith("No two of the 3 experiments interfere beyond chance")
    assert outcome.recommendation.mixture == SPACE.natural
    assert np.diag(told.effect) == pytest.approx(-1.0, abs=0.06)
    assert outcome.summary()["dependence"]["independent"]
    again = Outcome.from_dict(outcome.to_dict())
    assert again.dependence is not None
    assert again.dependence.to_dict() == told.to_dict()
    assert again.headline == outcome.headline


def test_a_planted_pair_is_named_with_its_direction() -> None:
    recipe, problem = DependenceTest(), question()
    done = play(recipe, problem, lambda spec: run(spec, of_b_in_a=-0.4))
    outcome = concluded(recipe, problem, done)
    told = outcome.dependence
    assert told is not None
    assert told.pairs == [(0, 1)]
    assert told.joint_flagged.tolist() == [True, False, False]
    assert outcome.headline == "They interfere: b in a. Run these apart."
    assert any(note.startswith("b changes what a shows by -0.") for note in outcome.notes)
    assert any("three experiments do together stays unseen" in note for note in outcome.notes)
    assert outcome.verdict.state == "untested"
    assert outcome.checkup.trust.gates[0].name == "mixture"


def test_failed_runs_leave_what_the_others_say() -> None:
    recipe, problem = DependenceTest(), question()

    def fails(spec: RunSpec) -> Observation:
        if spec.config["inject"] == ["c"]:
            return Observation.failure(spec, "out of memory")
        return run(spec, of_b_in_a=-0.4)

    told = concluded(recipe, problem, play(recipe, problem, fails)).dependence
    assert told is not None
    assert told.pairs == [(0, 1)]
    assert np.isnan(told.effect[:, 2]).all()
    done = play(recipe, problem, lambda spec: Observation.failure(spec, "no disk"))
    with pytest.raises(InputError, match=r"fewer than two runs .*no disk"):
        recipe.answer(problem, done)


def test_what_a_configuration_has_runs_read_is_tested() -> None:
    assert experiments({"injections": {"a": 1, "b": 2}}) == ("a", "b")
    assert experiments({"injections": {"a": 1, "b": 2}, "inject": ["b"]}) == ("b",)
    assert experiments({}) == ()
    recipe, problem = DependenceTest(), question(inject=["c", "a"])
    assert recipe.fullest(problem)["inject"] == ["c", "a"]
    assert len(recipe.planned(problem)) == 3 + 2 + 1


@pytest.mark.parametrize(
    ("settings", "config", "why"),
    [
        ({}, {"inject": ["a"]}, "has 1 injections to run"),
        ({}, {"injections": {"x": {}, "y": {}}}, "does not measure 'difference/x'"),
        ({"base": {"web": 0.5, "code": 0.2}}, {}, "base sums to 0.7"),
        ({"tail": 0.00001}, {}, "leaves trunk or tail"),
    ],
)
def test_what_cannot_be_tested_is_refused(settings, config, why) -> None:
    recipe = DependenceTest(**settings)
    with pytest.raises(InputError, match=why):
        recipe.check(question(**config), METRICS)
    DependenceTest().check(question(), METRICS)


def test_settings_out_of_range_are_refused() -> None:
    for settings in ({"seeds": 2}, {"tail": 1.0}, {"tail": 0.0}, {"level": 0.9}):
        with pytest.raises(InputError, match=next(iter(settings))):
            DependenceTest(**settings)
