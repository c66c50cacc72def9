"""Growing a Pareto front: exact boxes, the closed form, what is pending, and better than random."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from mixopt import InputError, MixtureSpace, Objective
from mixopt.proposers.hypervolume import (
    choose_front,
    expected_improvement,
    matrix_of,
    open_boxes,
    propose_front,
)
from mixopt.proposers.pareto import (
    hypervolume,
    non_dominated,
    pareto_front,
    sparsest,
    spread_out,
)
from mixopt.runs.kinds import DESIGN
from mixopt.runs.objective import Guard
from mixopt.space.simplex import Array
from mixopt.strategies import Problem, strategy
from mixopt.strategies.ladder import fit_scales
from mixopt.strategies.ledger import Ledger
from mixopt.strategies.pareto import Pareto
from mixopt.testing.strategies import generators
from mixopt.testing.worlds import LARGE, World, make_world


def added(y: Array, front: Array, reference: Array) -> float:
    """Volume that one point adds, by the boxes."""
    lower, upper = open_boxes(front, reference)
    return float(np.maximum(upper - np.maximum(lower, y), 0.0).prod(axis=1).sum())


@given(rng=generators(), d=st.integers(2, 4), n=st.integers(0, 8))
def test_boxes_add_what_the_hypervolume_grows_by(rng: np.random.Generator, d: int, n: int) -> None:
    front, y, reference = rng.random((n, d)) * 1.2, rng.random(d), np.ones(d)
    grown = hypervolume(np.vstack([front, y]), reference) - hypervolume(front, reference)
    assert added(y, front, reference) == pytest.approx(grown, abs=1e-12)


@given(rng=generators())
def test_boxes_are_the_same_whatever_the_order_of_objectives(rng: np.random.Generator) -> None:
    front, y, reference = rng.random((6, 3)), rng.random(3), np.ones(3)
    turned = rng.permutation(3)
    same = added(y[turned], front[:, turned], reference[turned])
    assert same == pytest.approx(added(y, front, reference), abs=1e-12)


def test_a_point_at_the_origin_adds_what_two_points_leave() -> None:
    front = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert added(np.zeros(2), front, np.array([3.0, 3.0])) == pytest.approx(9.0 - 3.0)


def test_the_mean_over_samples_is_the_closed_form_of_independent_normals() -> None:
    # One front point at (0, 0), reference (1, 1): beyond it, y adds a strip on each side.
    rng, mean, sd = np.random.default_rng(0), np.array([-0.3, 0.4]), np.array([0.5, 0.7])
    at = mean + sd * rng.standard_normal((40_000, 1, 2))
    seen = np.zeros((len(at), 1, 2))
    found = np.exp(expected_improvement(at, seen, np.ones(2), np.ones(2)))[0]

    def gain(top: float, j: int) -> float:
        z = (top - mean[j]) / sd[j]
        return float(sd[j] * (norm.pdf(z) + z * norm.cdf(z)))

    # E[(1-y1)+ (1-y2)+] less what lies in the quadrant that the front dominates.
    inside = (gain(1, 0) - gain(0, 0)) * (gain(1, 1) - gain(0, 1))
    exact = gain(1, 0) * gain(1, 1) - inside
    assert found == pytest.approx(exact, rel=0.02)


def test_hopeless_candidates_still_have_an_order() -> None:
    at = np.array([[[5.0, 5.0], [2.0, 2.0], [9.0, 1.5]]])
    score = expected_improvement(at, np.zeros((1, 1, 2)), np.ones(2), np.ones(2))
    assert score.argsort()[::-1].tolist() == [1, 0, 2]


def question(seed: int = 0, metrics: int = 2) -> tuple[World, Problem]:
    world = make_world(5, metrics, seed=seed)
    return world, Problem(world.space, world.objective, (LARGE,), seed=seed)


def design(n: int = 10, metrics: int = 2) -> tuple[World, Ledger]:
    world, problem = question(metrics=metrics)
    done = [world.run(s) for s in Pareto(design=n, runs=n).next(problem, [], [])]
    return world, Ledger.of(problem, done)


@pytest.mark.parametrize("metrics", [2, 3, 5], ids=["two", "three", "scalarised"])
def test_batches_are_new_allowed_and_apart(metrics: int) -> None:
    world, ledger = design(metrics=metrics)
    goals = Pareto().goals(ledger.problem)
    runs, rng = ledger.weights(LARGE), np.random.default_rng(0)
    space = MixtureSpace(world.space.names, bounds={"d0": (0.1, 0.5)})
    W = propose_front(fit_scales(ledger), goals, space, 4, runs=runs, rng=rng)
    assert space.contains(W, 1e-7).all()
    distances = np.linalg.norm(np.sqrt(W)[:, None] - np.sqrt(W), axis=2) / np.sqrt(2)
    assert (distances[np.triu_indices(4, 1)] >= 0.02).all()


def test_a_pending_run_makes_its_neighbourhood_worth_less() -> None:
    world, ledger = design()
    surrogate, goals = fit_scales(ledger), Pareto().goals(ledger.problem)
    X = world.space.round(world.space.sample(200, np.random.default_rng(3)))
    runs = ledger.weights(LARGE)

    def first(pending: Array | None) -> int:
        rng = np.random.default_rng(0)
        return choose_front(surrogate, goals, X, 1, runs=runs, rng=rng, pending=pending)[0]

    alone = first(None)
    assert first(X[[alone]]) != alone


@pytest.mark.slow
def test_the_strategy_grows_the_front_faster_than_random_runs() -> None:
    grown: dict[str, list[float]] = {"pareto": [], "random": []}
    for seed in range(4):
        world, problem = question(seed)
        for name, volumes in grown.items():
            settings = {"design": 8, "runs": 20} if name == "pareto" else {"runs": 20}
            recipe, done = strategy(name, **settings), []
            while specs := recipe.next(problem, done, []):
                done += [world.run(s) for s in specs]
            F = world.truth(np.array([o.spec.mixture.array for o in done]))
            every = world.truth(world.space.sample(4000, np.random.default_rng(9)))
            reference = every[non_dominated(every)].max(axis=0)
            unit = np.ptp(every[non_dominated(every)], axis=0)
            volumes.append(hypervolume(F / unit, reference / unit))
    assert all(p > r for p, r in zip(grown["pareto"], grown["random"], strict=True))


@pytest.mark.slow
def test_the_front_of_the_strategy_holds_the_compromise_and_the_ends() -> None:
    world, problem = question(1)
    recipe, done = Pareto(design=10, runs=30), []
    while specs := recipe.next(problem, done, []):
        done += [world.run(s) for s in specs]
    front = recipe.front(problem, done)
    assert non_dominated(front.F).all()
    true = world.truth(front.W)
    wide = world.truth(world.space.sample(20_000, np.random.default_rng(0)))
    assert (true.min(axis=0) <= np.quantile(wide, 0.002, axis=0)).all()
    answer = recipe.recommend(problem, done)
    assert world.value(answer.array[None])[0] - world.best < 0.05 * world.spread


def limited(seed: int) -> tuple[World, Problem, float]:
    """Two losses to trade off, and a third that may not get worse than at the natural mixture."""
    world = make_world(5, 3, seed=seed)
    weights = {"loss-0": 1.0, "loss-1": 1.0}
    objective = Objective(weights, guards=(Guard("loss-2", tolerance=0.0),))
    problem = Problem(world.space, objective, (LARGE,), seed=seed)
    return world, problem, float(world.truth(world.space.natural.array[None])[0, 2])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_guards_hold_on_the_front_and_draw_the_rounds(seed: int) -> None:
    world, problem, limit = limited(seed)
    free = replace(problem, objective=replace(problem.objective, guards=()))
    over: dict[bool, Array] = {}
    for held in (True, False):
        recipe, done = Pareto(design=10, runs=30), []
        while specs := recipe.next(problem if held else free, done, []):
            done += [world.run(s) for s in specs]
        proposed = np.array([o.spec.mixture.array for o in done if o.spec.kind != DESIGN])
        over[held] = world.truth(proposed)[:, 2] > limit * 1.01
        if held:
            front = recipe.front(problem, done)
            answer = recipe.recommend(problem, done).array[None]
            # the law is not the truth: a hundredth
            assert (world.truth(np.vstack([front.W, answer]))[:, 2] <= limit * 1.01).all()
            assert len(front.W) >= 3
    assert over[True].mean() < 0.5 * over[False].mean()


def test_with_a_pool_the_front_is_of_it() -> None:
    world, problem = question(2)
    pool = tuple(world.space.mixture(w) for w in world.space.sample(60, np.random.default_rng(5)))
    problem = replace(problem, pool={LARGE: pool})
    recipe, done = Pareto(design=8, runs=20), []
    while specs := recipe.next(problem, done, []):
        done += [world.run(s) for s in specs]
    front = recipe.front(problem, done)
    assert {tuple(w) for w in front.W} <= {m.weights for m in pool}
    true = world.truth(np.array([m.weights for m in pool]))
    best = true[non_dominated(true)]
    for values in world.truth(front.W):  # each is on the pool's true front, but for the fit's error
        assert (best <= values - 0.05 * np.ptp(true, axis=0)).all(axis=1).sum() == 0


@pytest.mark.slow
def test_metrics_of_one_goal_count_in_their_units() -> None:
    world, problem = question(0, metrics=3)
    done = [world.run(s) for s in Pareto(design=12, runs=12).next(problem, [], [])]
    scaled = [replace(o, metrics={**o.metrics, "loss-1": 100 * o.metrics["loss-1"]}) for o in done]
    goals = {"first": "loss-0", "rest": ["loss-1", "loss-2"]}
    recipe = Pareto(objectives=goals, design=12, runs=16)
    standard = replace(problem, objective=replace(problem.objective, standardize=True))
    plain, other = (recipe.front(standard, runs) for runs in (done, scaled))
    assert pytest.approx(other.W, abs=1e-6) == plain.W
    assert pytest.approx(other.F, rel=1e-4) == plain.F


def test_metrics_to_maximise_are_turned_round() -> None:
    space = MixtureSpace(["a", "b"])
    objective = Objective.of({"loss": 1.0}, maximize={"score": 1.0})
    goals = Pareto().goals(Problem(space, objective, (LARGE,)))
    assert sorted(map(tuple, matrix_of(goals, ["loss", "score"]).tolist())) == [(0, -1), (1, 0)]


def test_the_second_stage_only_adds_to_the_front() -> None:
    world = make_world(6, 3, seed=2)
    fronts = [
        pareto_front(
            world.truth, world.space, rng=np.random.default_rng(0), weights=4, extend=extend,
            reference=np.full(3, 4.0),
        )
        for extend in (0, 6)
    ]  # fmt: skip
    assert fronts[1].hypervolume > fronts[0].hypervolume


def test_the_ends_of_a_front_are_its_sparsest_points() -> None:
    F = np.array([[0.0, 1.0], [0.1, 0.85], [0.2, 0.8], [1.0, 0.0], [0.9, 0.9]])
    assert set(sparsest(F, 2)) == {0, 3}
    assert sparsest(F, 3)[2] == 2


def test_points_that_are_shown_cover_the_front_evenly() -> None:
    x = np.concatenate([np.linspace(0.0, 0.1, 50), np.linspace(0.1, 1.0, 10)])
    F = np.column_stack([x, (1 - x) ** 2])
    shown = spread_out(F, 6)
    assert shown[0] == 0
    assert shown[-1] == len(F) - 1
    assert len(shown) == 6
    assert np.diff(F[shown, 0]).max() < 0.45
    assert spread_out(F[:3], 6) == [0, 1, 2]
    assert spread_out(np.ones((4, 2)), 3) == [0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objectives": {"only": "loss-0"}}, "1 objectives"),
        ({"objectives": {str(i): "loss-0" for i in range(9)}}, "takes 2 to 8"),
        ({"batch": 0}, "batch is 0"),
        ({"design": 2.5}, "design is 2.5"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        strategy("pareto", **settings)


def test_one_metric_is_no_trade_off() -> None:
    world = make_world(3, 1)
    with pytest.raises(InputError, match="name them with the setting 'objectives'"):
        Pareto().next(Problem(world.space, world.objective, (LARGE,)), [], [])


def test_an_objective_that_the_runs_do_not_have_is_named() -> None:
    world, problem = question()
    recipe = Pareto(objectives={"a": "loss-0", "b": "lossy"}, design=4)
    done = [world.run(s) for s in recipe.next(problem, [], [])]
    with pytest.raises(InputError, match="unknown metric 'lossy'"):
        recipe.next(problem, done, [])
