"""Points on the way of longer runs as data, once each."""

from dataclasses import replace

import numpy as np

from mixopt import Observation, RunSpec, Scale, Schedule
from mixopt.runs import Point
from mixopt.runs.kinds import BRANCH, DESIGN
from mixopt.strategies import Problem
from mixopt.strategies.ladder import LadderSearch, fit_scales
from mixopt.strategies.ledger import Ledger
from mixopt.testing.worlds import World, make_world

SHORT, LONG = Scale(10**6, 10**7), Scale(10**6, 4 * 10**7)
WORLD = replace(make_world(5, 2), scales=(SHORT, LONG), slopes={SHORT: 0.7})
PROBLEM = Problem(WORLD.space, WORLD.objective, WORLD.scales)


def runs(n: int, scale: Scale, seed: int) -> list[Observation]:
    W = WORLD.space.round(WORLD.space.sample(n, np.random.default_rng(seed)))
    specs = [PROBLEM.run(WORLD.space.mixture(w), DESIGN, scale=scale) for w in W]
    return [with_curve(WORLD, WORLD.run(spec)) for spec in specs]


def with_curve(world: World, seen: Observation) -> Observation:
    at = world.truth(seen.spec.mixture.array, SHORT)[0]
    point = Point(SHORT.tokens, dict(zip(world.metrics, at.tolist(), strict=True)))
    return replace(seen, curve=(point,) if seen.spec.scale == LONG else ())


def test_runs_that_failed_later_teach_what_they_showed_before() -> None:
    short, long = runs(6, SHORT, 0), runs(20, LONG, 1)
    failed = [Observation.failure(o.spec, "killed", curve=o.curve) for o in long]
    ledger = Ledger.of(PROBLEM, [*short, *failed])
    X = WORLD.space.sample(200, np.random.default_rng(2))
    truth = WORLD.value(X)
    rhos = [
        float(np.corrcoef(fit_scales(ledger, partial=partial).value(X), truth)[0, 1])
        for partial in (False, True)
    ]
    assert rhos[1] > max(rhos[0], 0.95)
    assert LadderSearch(partial=True).surrogate(ledger).value(X).shape == (200,)


def test_a_run_that_has_its_own_result_at_a_scale_counts_once() -> None:
    short = runs(4, SHORT, 0)
    specs = [PROBLEM.run(o.spec.mixture, BRANCH, scale=LONG) for o in short[:2]]
    long = [with_curve(WORLD, WORLD.run(s)) for s in specs] + runs(3, LONG, 1)
    ledger = Ledger.of(PROBLEM, [*short, *long])
    partial = ledger.partial(SHORT)
    assert {o.spec.mixture for o in partial} == {o.spec.mixture for o in long[2:]}
    assert all(o.spec.scale == SHORT and o.ok for o in partial)
    assert ledger.partial(LONG) == []


def test_points_at_other_tokens_or_sizes_are_no_runs_of_a_scale() -> None:
    (long,) = runs(1, LONG, 1)
    other = replace(long, curve=(replace(long.curve[0], tokens=SHORT.tokens + 1),))
    assert Ledger.of(PROBLEM, [other]).partial(SHORT) == []
    wider = Scale(2 * SHORT.params, SHORT.tokens)
    assert Ledger.of(PROBLEM, [long]).partial(wider) == []


def test_a_point_of_a_run_by_a_schedule_is_one_of_its_beginning() -> None:
    first, later = (
        WORLD.space.mixture(w)
        for w in WORLD.space.round(WORLD.space.sample(2, np.random.default_rng(5)))
    )
    switched = Schedule(((SHORT.tokens, first), (LONG.tokens, later)))
    within = Schedule(((SHORT.tokens // 2, first), (LONG.tokens, later)))
    point = Point(SHORT.tokens, dict.fromkeys(WORLD.metrics, 2.0))
    seen = [
        Observation.of(RunSpec.scheduled(s, LONG), {}, curve=(point,)) for s in (switched, within)
    ]
    partial = Ledger.of(PROBLEM, seen).partial(SHORT)
    plain = RunSpec(first, SHORT)
    assert {o.run_id for o in partial} == {plain.run_id, seen[1].spec.until(SHORT.tokens).run_id}
    own = Observation.of(plain, dict.fromkeys(WORLD.metrics, 3.0))
    (left,) = Ledger.of(PROBLEM, [*seen, own]).partial(SHORT)
    assert left.spec.schedule is not None


def test_a_run_by_a_schedule_leaves_its_mean_to_be_asked_for() -> None:
    first, later = (
        WORLD.space.mixture(w)
        for w in WORLD.space.round(WORLD.space.sample(2, np.random.default_rng(5)))
    )
    schedule = Schedule(((SHORT.tokens // 2, first), (SHORT.tokens, later)))
    problem = replace(PROBLEM, pool={SHORT: (schedule.mean,)})
    runs = [RunSpec.scheduled(schedule, SHORT), RunSpec(schedule.mean, SHORT)]
    left = [
        Ledger.of(problem, [Observation.of(run, {})]).candidates(SHORT, lambda: WORLD.optimum)
        for run in runs
    ]
    np.testing.assert_array_equal(left[0], [schedule.mean.weights])
    assert len(left[1]) == 0
