"""Two phases as points: constraints of each, epoch caps of the mean, what was really drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import (
    Domain,
    Group,
    Mixture,
    MixtureSpace,
    Observation,
    Order,
    RunSpec,
    Scale,
    Schedule,
    Tie,
)
from mixopt.runs import Realised
from mixopt.space.simplex import Array
from mixopt.strategies.phase_space import PhaseSpace, Plans, has_two_phases, seen_plans
from mixopt.testing.strategies import generators, spaces

SWITCHES = (0.25, 0.5, 0.9)
CAPPED = MixtureSpace(
    [Domain("a", 1e9), Domain("b", 1e8), Domain("c", 5e8), Domain("d", 5e8)],
    {"c": (0.1, 0.8)},
    groups=[Group("cd", ("c", "d"), 0.2, 0.9)],
    ties=[],
    budget=1e9,
    epochs=2.0,
)


def drawn(rng: np.random.Generator, m: int, n: int = 6) -> Plans:
    first, last = (rng.dirichlet(np.full(m, 0.4), size=n) for _ in range(2))
    return Plans(first, last, rng.choice(SWITCHES, size=n))


@settings(max_examples=25, deadline=None)
@given(spaces(most=4), generators())
def test_what_is_moved_into_the_constraints_is_there(
    space: MixtureSpace, rng: np.random.Generator
) -> None:
    phases = PhaseSpace(space, SWITCHES)
    plans, without = drawn(rng, space.dim), space.replace(budget=None)
    for nearest in (True, False):
        moved = phases.within(plans, nearest=nearest)
        assert without.contains(moved.first, 1e-6).all()
        assert without.contains(moved.last, 1e-6).all()
        assert space.contains(moved.mean, 1e-6).all()


def test_epoch_caps_hold_for_the_mean_and_not_for_a_phase() -> None:
    """b may have .2 of a run; a phase that is all b is fine where it is short enough."""
    phases = PhaseSpace(CAPPED.replace(groups=[], bounds={}), SWITCHES)
    b, a = np.eye(4)[[1]], np.eye(4)[[0]]
    short = Plans(a, b, np.array([0.9]))
    assert phases.contains(short)[0]
    np.testing.assert_allclose(phases.within(short).last, b)
    long = phases.within(Plans(a, b, np.array([0.5])))
    assert long.mean[0, 1] == pytest.approx(0.2, abs=1e-6)
    assert long.last[0, 1] == pytest.approx(0.4, abs=1e-6)
    assert long.switch[0] == 0.5


def test_ties_and_groups_hold_in_each_phase_also_under_caps() -> None:
    space = CAPPED.replace(ties=(Tie("ad", {"a": 0.5, "d": 0.5}),))
    moved = PhaseSpace(space, SWITCHES).within(drawn(np.random.default_rng(3), 4, 20))
    for W in (moved.first, moved.last):
        np.testing.assert_allclose(W[:, 0], W[:, 3], atol=1e-6)
        assert (W[:, 2:].sum(axis=1) <= 0.9 + 1e-6).all()
    assert (moved.mean <= space.upper + 1e-6).all()


def test_an_order_holds_in_each_phase_for_the_sizes_of_the_whole() -> None:
    space = CAPPED.replace(ties=(Order("ad", ("d", "a")),))  # a has twice the tokens of d
    moved = PhaseSpace(space, SWITCHES).within(drawn(np.random.default_rng(3), 4, 20))
    for W in (moved.first, moved.last):
        assert (2.0 * W[:, 3] >= W[:, 0] - 1e-6).all()


@settings(max_examples=15, deadline=None)
@given(generators(), st.integers(1, 40))
def test_what_the_search_draws_is_allowed_and_on_the_grid_of_switches(
    rng: np.random.Generator, n: int
) -> None:
    phases = PhaseSpace(CAPPED, SWITCHES)
    wide = phases.spread(n, rng, around=CAPPED.natural.array[None])
    near = phases.near(wide, n, rng)
    for plans in (wide, near):
        assert phases.contains(plans).all()
        assert set(plans.switch) <= set(SWITCHES)
    assert len(near) == n
    assert (~wide.changes).sum() >= n // 3


def test_one_run_is_one_point_wherever_it_would_switch() -> None:
    W = np.array([[0.2, 0.3, 0.5]])
    points = [Plans(W, W, np.array([s])).points for s in (0.1, 0.7, 1.0)]
    np.testing.assert_allclose(points, np.tile(np.hstack([W, W, W]) / 3.0, (3, 1, 1)))


def test_plans_and_runs_are_the_same_thing() -> None:
    space = MixtureSpace(["a", "b"])
    schedule = Schedule(((600, space.mixture([0.9, 0.1])), (1000, space.mixture([0.25, 0.75]))))
    still = ((1000, space.mixture([0.5, 0.5])),)
    plans = Plans.of([schedule.phases, still], space.names)
    assert plans.changes.tolist() == [True, False]
    assert plans.plan(0, space, 1000) == schedule
    assert plans.plan(1, space, 1000) == space.mixture([0.5, 0.5])
    assert plans.plan(0, space, 10).phases[0][0] == 6  # type: ignore[union-attr]
    np.testing.assert_allclose(plans.mean[0], schedule.mean.array)
    np.testing.assert_allclose(plans.early[0], [0.54 / 0.64, 0.06 / 0.36])


def test_what_was_drawn_counts_where_it_is_not_what_was_asked_for() -> None:
    space, scale = MixtureSpace(["a", "b"]), Scale(10, 1000)
    a, b = space.mixture([1.0, 0.0]), space.mixture([0.0, 1.0])
    spec = RunSpec.scheduled(Schedule(((500, a), (1000, b))), scale)
    half: Array = np.array([[0.5, 0.5]])
    seen = Observation(spec, metrics={"loss": 1.0})
    np.testing.assert_array_equal(seen_plans([seen], half, space.names).last, [[0.0, 1.0]])
    ran_out = Realised(((500, {"a": 500}), (1000, {"a": 200, "b": 300})), 10)
    seen = Observation(spec, metrics={"loss": 1.0}, realised=ran_out)
    plans = seen_plans([seen], np.array([[0.7, 0.3]]), space.names)
    np.testing.assert_allclose(plans.last, [[0.4, 0.6]])


def test_three_phases_are_no_plan() -> None:
    a, b = Mixture.of({"a": 1.0, "b": 0.0}), Mixture.of({"a": 0.0, "b": 1.0})
    three = Schedule(((3, a), (6, b), (9, a)))
    assert not has_two_phases(RunSpec.scheduled(three, Scale(1, 9)))
    assert has_two_phases(RunSpec.scheduled(three.until(6), Scale(1, 6)))
