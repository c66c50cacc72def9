"""A store that is away for a while: results wait, in order; nothing is lost or trained twice."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mixopt import MixtureSpace, Objective, Scale
from mixopt.errors import InputError, StoreAwayError, StoreError
from mixopt.execution.local import LocalExecutor, MemoryStore
from mixopt.execution.sweep import run_sweep
from mixopt.runs import Observation, RunSpec
from mixopt.strategies import Problem, strategy
from mixopt.testing.store_contract import StoreContract, example_observation, example_spec
from mixopt.testing.trainers import NAME, FakeTrainer
from mixopt.tracking.patience import LAG, PatientStore

SHORT = (0.001, 0.002)


class Flaky(MemoryStore):
    """Is away whenever told, and remembers what reached it."""

    def __init__(self) -> None:
        super().__init__()
        self.away: Callable[[], bool] = lambda: False
        self.written: list[str] = []
        self.released = False

    def _reach(self, what: str) -> None:
        if self.away():
            raise StoreAwayError("nobody answers")
        self.written.append(what)

    def open(self, spec: RunSpec) -> None:
        if spec not in self.pending():
            self._reach(f"open {spec.seed}")
        super().open(spec)

    def close(self, observation: Observation) -> None:
        self._reach(f"close {observation.spec.seed}")
        super().close(observation)

    def annotate(self, values: Mapping[str, Any]) -> None:
        self._reach("annotate")
        super().annotate(values)

    def release(self) -> None:
        self.released = True


class TestPatientStore(StoreContract):
    """It is a store like any other."""

    def make(self, folder: Path, name: str = "sweep") -> Any:
        return PatientStore(MemoryStore())

    def attached(self, store: Any, name: str) -> bytes:
        content: bytes = store.inner.files[name]
        return content


def test_what_happens_while_the_store_is_away_is_written_later_in_order(caplog: Any) -> None:
    inner, back = Flaky(), threading.Event()
    inner.away = lambda: not back.is_set()
    store = PatientStore(inner, pauses=SHORT)
    with caplog.at_level(logging.WARNING):
        for seed in range(40):
            store.open(example_spec(seed))  # returns at once
            if seed % 2:
                store.close(example_observation(example_spec(seed)))
        time.sleep(0.05)
        assert inner.written == []
        back.set()
        assert [o.spec.seed for o in store.observations()] == list(range(1, 40, 2))
    expected = [
        what
        for s in range(40)
        for what in ([f"open {s}", f"close {s}"] if s % 2 else [f"open {s}"])
    ]
    assert inner.written == expected
    first, last = caplog.messages[0], caplog.messages[-1]
    assert "nobody answers" in first
    assert "the sweep goes on" in first
    assert "answers again" in last
    store.release()
    assert inner.released


def test_a_sweep_goes_on_while_its_store_comes_and_goes(tmp_path: Path) -> None:
    trainer = FakeTrainer(noise=0.0)
    problem = Problem(
        MixtureSpace(trainer.prepare(tmp_path).domains),
        Objective.of(trainer.metrics),
        (Scale(1000, 10_000),),
        trainer=NAME,
        config={"noise": 0.0},
        data="fake",
    )
    calls = iter(range(10**9))
    inner = Flaky()
    inner.away = lambda: next(calls) % 3 > 0  # two of three attempts fail
    store = PatientStore(inner, pauses=(0.0,))
    trained: list[str] = []

    class Counting(LocalExecutor):
        def submit(self, pack: Any, runtime: Any = None) -> None:
            trained.extend(spec.run_id for spec in pack)
            super().submit(pack, runtime)

    run_sweep(strategy("random", runs=30), problem, Counting(tmp_path), store)
    assert len(store.observations()) == len(set(trained)) == len(trained) == 30
    assert sum(w.startswith("open") for w in inner.written) == 30
    assert sum(w.startswith("close") for w in inner.written) == 30
    store.release()


def test_what_waits_is_bounded() -> None:
    inner, back = Flaky(), threading.Event()
    inner.away = lambda: not back.is_set()
    store = PatientStore(inner, most=3, pauses=SHORT)
    done = threading.Event()

    def fill() -> None:
        for seed in range(5):
            store.open(example_spec(seed))
        done.set()

    threading.Thread(target=fill, daemon=True).start()
    assert not done.wait(0.1)  # the fourth waits for room
    back.set()
    assert done.wait(60)
    assert len(store.pending()) == 5
    store.release()


def test_while_the_store_is_well_everything_is_written_before_the_sweep_goes_on() -> None:
    class Slow(Flaky):
        def close(self, observation: Observation) -> None:
            time.sleep(0.02)
            super().close(observation)

    inner = Slow()
    store = PatientStore(inner)
    for seed in range(3):
        store.close(example_observation(example_spec(seed)))
        assert f"close {seed}" in inner.written
    store.release()


def test_a_slow_store_slows_the_sweep_down_and_does_not_fill_the_memory() -> None:
    gate = threading.Event()

    class Slow(Flaky):
        def open(self, spec: RunSpec) -> None:
            gate.wait(60)
            super().open(spec)

    inner = Slow()
    store = PatientStore(inner, wait=0.0)
    sent: list[int] = []

    def fill() -> None:
        for seed in range(2 * LAG):
            store.open(example_spec(seed))
            sent.append(seed)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while len(sent) < LAG and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)  # no more comes
    assert len(sent) == LAG
    gate.set()
    thread.join(60)
    assert len(store.pending()) == 2 * LAG
    store.release()


def test_patience_ends_and_the_sweep_is_told_why() -> None:
    inner = Flaky()
    inner.away = lambda: True
    store = PatientStore(inner, patience=0.02, pauses=SHORT)
    store.open(example_spec())
    store.observations()  # waits for what cannot be written
    with pytest.raises(StoreError, match=r"longer than its 'patience'.*nobody answers"):
        store.open(example_spec(1))
    with pytest.raises(StoreError, match="patience"):
        store.annotate({"a": 1})
    store.release()
    assert inner.released


def test_an_error_that_does_not_pass_ends_the_writing() -> None:
    class Lost(Flaky):
        def close(self, observation: Observation) -> None:
            raise StoreError("taken over by another driver")

    store = PatientStore(Lost(), pauses=SHORT)
    with pytest.raises(StoreError, match="taken over"):
        store.close(example_observation(example_spec()))
    with pytest.raises(StoreError, match="taken over"):
        store.open(example_spec(1))
    assert store.pending() == []
    store.release()


def test_release_does_not_wait_for_ever(monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr("mixopt.tracking.patience._LEAVING_SECONDS", 0.05)
    inner = Flaky()
    inner.away = lambda: True
    store = PatientStore(inner, pauses=(1000.0,))
    store.open(example_spec())
    started = time.monotonic()
    store.release()
    store.release()
    assert time.monotonic() - started < 60
    assert inner.released
    assert "1 writings were not taken" in caplog.text
    with pytest.raises(StoreError, match="released"):
        store.open(example_spec(1))


def test_what_is_no_json_is_refused_at_once() -> None:
    store = PatientStore(MemoryStore())
    with pytest.raises(InputError, match="law"):
        store.annotate({"fine": 1, "law": object()})
    store.release()
    assert store.inner.annotations() == {}
