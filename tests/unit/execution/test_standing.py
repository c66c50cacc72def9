"""Counted as runs come in, a standing is that of all runs looked at anew."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.execution.standing import Standing
from mixopt.runs import Kind
from mixopt.runs.kinds import PROPOSAL
from mixopt.runs.objective import Guard, judged, objective_of
from mixopt.runs.reliability import resolved
from mixopt.runs.run_table import RunTable

SPACE = MixtureSpace(["web", "code"])
SCALES = (Scale(1000, 1000), Scale(1000, 4000), Scale(4000, 1000))
OBJECTIVES = (
    Objective.of(["a", "b"]),
    Objective.of({"a": 1.0}, maximize={"b": 3.0}),
    Objective({"a": 1.0, "b": 2.0}, standardize=True),
    Objective({"a": 1.0, "b": 2.0}, standardize=True, reduce="worst", maximize=frozenset({"a"})),
    Objective({"a": 1.0}, guards=(Guard("b"),)),
)


def best_of_all(runs: list[Observation], objective: Objective) -> tuple[float, str] | None:
    """From the definition: the lowest objective at the smallest scale that has a search run."""
    search = [o for o in runs if o.ok and o.spec.kind.in_search]
    if not search:
        return None
    units = resolved(objective, RunTable.from_observations(search, SPACE.names))
    smallest = min(o.spec.scale for o in search)
    here = [o for o in search if o.spec.scale == smallest]
    best = min(here, key=lambda o: objective_of(o.metrics, units))
    return objective_of(best.metrics, units), best.run_id


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.floats(-1e3, 1e3), st.floats(0, 10)),
        max_size=25,
    ),
    st.sampled_from(OBJECTIVES),
)
@settings(max_examples=80, deadline=None)
def test_a_standing_is_that_of_all_runs(
    events: list[tuple[int, int, float, float]], objective: Objective
) -> None:
    standing, runs = Standing(objective), list[Observation]()
    for seed, (at, what, a, b) in enumerate(events):
        kind = Kind.confirmation("natural") if what == 1 else PROPOSAL
        spec = RunSpec(SPACE.natural, SCALES[at], seed=seed, kind=kind)
        metrics = {"a": a} if what == 2 else {"b": b, "a": a, "unused": 1.0}
        seen = judged(Observation.of(spec, metrics, flops=float(seed)), objective)
        standing.add(seen)
        runs.append(seen)
        expected = best_of_all(runs, objective)
        if expected is None:
            assert standing.best is None
            continue
        best = standing.best
        assert best is not None
        np.testing.assert_allclose(best.value, expected[0], rtol=1e-7, atol=1e-9)
        # Equal to rounding, either may be called the best.
        rival = next(o for o in runs if o.run_id == best.run.run_id)
        units = resolved(
            objective,
            RunTable.from_observations(
                [o for o in runs if o.ok and o.spec.kind.in_search], SPACE.names
            ),
        )
        np.testing.assert_allclose(
            objective_of(rival.metrics, units), expected[0], rtol=1e-7, atol=1e-9
        )
    assert standing.done == len(runs)
    assert standing.failed == sum(not o.ok for o in runs)
    assert standing.flops == sum(o.flops for o in runs)
    assert standing.work == sum(o.spec.scale.flops for o in runs)


def test_the_best_changes_with_the_units_though_its_run_came_long_ago() -> None:
    objective = Objective({"a": 1.0, "b": 1.0}, standardize=True)
    standing = Standing(objective)
    values = [(0.0, 1.0), (1.0, 0.0), (0.5, 0.9)]
    for seed, (a, b) in enumerate(values):
        spec = RunSpec(SPACE.natural, SCALES[0], seed=seed, kind=PROPOSAL)
        standing.add(Observation.of(spec, {"a": a, "b": b}))
    assert standing.best is not None
    first = standing.best.run.spec.seed
    for seed in range(3, 40):  # a spreads: its unit grows, b decides
        spec = RunSpec(SPACE.natural, SCALES[0], seed=seed, kind=PROPOSAL)
        standing.add(Observation.of(spec, {"a": 30.0 + 10.0 * seed, "b": 0.95}))
    assert standing.best is not None
    assert standing.best.run.spec.seed == 1
    assert first != 3


def test_of_equal_runs_the_first_is_the_best() -> None:
    standing = Standing(Objective.of("a"))
    for seed in range(3):
        spec = RunSpec(SPACE.natural, SCALES[0], seed=seed, kind=PROPOSAL)
        standing.add(Observation.of(spec, {"a": 1.0}))
    assert standing.best is not None
    assert standing.best.run.spec.seed == 0
