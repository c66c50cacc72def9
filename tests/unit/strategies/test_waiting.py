"""Without waiting: a batch is kept under way, and what is under way is not asked for again."""

import heapq
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mixopt import InputError
from mixopt.runs import Observation, RunSpec
from mixopt.runs.kinds import CORRECTION, PROPOSAL, REFERENCE
from mixopt.space import simplex
from mixopt.strategies import Problem, Strategy, strategy
from mixopt.strategies.ladder import believed, fit_scales
from mixopt.strategies.ledger import Ledger
from mixopt.testing.worlds import LARGE, SMALL, World, make_world

BATCH = 3


def problem_of(world: World, seed: int = 0) -> Problem:
    return Problem(world.space, world.objective, world.scales, seed=seed, costs={})


def drive(
    recipe: Strategy, world: World, problem: Problem
) -> tuple[list[Observation], list[tuple[RunSpec, list[RunSpec]]]]:
    """Run it on as many workers as it asks for; the runs, and what was under way at each asking."""
    rng, clock, count = np.random.default_rng(problem.seed), 0.0, 0
    heap: list[tuple[float, int, RunSpec]] = []
    done: list[Observation] = []
    asked: list[tuple[RunSpec, list[RunSpec]]] = []
    while True:
        under_way = [spec for _, _, spec in heap]
        specs = recipe.next(problem, done, under_way)
        assert [s.run_id for s in recipe.next(problem, done, under_way)] == [
            s.run_id for s in specs
        ]
        for spec in specs:
            asked.append((spec, under_way))
            heapq.heappush(heap, (clock + float(rng.lognormal(0, 1)), count, spec))
            count += 1
        if not heap:
            return done, asked
        clock, _, spec = heapq.heappop(heap)
        done.append(world.run(spec))


@pytest.mark.parametrize("kind", [pytest.param("plain", marks=pytest.mark.slow), "two-scales"])
@pytest.mark.parametrize("name", ["auto", "ladder"])
def test_a_batch_is_kept_under_way_and_never_more(name: str, kind: str) -> None:
    world = make_world(4, 2, seed=1, kind=kind, noise=0.05)
    settings = {"design": 8, "batch": BATCH, "wait": False}
    settings |= {"proposals": 9, "confirm_seeds": 1} if name == "auto" else {"runs": 20}
    recipe, problem = strategy(name, **settings), problem_of(world)
    done, asked = drive(recipe, world, problem)
    assert len({spec.run_id for spec, _ in asked}) == len(asked) == len(done)
    planned = recipe.planned(problem)
    assert sum(s.spec.scale == SMALL for s in done) <= max(20, planned.count(SMALL))
    search = [(s, w) for s, w in asked if s.kind in {PROPOSAL, CORRECTION, REFERENCE}]
    # It did not wait, and what was under way when a run was asked for left room for it.
    assert any(under_way for _, under_way in search)
    assert all(len(under_way) < BATCH for _, under_way in search)
    for spec, under_way in search:
        others = [s for s in under_way if s.scale == spec.scale]
        for other in others:
            apart = simplex.hellinger_distance(spec.mixture.array[None], other.mixture.array[None])
            assert apart[0, 0] > 1e-3
    confirmed = [under_way for s, under_way in asked if s.kind.confirms]
    assert (name == "auto") == bool(confirmed)
    assert not any(confirmed)  # what is confirmed has seen the whole search


@pytest.mark.parametrize("name", ["auto", "ladder"])
def test_who_waits_asks_for_nothing_meanwhile(name: str) -> None:
    world = make_world(4, 2, seed=1)
    settings = {"design": 6, "proposals": 6} if name == "auto" else {"design": 6, "runs": 12}
    recipe, problem = strategy(name, **settings), problem_of(world)
    first = recipe.next(problem, [], [])
    done = [world.run(s) for s in first[1:]]
    assert recipe.next(problem, done, first[:1]) == []
    assert strategy(name, **settings, wait=False).next(problem, done, first[:1]) != []


def test_what_is_under_way_at_any_scale_is_known_less_little() -> None:
    world = make_world(4, 2, seed=0, kind="two-scales", noise=0.05)
    problem = problem_of(world)
    design = strategy("ladder", design=10, runs=10).next(problem, [], [])
    done = [world.run(s) for s in design]
    W = world.space.sample(3, np.random.default_rng(0))
    for scale in (SMALL, LARGE):
        under_way = [problem.run(world.space.mixture(w), PROPOSAL, scale=scale) for w in W]
        ledger = Ledger.of(problem, done, under_way)
        before = fit_scales(ledger)
        after = fit_scales(believed(ledger, before))
        assert (after.moments(W)[1] < before.moments(W)[1]).all()
        assert after.moments(W)[0] == pytest.approx(before.moments(W)[0], abs=0.3 * world.spread)


def test_a_process_of_the_objective_alone_cannot_look_ahead_over_scales() -> None:
    world = make_world(4, 2, seed=0, kind="two-scales")
    problem = problem_of(world)
    recipe = strategy("ladder", wait=False, batch=2, composite=False, design=2)
    first: Sequence[RunSpec] = recipe.next(problem, [], [])
    done = [world.run(s) for s in first]
    pending = [replace(problem.run(world.space.uniform, PROPOSAL), seed=5)]
    with pytest.raises(InputError, match="needs a process per metric"):
        recipe.next(problem, done, pending)
