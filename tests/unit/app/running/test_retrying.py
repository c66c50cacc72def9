"""Which failed runs are trained again: those asked for, and none that would fail again."""

import pytest

from mixopt import Mixture, Observation, RunSpec, Scale
from mixopt.app.running.retrying import choose, mark
from mixopt.errors import InputError
from mixopt.execution.local import MemoryStore

DISK = "OSError: [Errno 5] Input/output error: '/shared/{}'"
VALUES = {
    "version": 1,
    "name": "mine",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer"},
    "scales": [{"params": 1000, "tokens": "10k"}],
    "objective": {"minimize": "loss/web"},
}


def spec(seed: int) -> RunSpec:
    return RunSpec(Mixture.of({"web": 0.5, "code": 0.5}), Scale(10, 20), seed)


SEEN = [
    Observation(spec(0), metrics={"loss": 1.0}),
    Observation.failure(spec(1), DISK.format("a1")),
    Observation.failure(spec(2), DISK.format("b2")),
    Observation.failure(spec(3), "metric 'loss' is nan: the run diverged"),
    Observation.failure(spec(4), "MemoryError: the memory did not suffice"),
]


def test_all_but_those_that_diverged_which_are_counted() -> None:
    chosen = choose(SEEN)
    assert [o.spec.seed for o in chosen.runs] == [1, 2, 4]
    assert chosen.diverged == 1
    told = "\n".join(chosen.lines)
    assert "3 failed runs will be trained again" in told
    assert "2 runs: OSError" in told
    assert "1 run that diverged" in told
    assert choose(SEEN[:1]).lines == []


@pytest.mark.parametrize(
    ("cause", "seeds"), [("input/OUTPUT", [1, 2]), ("diverged", [3]), ("error", [1, 2, 4])]
)
def test_by_a_part_of_the_reason(cause: str, seeds: list[int]) -> None:
    chosen = choose(SEEN, cause)
    assert [o.spec.seed for o in chosen.runs] == seeds
    assert chosen.others == 4 - len(seeds)
    assert (f"{chosen.others} failed run" in "\n".join(chosen.lines)) is (chosen.others > 0)


def test_by_the_beginning_of_an_id() -> None:
    assert choose(SEEN, run=SEEN[3].run_id[:8]).runs == (SEEN[3],)
    for given, told in (("", "5 runs begin so"), ("zz", "has this id")):
        with pytest.raises(InputError, match=told):
            choose(SEEN, run=given)
    with pytest.raises(InputError, match=r"that run succeeded; what failed: OSError.*\(2, e\.g\."):
        choose(SEEN, run=SEEN[0].run_id)


def test_what_fits_nothing_is_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match="what failed: OSError"):
        choose(SEEN, "network")
    with pytest.raises(InputError, match="no run has failed"):
        choose(SEEN[:1], "network")


def test_marking_opens_them_with_their_failure_on_record() -> None:
    store = MemoryStore()
    for seen in SEEN:
        store.close(seen)
    mark(store, choose(SEEN, "input/output"))
    assert [s.seed for s in store.pending()] == [1, 2]
    assert store.attempts()[SEEN[1].run_id][0].error == SEEN[1].error
