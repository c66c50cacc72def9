"""What follows when a pack did not end by itself."""

from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.execution.packs import CAUSES, Pack, Retries
from mixopt.testing.executor_contract import fake_spec

RUNS = [fake_spec(seed) for seed in range(16)]


@settings(deadline=None)
@given(
    poison=st.sets(st.integers(0, 15)),
    size=st.integers(1, 16),
    cause=st.sampled_from([c for c in CAUSES if c != "lost"]),
    allowed=st.integers(1, 4),
)
def test_every_run_comes_once_and_only_the_poison_is_given_up(
    poison: set[int], size: int, cause: str, allowed: int
) -> None:
    retries = Retries(**{cause: allowed})
    queue, finished, given_up = deque([Pack.of(RUNS[:size])]), Counter(), Counter()
    attempts = 0
    while queue:
        attempts += 1
        pack = queue.popleft()
        if not poison.intersection(spec.seed for spec in pack.specs):
            finished.update(spec.seed for spec in pack.specs)
            continue
        parts = pack.after(cause, retries)
        queue.extend(parts)
        if not parts:
            given_up.update(o.spec.seed for o in pack.given_up(cause, "it fell over"))
    bad = poison & set(range(size))
    assert given_up == Counter(bad)
    assert finished == Counter(set(range(size)) - bad)
    assert attempts <= 2 * size + len(bad) * allowed


def test_a_run_alone_has_as_many_retries_as_allowed() -> None:
    one = Pack.of(RUNS[:1])
    for _ in range(2):
        (one,) = one.after("crash", Retries(crash=2))
    assert one.after("crash", Retries(crash=2)) == []
    (failed,) = one.given_up("crash", "signal 9")
    assert failed.error == "the worker died in each of 3 attempts; the last time: signal 9"
    assert failed.info == {"cause": "crash", "attempts": 3}


def test_a_lost_machine_is_not_the_runs_fault() -> None:
    pack = Pack.of(RUNS[:8])
    for _ in range(20):
        (pack,) = pack.after("lost", Retries())
        assert len(pack.specs) == 8
    assert len(pack.after("crash", Retries(crash=1))) == 2  # counted apart
    assert pack.after("lost", Retries()) == []
    reason = pack.given_up("crash", "signal 9")[0].error
    assert "the worker died (1 times), the machine went away (20 times) in each of 21" in reason


def test_without_retries_nothing_is_started_again() -> None:
    assert Pack.of(RUNS[:4]).after("timeout", Retries(timeout=0)) == []
    assert Pack.of(RUNS[:4]).after("crash", Retries.of(0)) == []
    assert Pack.of(RUNS[:4]).after("lost", Retries.of(0)) != []


def test_retries_are_a_number_or_by_cause() -> None:
    assert Retries.of(5) == Retries(crash=5, memory=5)
    assert Retries.of({"lost": 3}) == Retries(lost=3)
    with pytest.raises(InputError, match="unknown cause 'preempted'; known: crash, lost, memory"):
        Retries.of({"preempted": 3})
    with pytest.raises(InputError, match="timeout is -1"):
        Retries.of({"timeout": -1})
