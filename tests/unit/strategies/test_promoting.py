"""Promotion as a strategy."""

from dataclasses import replace

from mixopt import Mixture, Objective, Observation, Scale
from mixopt.runs import Kind, Schedule
from mixopt.space import MixtureSpace
from mixopt.strategies import Problem, Strategy
from mixopt.strategies.promoting import Plan, Promoting

SPACE = MixtureSpace({"web": 1e9, "code": 1e9})
PROBLEM = Problem(SPACE, Objective.of("loss"), (Scale(10, 100),), data="d", config={"lr": 1})
HALF, WEB = SPACE.natural, SPACE.mixture([0.9, 0.1])
RECIPE = Promoting(
    (Plan("recommended", WEB), Plan("natural", HALF, rival=True)), Scale(20, 300), (5, 6)
)


def test_it_asks_for_every_plan_with_every_seed_seed_by_seed() -> None:
    assert isinstance(RECIPE, Strategy)
    asked = RECIPE.next(PROBLEM, [], [])
    told = [(s.seed, s.kind.candidate) for s in asked]
    assert told == [(5, "recommended"), (5, "natural"), (6, "recommended"), (6, "natural")]
    assert {str(s.kind.what) for s in asked} == {"promotion"}
    assert {s.scale for s in asked} == {Scale(20, 300)} == set(RECIPE.planned(PROBLEM))
    assert not any(s.kind.in_search for s in asked)


def test_what_is_known_is_not_asked_for_whatever_it_was_trained_for() -> None:
    asked = RECIPE.next(PROBLEM, [], [])
    confirmed = replace(asked[1], kind=Kind.confirmation("natural"))
    seen = [Observation(confirmed, metrics={"loss": 1.0})]
    left = RECIPE.next(PROBLEM, seen, [asked[2]])
    assert [s.run_id for s in left] == [asked[0].run_id, asked[3].run_id]
    assert RECIPE.next(PROBLEM, [], asked) == []


def test_schedules_are_stretched_and_knobs_are_set() -> None:
    schedule = Schedule(((50, WEB), (100, HALF)))
    plan = Plan("recommended", schedule.mean, schedule)
    made = replace(RECIPE, plans=(plan,), values={"lr": 3})
    (first, _) = made.next(PROBLEM, [], [])
    assert first.config == {"lr": 3}
    assert [until for until, _ in first.phases] == [150, 300]
    assert isinstance(first.mixture, Mixture)
