"""What every strategy keeps: constraints, identity, determinism, no repeats, an answer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.runs.kinds import DESIGN
from mixopt.runs.run_table import RunTable
from mixopt.strategies import STRATEGIES, Problem, Strategy, strategy, traits_of
from mixopt.strategies.base import Answering
from mixopt.testing.worlds import make_world

WORLD = make_world(4, 3, noise=0.05)
SPACE = MixtureSpace(WORLD.space.names, bounds={"d0": (0.0, 0.5), "d1": (0.05, 1.0)})
SMALL: dict[str, dict[str, Any]] = {
    "auto": {"design": 6, "proposals": 4, "batch": 2, "confirm_seeds": 0, "law": "gp"},
    "ladder": {"design": 6, "runs": 10},
    "joint": {"design": 6, "runs": 10},
    "pareto": {"design": 6, "runs": 10},
    "two-phase": {"design": 8, "runs": 14, "confirm_seeds": 0},
    "dmt": {"specialised": ("d1", "d2"), "confirm_seeds": 0},
    "anneal": {"raised": ("d1",), "confirm_seeds": 0},
    "random": {"runs": 8},
    "regmix": {"runs": 12, "simulated": 500, "top": 10},
    "olmix": {"runs": 8},
    "dml": {"runs": 8},
    "mixture-experiment": {"runs": 12},
    "rungs": {"design": 6, "proposals": 4},
    "climb": {"rounds": (8, 4), "candidates": 200},
    "admire": {"runs": 6},
    "mfms": {"runs": 10, "design": 6},
    "optuna:tpe": {"design": 4, "runs": 8},
}
NAMES = [*STRATEGIES, "optuna:tpe"]
SCHEDULED = ("two-phase", "dmt", "anneal")
"""They ask for runs whose mixture changes, which no pool holds."""


def problem(*, pool: bool = False, seed: int = 0) -> Problem:
    scale = WORLD.target
    given: dict[str, Any] = {}
    if pool:
        rng = np.random.default_rng(0)
        W = SPACE.round(SPACE.project(rng.dirichlet(np.ones(4), size=40)))
        given["pool"] = {scale: tuple(dict.fromkeys(SPACE.mixture(w) for w in W))}
    return Problem(SPACE, WORLD.objective, (scale,), seed=seed, **given)


def play(recipe: Strategy, question: Problem) -> list[Observation]:
    done: list[Observation] = []
    for _ in range(60):
        specs = recipe.next(question, done, [])
        if not specs:
            return done
        done += [WORLD.run(s) for s in specs]
    raise AssertionError("the strategy never ends")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pool", [False, True], ids=["space", "pool"])
def test_every_strategy_asks_for_new_allowed_runs_and_answers(name: str, pool: bool) -> None:
    if name.startswith("optuna"):
        pytest.importorskip("optuna")
    if name in {"regmix", "climb"}:
        pytest.importorskip("lightgbm")
    question = problem(pool=pool)
    recipe = strategy(name, **SMALL.get(name, {}))
    if pool and traits_of(recipe).schedules:
        with pytest.raises(InputError, match="a pool holds single mixtures"):
            recipe.next(question, [], [])
        return
    done = play(recipe, question)
    if pool and name == "baselines":
        return  # none of them is in the pool
    assert 0 < len(done) <= len(recipe.planned(question))
    assert len({o.run_id for o in done}) == len(done)
    W = np.array([o.spec.mixture.array for o in done])
    assert SPACE.contains(W, 1e-6).all()
    assert isinstance(recipe, Answering)
    answer = recipe.answer(question, done).mixture
    assert SPACE.contains(answer.array, 1e-6)[0]
    if pool:
        assert all(o.spec.mixture in question.pool[WORLD.target] for o in done)
        assert answer in question.pool[WORLD.target]


@pytest.mark.parametrize(
    "name", ["ladder", "climb", "optuna:tpe", "auto", "pareto", "joint", "two-phase"]
)
def test_the_same_store_gives_the_same_runs_in_any_order(name: str) -> None:
    if name.startswith("optuna"):
        pytest.importorskip("optuna")
    question, settings = problem(), SMALL[name]
    done = play(strategy(name, **settings), question)
    first = sum(o.spec.kind == DESIGN for o in done)
    one = strategy(name, **settings).next(question, done[:first], [])
    other = strategy(name, **settings).next(question, done[:first][::-1], [])
    assert one
    assert [s.run_id for s in one] == [s.run_id for s in other]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in {"regmix", "climb", "baselines"}])
def test_earlier_runs_change_the_choice_of_those_who_declare_it_alone(name: str) -> None:
    if name.startswith("optuna"):
        pytest.importorskip("optuna")
    question, recipe = problem(), strategy(name, **SMALL.get(name, {}))
    rng = np.random.default_rng(5)
    mixtures = [SPACE.mixture(w) for w in SPACE.project(rng.dirichlet(np.ones(4), size=30))]
    seen = [WORLD.run(question.run(m, DESIGN)) for m in mixtures]
    told = replace(question, earlier=(RunTable.from_observations(seen, SPACE.names),))
    done = [WORLD.run(s) for s in recipe.next(question, [], [])]
    without, with_them = (
        [s.run_id for s in strategy(name, **SMALL.get(name, {})).next(q, done, [])]
        for q in (question, told)
    )
    assert (without != with_them) == traits_of(recipe).earlier


@pytest.mark.parametrize("name", NAMES)
def test_only_those_who_declare_it_ask_for_schedules(name: str) -> None:
    recipe = strategy(name, **SMALL.get(name, {}))
    specs = recipe.next(problem(), [], [])
    assert specs
    asks = any(spec.schedule is not None for spec in specs)
    assert asks == traits_of(recipe).schedules
    assert (name in SCHEDULED) == traits_of(recipe).schedules


def fails(spec: RunSpec) -> Observation:
    return Observation.failure(spec, "diverged")


@pytest.mark.parametrize("name", [n for n in NAMES if n != "baselines"])
def test_a_store_of_failed_runs_is_answered_in_words(name: str) -> None:
    if name.startswith("optuna"):
        pytest.importorskip("optuna")
    question = problem()
    recipe = strategy(name, **SMALL.get(name, {}))
    done = [fails(s) for s in recipe.next(question, [], [])]
    assert isinstance(recipe, Answering)
    with pytest.raises(InputError, match="succeeded"):
        recipe.answer(question, done)


def test_a_pool_of_other_domains_is_refused_by_name() -> None:
    other = MixtureSpace(["d0", "d1", "d2", "wiki"]).natural
    scale = WORLD.target
    with pytest.raises(InputError, match="differs from the space in d3, wiki"):
        Problem(SPACE, WORLD.objective, (scale,), pool={scale: (other,)})
    with pytest.raises(InputError, match="none of the scales"):
        Problem(SPACE, WORLD.objective, (scale,), pool={Scale(5, 5): ()})
    with pytest.raises(InputError, match="costs -1"):
        Problem(SPACE, WORLD.objective, (scale,), costs={scale: -1})


def test_unknown_names_and_settings_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'regmix'"):
        strategy("regmx")
    question = Problem(SPACE, Objective.of("nope"), (WORLD.target,))
    recipe = strategy("ladder", design=4, runs=6)
    with pytest.raises(InputError, match="unknown metric"):
        play(recipe, question)
