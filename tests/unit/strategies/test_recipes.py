"""What single recipes promise: contrast, allowance, curves continued, an early end."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt import InputError, Observation, RunSpec
from mixopt.runs import Point, Scale
from mixopt.runs.kinds import DESIGN, PROPOSAL, REFERENCE, REPEAT, What
from mixopt.strategies import Problem, strategy
from mixopt.strategies.auto import Auto
from mixopt.strategies.ladder import LadderSearch
from mixopt.strategies.oneshot import continued
from mixopt.strategies.published import Published, admire
from mixopt.testing.worlds import LARGE, SMALL, World, make_world


def play(world: World, recipe: LadderSearch, steps: int) -> list[Observation]:
    question = Problem(world.space, world.objective, world.scales, costs=world.costs)
    done: list[Observation] = []
    for _ in range(steps):
        done += [world.run(s) for s in recipe.next(question, done, [])]
    return done


@pytest.mark.parametrize("batch", [1, 4])
def test_the_first_runs_at_the_target_hold_the_natural_mixture(batch: int) -> None:
    world = make_world(4, 2, kind="misleading", seed=3)
    done = play(world, LadderSearch(design=6, runs=20, batch=batch, proxies=10), 7)
    target = [o.spec for o in done if o.spec.scale == LARGE]
    assert target[1].kind == REFERENCE
    assert target[1].mixture == world.space.natural
    assert sum(s.kind == REFERENCE for s in target) == 1


def test_proxies_spend_no_more_than_their_allowance() -> None:
    world = make_world(4, 2, kind="two-scales", seed=3)
    recipe = LadderSearch(design=5, runs=40, batch=1, allowance=0.8, share=0.0)
    done = play(world, recipe, 10)
    assert sum(o.spec.scale == SMALL for o in done) <= 8
    assert any(o.spec.scale == LARGE for o in done)


def test_a_curve_is_continued_by_its_power_law() -> None:
    def loss(tokens: float) -> float:
        return 2.0 + 30.0 * tokens**-0.35

    scale = Scale(1000, 16_000)
    world = make_world(3, 2)
    spec = RunSpec(world.space.natural, scale)
    curve = tuple(Point(t, {"a": loss(t)}) for t in (2000, 4000, 8000))
    seen = Observation(spec, metrics={"a": loss(16_000)}, curve=curve)
    assert continued(seen, 256_000).metrics["a"] == pytest.approx(loss(256_000), rel=2e-3)
    assert continued(seen, 16_000) == seen
    assert continued(replace(seen, curve=curve[:1]), 256_000).metrics == seen.metrics


def test_auto_ends_early_once_nothing_is_to_be_gained() -> None:
    world = make_world(3, 2, noise=0.3)
    question = Problem(world.space, world.objective, (LARGE,))
    eager = Auto(design=12, proposals=6, law="gp", confirm_seeds=0, stop=1e9, reserve=0)
    done = [world.run(s) for s in eager.next(question, [], [])]
    assert eager.next(question, done, []) == []
    assert replace(eager, stop=0.0).next(question, done, [])
    with pytest.raises(InputError, match="stop is -1"):
        Auto(stop=-1)


def test_one_shot_swarms_are_drawn_once() -> None:
    world = make_world(4, 2)
    question = Problem(world.space, world.objective, (LARGE,))
    recipe = strategy("olmix", runs=9)
    whole = recipe.next(question, [], [])
    assert len(whole) == 9
    some = [world.run(s) for s in whole[:4]]
    rest = recipe.next(question, some, [])
    assert {s.run_id for s in rest} == {s.run_id for s in whole[4:]}
    assert np.unique([s.mixture.array for s in whole], axis=0).shape[0] == 9


def search(world: World, recipe: Auto) -> tuple[Problem, list[Observation]]:
    question = Problem(world.space, world.objective, world.scales)
    done: list[Observation] = []
    while specs := recipe.next(question, done, []):
        done += [world.run(s) for s in specs]
    return question, done


@pytest.mark.slow
def test_auto_corrects_proxies_that_mislead_with_runs_at_the_largest_scale() -> None:
    regrets: dict[int, list[float]] = {0: [], 8: []}
    for seed in (0, 1, 2):
        world = make_world(5, 2, seed=seed, kind="misleading")
        for corrections, found in regrets.items():
            recipe = Auto(design=12, proposals=4, confirm_seeds=0, corrections=corrections)
            question, done = search(world, recipe)
            assert sum(o.spec.scale == LARGE for o in done) == corrections
            assert len(done) <= len(recipe.planned(question))
            answer = recipe.recommend(question, done).array
            found.append(float(world.value(answer[None])[0] - world.best) / world.spread)
    assert np.mean(regrets[8]) < 0.25 * np.mean(regrets[0])


def test_auto_corrects_after_all_small_runs_and_confirms_after_all_corrections() -> None:
    world = make_world(4, 2, kind="two-scales", noise=0.05)
    recipe = Auto(design=8, proposals=4, confirm_seeds=1, corrections=3, singles=False)
    recipe = replace(recipe, reserve=0)
    _, done = search(world, recipe)
    order = [o.spec.kind.what for o in done]
    assert order.index(What.REFERENCE) > max(i for i, o in enumerate(done) if o.spec.scale == SMALL)
    assert set(order[-3:]) == {What.CONFIRMATION}
    assert What.CONFIRMATION not in order[: order.index(What.REFERENCE)]


def test_replicates_repeat_the_best_mixture_with_seeds_of_their_own() -> None:
    world = make_world(3, 2, noise=1.0)
    world = replace(world, scales=(LARGE,))
    recipe = Auto(design=10, proposals=8, batch=2, law="gp", confirm_seeds=2, replicate=1e9)
    recipe = replace(recipe, reserve=0)
    _, done = search(world, recipe)
    again = [o.spec for o in done if o.spec.kind == REPEAT]
    assert len(again) == 4
    first = {o.spec.mixture for o in done if o.spec.kind in {DESIGN, PROPOSAL}}
    assert all(s.mixture in first for s in again)
    others = {o.spec.seed for o in done if o.spec.kind != REPEAT}
    assert not {s.seed for s in again} & others
    assert len({s.run_id for s in again}) == 4


def test_a_published_recipe_answers_by_the_fit_that_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(3, 1)
    question = Problem(world.space, world.objective, (LARGE,))
    recipe = admire(design=3, iterations=5)
    done = [world.run(s) for s in recipe.next(question, [], [])]
    assert recipe.next(question, done, [])
    monkeypatch.setattr(Published, "_fit", None)  # it is not asked for again
    answer = recipe.answer(question, done)
    assert world.space.contains(answer.mixture.array[None])[0]
