"""Warm start: an earlier study helps where it agrees, and is let go where it does not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mixopt import Domain, InputError, MixtureSpace, Objective, Observation
from mixopt.evidence.outcome import sweep_outcome
from mixopt.runs.kinds import DESIGN
from mixopt.runs.run_table import RunTable
from mixopt.strategies import Problem
from mixopt.strategies.auto import Auto
from mixopt.strategies.ladder import LadderSearch
from mixopt.strategies.warm import LEAST, earlier_runs
from mixopt.testing.worlds import SMALL, World, make_world


def study_of(world: World, n: int = 40, seed: int = 5) -> RunTable:
    """Random runs at the world's small scale, as another study would have left them."""
    question = Problem(world.space, world.objective, (SMALL,), seed=seed)
    specs = [question.run(world.space.mixture(w), DESIGN) for w in _random(world, n, seed)]
    return RunTable.from_observations([world.run(s) for s in specs], world.space.names)


def _random(world: World, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return world.space.round(world.space.sample(n, rng))


def regret(world: World, *, earlier: bool, runs: int, seed: int) -> float:
    """Of the answer after few runs at the target, in spreads."""
    question = Problem(world.space, world.objective, (world.target,), seed=seed)
    if earlier:
        tables = earlier_runs(study_of(world), world.space, world.objective)
        question = replace(question, earlier=tables)
    recipe, done = LadderSearch(design=4, runs=runs, batch=1), []
    while specs := recipe.next(question, done, []):
        done += [world.run(s) for s in specs]
    answer = recipe.recommend(question, done)
    return float(world.value(answer.array[None])[0] - world.best) / world.spread


def test_an_earlier_study_that_agrees_saves_runs() -> None:
    worlds = [make_world(6, 3, seed=s, kind="two-scales") for s in (0, 1, 2)]
    warm = [regret(world, earlier=True, runs=4, seed=s) for s, world in enumerate(worlds)]
    cold = [regret(world, earlier=False, runs=4, seed=s) for s, world in enumerate(worlds)]
    assert np.mean(warm) < 0.3 * np.mean(cold)


@pytest.mark.slow
def test_an_earlier_study_that_misleads_is_let_go() -> None:
    found = [
        regret(make_world(5, 3, seed=s, kind="misleading"), earlier=True, runs=20, seed=s)
        for s in (0, 1, 2)
    ]
    assert np.mean(found) < 0.1


def test_the_same_store_and_earlier_runs_give_the_same_proposals() -> None:
    world = make_world(4, 2, kind="two-scales", noise=0.1)
    tables = earlier_runs(study_of(world), world.space, world.objective)
    question = Problem(world.space, world.objective, (world.target,), earlier=tables)
    done = [world.run(s) for s in Auto(design=6).next(question, [], [])]
    first = Auto(design=6).next(question, done, [])
    assert first
    assert Auto(design=6).next(question, done[::-1], []) == first
    cold = Auto(design=6).next(replace(question, earlier=()), done, [])
    assert first != cold


def test_runs_survive_a_domain_that_was_added_and_those_of_a_gone_one_are_left_out() -> None:
    world = make_world(4, 2, kind="two-scales")
    runs, names = study_of(world, n=30), world.space.names
    wider = MixtureSpace([*names, "new"])
    (table,) = earlier_runs(runs, wider, world.objective)
    assert table.domains == wider.names
    np.testing.assert_allclose(table.W[:, :4], runs.W, atol=1e-9)
    assert (table.W[:, 4] == 0).all()
    with pytest.raises(InputError, match="which was removed"):
        earlier_runs(runs, MixtureSpace(names[:3]), world.objective)


def test_scales_of_a_study_are_tables_of_their_own_smallest_first() -> None:
    world = make_world(4, 2, kind="two-scales")
    frame = study_of(world, n=12).frame
    larger = frame.assign(params=10**7)
    few = frame.head(LEAST - 1).assign(params=10**8)
    runs = RunTable.from_frame(pd.concat([larger, few, frame]))
    tables = earlier_runs(runs, world.space, world.objective)
    assert [len(t) for t in tables] == [12, 12]


@pytest.mark.parametrize(
    ("objective", "message"),
    [("lossy", "no metric 'lossy', which the objective needs; it has loss-0, loss-1")],
)
def test_a_study_without_the_metric_is_refused(objective: str, message: str) -> None:
    world = make_world(4, 2, kind="two-scales")
    with pytest.raises(InputError, match=message):
        earlier_runs(study_of(world), world.space, Objective.of(objective))


def test_a_problem_refuses_earlier_runs_over_other_domains() -> None:
    world = make_world(4, 2, kind="two-scales")
    tables = earlier_runs(study_of(world), world.space, world.objective)
    other = MixtureSpace([Domain("a"), Domain("b")])
    with pytest.raises(InputError, match="express them in its domains first"):
        Problem(other, world.objective, (SMALL,), earlier=tables)


def test_a_metric_that_the_earlier_study_lacks_does_not_keep_the_answer() -> None:
    """As where a domain has come in, with a validation set of its own."""
    world = make_world(4, 2, kind="two-scales", noise=0.1)
    first = replace(world.objective, weights={"loss-0": 1.0})
    old = study_of(world).only(["loss-0"])
    question = Problem(world.space, first, (world.target,))
    question = replace(question, earlier=earlier_runs(old, world.space, first))
    recipe, done = Auto(design=6, proposals=2, batch=2, law="gp", confirm_seeds=0), []
    while specs := recipe.next(question, done, []):
        done += [world.run(s) for s in specs]
    answer = recipe.answer(question, done, every_metric=True)
    outcome = sweep_outcome(question, done, answer)
    assert outcome.surrogate.metrics == ("loss-0",)
    assert outcome.notes[-1].startswith("Not predicted: loss-1;")
    both = earlier_runs(study_of(world), world.space, first)
    assert both[0].metrics == ("loss-0", "loss-1"), "what was measured comes along"
    known = replace(question, earlier=both)
    answer = Auto(design=6, proposals=2, law="gp", confirm_seeds=0).answer(
        known, done, every_metric=True
    )
    assert answer.surrogate is not None
    assert answer.surrogate.metrics == ("loss-0", "loss-1")


def test_a_domain_that_came_in_since_is_learned_from_few_runs() -> None:
    """The earlier study never varied it, which says nothing of how much it matters."""
    names, rng = ["a", "b", "c", "d", "e", "new"], np.random.default_rng(0)
    wider, objective = MixtureSpace(names), Objective.of("loss")

    def loss(W: np.ndarray) -> np.ndarray:
        noise = 0.02 * rng.normal(size=len(W))
        return np.asarray(3.0 - np.sqrt(W[:, 5]) - np.sqrt(W[:, 0]) + noise)

    before = np.hstack([rng.dirichlet(np.ones(5), 30), np.zeros((30, 1))])
    frame = pd.DataFrame(before, columns=[f"w/{name}" for name in names])
    earlier = RunTable.from_frame(frame.assign(**{"m/loss": loss(before)}))
    question = Problem(wider, objective, (SMALL,), earlier=(earlier,))
    W = wider.round(np.vstack([wider.uniform.array, rng.dirichlet(np.full(6, 0.7), 6)]))
    specs = [question.run(wider.mixture(w), DESIGN) for w in W]
    seen = [Observation.of(s, {"loss": float(y)}) for s, y in zip(specs, loss(W), strict=True)]
    answer = LadderSearch(design=4, runs=7).recommend(question, seen)
    assert loss(answer.array[None])[0] < 1.75, "best is 1.59; with the new domain ignored 2.1"
