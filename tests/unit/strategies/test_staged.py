"""Published templates: DMT's grid from its paper, anneals with their control."""

from pathlib import Path

import numpy as np
import pytest

from mixopt import Domain, InputError, MixtureSpace, Objective, Scale
from mixopt.runs.kinds import DESIGN, REFERENCE, TIME_AVERAGE
from mixopt.strategies import Problem, strategy
from mixopt.strategies.staged import REPLAY, anneal, dmt
from mixopt.testing.trainers import NAME, FakeTrainer

SCALE = Scale(10**6, 10**6)
SPACE = MixtureSpace(
    [
        Domain("web", 6e8, tags={"quality": "low"}),
        Domain("code", 3e8, tags={"quality": "high"}),
        Domain("math", 1e8, tags={"quality": "high"}),
    ]
)
NATURAL = [0.6, 0.3, 0.1]
TRAINER = FakeTrainer(
    values={"web": 2.0, "code": 1.0, "math": 1.0},
    late={"from": 0.8, "values": {"web": 0.5, "code": 2.5, "math": 2.0}},
    noise=0.002,
)


def question(space: MixtureSpace = SPACE, **changes: object) -> Problem:
    objective = Objective.of(TRAINER.metrics)
    return Problem(space, objective, (SCALE,), trainer=NAME, **changes)  # type: ignore[arg-type]


def test_dmt_is_all_specialised_data_and_then_general_data_with_a_share_k() -> None:
    """2310.05492: stage 1 trains on all of S = .4; stage 2 on the other .6 and k S."""
    specs = dmt(["code", "math"]).next(question(), [], [])
    assert REPLAY == (0.0, 1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0)
    assert [s.kind for s in specs] == [REFERENCE] + [DESIGN] * 6
    assert specs[0].is_static
    assert specs[0].mixture.array == pytest.approx(NATURAL)
    for k, spec in zip(REPLAY, specs[1:], strict=True):
        (until, first), (_, last) = spec.phases
        assert first.array == pytest.approx([0.0, 0.75, 0.25])
        assert until / SCALE.tokens == pytest.approx(0.4 / (1 + 0.4 * k), abs=1e-6)
        data = np.array([0.6, 0.3 * k, 0.1 * k])
        assert last.array == pytest.approx(data / data.sum())
        # In total: all general data once, all specialised data 1 + k times.
        total = np.array([0.6, 0.3 * (1 + k), 0.1 * (1 + k)])
        assert spec.mixture.array == pytest.approx(total / total.sum(), abs=1e-5)


def test_domains_are_named_or_tagged() -> None:
    named = dmt(["code", "math"]).next(question(), [], [])
    tagged = strategy("dmt", specialised=["quality=high"]).next(question(), [], [])
    assert [s.run_id for s in tagged] == [s.run_id for s in named]
    with pytest.raises(InputError, match=r"'quality=best', and no domain has this tag"):
        dmt(["quality=best"]).check(question(), TRAINER.metrics)
    with pytest.raises(InputError, match="unknown domain 'cod'"):
        dmt(["cod"]).check(question(), TRAINER.metrics)
    with pytest.raises(InputError, match="leave some that are general"):
        dmt(["web", "code", "math"]).check(question(), TRAINER.metrics)
    with pytest.raises(InputError, match="missing a required argument: 'specialised'"):
        strategy("dmt")


def test_an_anneal_is_a_grid_of_last_stages_beside_seeds_of_its_control() -> None:
    specs = anneal(["quality=high"], ends=(0.1, 0.25), shares=(0.3,)).next(question(), [], [])
    controls = [s for s in specs if s.kind == REFERENCE]
    assert len({s.seed for s in controls}) == 3
    assert all(s.mixture.array == pytest.approx(NATURAL) and s.is_static for s in controls)
    stages = [s.phases for s in specs if s.kind == DESIGN]
    assert sorted(phases[0][0] for phases in stages) == [750_000, 900_000]
    for (_, first), (_, last) in stages:
        assert first.array == pytest.approx(NATURAL)
        assert last.array == pytest.approx([0.7 * 0.6, 0.7 * 0.3 + 0.3 * 0.75, 0.7 * 0.1 + 0.075])


def test_candidates_apart_are_worth_something_each() -> None:
    base = {"web": 0.8, "code": 0.1, "math": 0.1}
    recipe = anneal(["code", "math"], base=base, ends=(0.2,), shares=(0.5,), apart=True)
    specs = [s for s in recipe.next(question(), [], []) if s.kind == DESIGN]
    assert [s.phases[1][1].array.tolist() for s in specs] == [
        pytest.approx([0.4, 0.55, 0.05]),
        pytest.approx([0.4, 0.05, 0.55]),
    ]


def test_the_best_of_the_grid_is_answered_and_confirmed_against_its_time_average() -> None:
    recipe = anneal(["quality=high"], ends=(0.2,), shares=(0.2, 0.6), confirm_seeds=2)
    problem = question()
    done = TRAINER.train(recipe.next(problem, [], []), Path("unused"))
    answer = recipe.answer(problem, done)
    assert answer.schedule is not None
    assert answer.schedule.phases[1][1]["web"] == pytest.approx(0.4 * 0.6)
    assert "the schedule is predicted to beat its own time average" in answer.notes[0]
    specs = recipe.next(problem, done, [])
    plans = {s.kind.confirms: s for s in specs}
    assert plans["recommended"].schedule == answer.schedule
    assert plans[TIME_AVERAGE].mixture == answer.mixture
    assert len(done) + len(specs) <= len(recipe.planned(problem))
    assert recipe.next(problem, [*done, *TRAINER.train(specs, Path("unused"))], []) == []


def test_constraints_move_a_stage_and_the_answer_says_so() -> None:
    space = SPACE.replace(bounds={"web": (0.1, 1.0)})
    recipe, problem = dmt(["code", "math"], confirm_seeds=0), question(space)
    specs = recipe.next(problem, [], [])
    assert all(m["web"] >= 0.1 - 1e-9 for s in specs for _, m in s.phases)
    answer = recipe.answer(problem, TRAINER.train(specs, Path("unused")))
    assert "the constraints moved 6 of the template's schedules" in answer.notes[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dmt(["code"], shares=[1.5]), "shares are"),
        (lambda: anneal(["code"], ends=[1.0]), "ends is"),
        (lambda: anneal(["code"], shares=[0.0]), "shares are"),
        (lambda: anneal(["code"], control_seeds=0), "control_seeds is 0"),
        (lambda: anneal(["code"], confirm_seeds=-1), "confirm_seeds is -1"),
    ],
)
def test_bad_settings_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]
