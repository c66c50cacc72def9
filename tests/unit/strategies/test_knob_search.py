"""Mixture and hyperparameters at once: the optimum of both, in any order, through a sweep."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixopt import InputError, Observation, RunSpec
from mixopt.app.results.publish import finish
from mixopt.app.running.driving import run
from mixopt.app.running.launch import new_sweep
from mixopt.app.spec.spec_file import parse_spec
from mixopt.errors import SpecError
from mixopt.laws import fitted_law
from mixopt.proposers.bayes import gains
from mixopt.runs.knobs import Choice, Continuous, SearchSpace
from mixopt.runs.objective import Guard
from mixopt.space import Mixture
from mixopt.strategies import Problem
from mixopt.strategies.knob_search import KnobSearch
from mixopt.strategies.ledger import Ledger
from mixopt.testing.trainers import NAME
from mixopt.testing.worlds import LARGE, make_world

KNOBS = (Continuous("lr", 1e-3, 1e-1, log=True), Choice("act", ("relu", "silu", "gelu")))
WORLD = make_world(4, 2)
BEST = 10**-1.7


def question(seed: int = 0, **changes: Any) -> Problem:
    fields = {"knobs": KNOBS, "seed": seed, **changes}
    return Problem(WORLD.space, WORLD.objective, (LARGE,), **fields)


def loss(config: Any) -> float:
    """What the knobs cost, in spreads: nothing at lr = 10^-1.7 with silu."""
    off = np.log10(config["lr"] / BEST) ** 2
    return float((2.0 * off + (config["act"] != "silu") * 0.7) * WORLD.spread)


def train(spec: RunSpec) -> Observation:
    seen = WORLD.run(spec)
    return replace(seen, metrics={k: v + loss(spec.config) for k, v in seen.metrics.items()})


def play(recipe: KnobSearch, problem: Problem) -> list[Observation]:
    done: list[Observation] = []
    while specs := recipe.next(problem, done, []):
        done += [train(s) for s in specs]
    return done


def best(recipe: KnobSearch, problem: Problem, done: list[Observation]) -> tuple[Mixture, Any]:
    answer = recipe.answer(problem, done)
    return answer.mixture, answer.settings


def regret(mixture: Any, values: Any) -> float:
    off = float(WORLD.value(mixture.array[None])[0] - WORLD.best) + loss(values)
    return off / WORLD.spread


@pytest.mark.slow
def test_mixture_and_knobs_are_found_together_far_sooner_than_at_random() -> None:
    found, luck = [], []
    for seed in range(3):
        problem, recipe = question(seed), KnobSearch(design=12, runs=36)
        done = play(recipe, problem)
        mixture, values = best(recipe, problem, done)
        assert recipe.recommend(problem, done) == mixture
        assert values["act"] == "silu"
        assert abs(np.log10(values["lr"] / BEST)) < 0.25  # type: ignore[operator]
        found.append(regret(mixture, values))
        random = play(KnobSearch(design=36, runs=36), problem)
        luck.append(min(regret(o.spec.mixture, o.spec.config) for o in random))
    assert np.mean(found) < 0.25 * np.mean(luck)


def test_the_first_run_is_the_natural_mixture_in_the_middle() -> None:
    first = KnobSearch(design=8).next(question(), [], [])
    assert first[0].mixture == WORLD.space.natural
    assert dict(first[0].config) == {"lr": 0.01, "act": "relu"}
    assert len({s.run_id for s in first}) == 8
    assert {s.config["act"] for s in first} == {"relu", "silu", "gelu"}


def test_the_same_store_gives_the_same_runs_in_any_order() -> None:
    problem = question()
    done = [train(s) for s in KnobSearch(design=8).next(problem, [], [])]
    one = KnobSearch(design=8).next(problem, done, [])
    assert one
    assert KnobSearch(design=8).next(problem, done[::-1], []) == one
    assert KnobSearch(design=8).next(problem, done[:6], [done[6].spec, done[7].spec]) == []
    left = KnobSearch(design=8).next(problem, done[:6], [])
    assert {s.run_id for s in left} == {o.run_id for o in done[6:]}


def test_a_failed_run_is_not_asked_for_again() -> None:
    problem = question()
    done = [train(s) for s in KnobSearch(design=8).next(problem, [], [])]
    asked = KnobSearch(design=8).next(problem, done, [])
    done.append(Observation.failure(asked[0], "nan"))
    again = KnobSearch(design=8).next(problem, done, [])
    assert asked[0].run_id not in {s.run_id for s in again}


def test_a_guard_on_the_natural_mixture_is_kept_and_others_are_refused() -> None:
    objective = replace(WORLD.objective, guards=(Guard("loss-0"),))
    problem = replace(question(), objective=objective)
    done = [train(s) for s in KnobSearch(design=12).next(problem, [], [])]
    mixture, values = best(KnobSearch(design=12), problem, done)
    natural = WORLD.truth(WORLD.space.prior[None])[0, 0] + loss({"lr": 0.01, "act": "relu"})
    assert WORLD.truth(mixture.array[None])[0, 0] + loss(values) <= natural
    other = replace(
        problem, objective=replace(objective, guards=(Guard("loss-0", 0.0, "uniform"),))
    )
    with pytest.raises(InputError, match="against the natural mixture only"):
        KnobSearch(design=12).answer(other, done)


def test_a_finer_search_gains_nothing_more() -> None:
    problem, recipe = question(), KnobSearch(design=12)
    ledger = Ledger.of(problem, [train(s) for s in recipe.next(problem, [], [])])
    surrogate, R = recipe._surrogate(ledger)
    X, rng = recipe._candidates(ledger, surrogate, R), np.random.default_rng(0)
    best = gains(surrogate, X, R).max()
    for _ in range(8):
        top = X[np.argsort(-gains(surrogate, X, R))[:4]]
        X = np.vstack([top, recipe._mixed(ledger, top, 100, rng)])
    assert (
        gains(surrogate, X, R).max() < 1.005 * best
    )  # of expected improvement; without the last rounds 1.05


def test_without_knobs_it_searches_mixtures() -> None:
    problem = question(knobs=())
    recipe, done = KnobSearch(design=8, runs=24), []
    while specs := recipe.next(problem, done, []):
        done += [WORLD.run(s) for s in specs]
    mixture, values = best(recipe, problem, done)
    assert values == {}
    assert WORLD.value(mixture.array[None])[0] - WORLD.best < 0.1 * WORLD.spread
    assert SearchSpace(WORLD.space, ()).simplex.dim == WORLD.space.dim


def spec(**changes: Any) -> Any:
    values = {
        "version": 1,
        "name": "joint",
        "trainer": {"use": NAME, "config": {"rate": 4.0}},
        "scales": [{"params": 1000, "tokens": 10_000}],
        "objective": {"minimize": ["loss/web", "loss/code", "loss/math"]},
        "knobs": {
            "noise": {"low": 0.001, "high": 0.01, "log": True},
            "points": {"options": [2, 3]},
        },
        "strategy": {"use": "joint", "design": 6, "runs": 10},
        "execution": {"use": "local"},
    }
    return parse_spec({**values, **changes})


def test_runs_moved_to_the_answer_show_the_mixture_alone() -> None:
    problem, recipe = question(1), KnobSearch(design=12, runs=28)
    done = play(recipe, problem)
    moved = recipe.answer(problem, done).runs
    assert moved is not None
    assert set(moved.facts["run"]) == {o.run_id for o in done}
    by_id = {o.run_id: np.mean(list(o.metrics.values())) for o in done}
    before = np.array([by_id[run] for run in moved.facts["run"]]) - WORLD.value(moved.W)
    after = moved.Y.mean(axis=1) - WORLD.value(moved.W)
    assert np.std(after) < 0.3 * np.std(before)


def test_the_model_of_the_answer_is_the_one_that_searched() -> None:
    problem, recipe = question(1), KnobSearch(design=12, runs=24)
    answer = recipe.answer(problem, play(recipe, problem))
    assert answer.surrogate is not None
    others = problem.space.round(WORLD.space.sample(200, np.random.default_rng(0)))
    at_answer = answer.surrogate.risk(answer.mixture.array[None], recipe.caution)[0]
    assert at_answer <= answer.surrogate.risk(others, recipe.caution).min() + 1e-9
    stored = fitted_law(answer.surrogate.fitted.to_dict())
    np.testing.assert_allclose(
        stored.predict(others).mean, answer.surrogate.fitted.predict(others).mean
    )


@pytest.mark.mlflow
def test_a_spec_with_knobs_runs_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_sweep(spec()) as (sweep, recipe):
        run(sweep, recipe)
        seen = sweep.store.observations()
        outcome = finish(sweep, trained=10)
    page = Path("runs/joint/report.html").read_text()
    assert set(outcome.settings) == {"noise", "points"}
    assert outcome.summary()["settings"] == outcome.settings
    assert "The settings" in page
    assert "Trade-offs" not in page
    assert len(seen) == 10
    assert all(o.ok and 0.001 <= o.spec.config["noise"] <= 0.01 for o in seen)
    assert {len(o.curve) for o in seen} == {2, 3}
    with new_sweep(spec()) as (sweep, recipe):
        assert recipe.next(sweep.problem, sweep.store.observations(), []) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": {"use": "auto"}}, "'auto' searches mixtures alone; use 'joint'"),
        ({"knobs": {"rate": {"low": 1, "high": 2}}}, "'rate' is also set in trainer.config"),
        ({"knobs": {"lr": {"low": 2.0, "high": 1.0}}}, "give low < high"),
        ({"knobs": {"lr": {"low": 2.0}}}, "give either 'low' and 'high', or 'options'"),
        ({"knobs": {"lr": {"options": ["a"]}}}, "give two or more"),
        ({"knobs": {"raet": {"low": 2.0, "high": 3.0}}}, "knobs: .*did you mean 'rate'"),
        (
            {"objective": {"minimize": "loss/web", "kl": 0.1}},
            "takes guards against the natural mixture only",
        ),
    ],
)
def test_knobs_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message), new_sweep(spec(**changes)):
        pass
