"""What a loop keeps of its runs says the same as the plain lists, whatever the order of events."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.runs import Kind
from mixopt.runs.kinds import DESIGN, REPEAT
from mixopt.strategies import Problem, strategy
from mixopt.strategies.known import Known, known_ids
from mixopt.strategies.ledger import Ledger

SPACE = MixtureSpace(["web", "code", "math"])
SMALL, LARGE = Scale(1000, 1000), Scale(1000, 4000)
PROBLEM = Problem(SPACE, Objective.of(["a", "b"]), (SMALL, LARGE), seed=3)
KINDS = (DESIGN, REPEAT, Kind.confirmation("natural"))


def run(number: int) -> RunSpec:
    w = np.random.default_rng(number // 2).dirichlet(np.ones(3))
    scale = (SMALL, LARGE)[number % 2]
    return PROBLEM.run(SPACE.mixture(w), KINDS[number % 3], scale=scale, seed=number)


def result(spec: RunSpec) -> Observation:
    if spec.seed % 5 == 0:
        return Observation.failure(spec, "the worker died")
    return Observation.of(spec, {"a": 1.0, "b": 2.0} if spec.seed % 7 else {"a": 1.0})


@given(st.lists(st.integers(0, 30), unique=True, max_size=20), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_ledger_of_what_is_kept_is_that_of_plain_lists(asked: list[int], order: object) -> None:
    known, seen, pending = Known(PROBLEM), list[Observation](), list[RunSpec]()
    finished = set(asked[:: 1 + len(asked) % 3])
    for number in asked:
        pending.append(run(number))
        known.ask(run(number))
        known.ask(run(number))  # a second time is none
        if number in finished:
            spec = pending.pop()
            seen.append(result(spec))
            known.see(result(spec))
    assert list(known.pending) == pending
    assert len(known.observations) == len(seen)
    assert [o.run_id for o in known.observations] == [o.run_id for o in seen]
    kept = Ledger.of(PROBLEM, known.observations, known.pending)
    plain = Ledger.of(PROBLEM, seen, pending)
    assert kept == plain
    assert kept.index is known.index
    for scale in (SMALL, LARGE):
        assert kept.count(scale) == plain.count(scale)
        for most in (2, 50):
            ours, theirs = (
                ledger.design(12, DESIGN, scale=scale, most=most) for ledger in (kept, plain)
            )
            assert [s.run_id for s in ours] == [s.run_id for s in theirs]
    ids = known_ids(known.observations, known.pending)
    assert all((run(n).run_id in ids) == (n in asked) for n in range(31))


def test_a_part_of_the_runs_is_not_taken_for_all_of_them() -> None:
    known = Known(PROBLEM)
    design = Ledger.of(PROBLEM, []).design(6, DESIGN)
    for spec in design:
        known.ask(spec)
        known.see(result(spec))
    part = Ledger.of(PROBLEM, known.observations[:2], known.pending)
    assert part.count(SMALL) == 2
    assert [s.run_id for s in part.design(6, DESIGN)] == [s.run_id for s in design[2:]]
    other = Problem(SPACE, Objective.of("b"), (SMALL, LARGE), seed=3)
    assert Ledger.of(other, known.observations, known.pending).index is None


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("random", {"runs": 40, "batch": 3}),
        ("regmix", {"runs": 40}),
        ("auto", {"design": 40, "proposals": 0, "corrections": 0, "confirm_seeds": 0}),
        ("climb", {"rounds": [40]}),
        ("baselines", {}),
    ],
)
def test_recipes_without_a_fit_ask_for_the_same_runs(name: str, given: dict[str, object]) -> None:
    recipe = strategy(name, **given)
    known, seen, pending = Known(PROBLEM), list[Observation](), list[RunSpec]()
    for _ in range(20):
        ours = recipe.next(PROBLEM, known.observations, known.pending)
        assert [s.run_id for s in ours] == [s.run_id for s in recipe.next(PROBLEM, seen, pending)]
        for spec in ours:
            known.ask(spec)
            pending.append(spec)
        for spec in pending[: len(pending) // 2 or 1]:
            known.see(result(spec))
            seen.append(result(spec))
            pending.remove(spec)
    assert seen
    assert len({o.run_id for o in seen}) == len(seen)


def test_sequences_that_are_kept_behave_like_lists() -> None:
    known = Known(PROBLEM)
    for number in range(4):
        known.ask(run(number))
    known.see(result(run(1)))
    pending: Sequence[RunSpec] = known.pending
    assert [s.seed for s in pending] == [0, 2, 3]
    assert pending[-1].seed == 3
    assert pending[0].seed == 0
    assert [s.seed for s in pending[1:]] == [2, 3]
    assert run(2) in pending
    assert run(1) not in pending
    assert known.observations[0] == known.observations[-1]
