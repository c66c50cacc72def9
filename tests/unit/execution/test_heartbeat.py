"""Signs of life: cheap to write, and read rightly on any machine and by any clock."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from mixopt.errors import StoreError
from mixopt.execution.heartbeat import (
    EVERY_SECONDS,
    FAILED,
    FINISHED,
    HEARTBEAT,
    PATIENCE_SECONDS,
    RUNNING,
    STOPPED,
    Heartbeat,
    beating,
    driver_of,
)
from mixopt.execution.local import MemoryStore
from mixopt.execution.sweep import SweepStatus

NOW = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.away = False

    def annotate(self, values: Mapping[str, Any]) -> None:
        if self.away:
            raise StoreError("the server is away")
        self.writes += 1
        super().annotate(values)


def sign(store: MemoryStore, **changes: Any) -> dict[str, Any]:
    """The sign of life in a store, as another machine may have written it."""
    return {HEARTBEAT: store.annotations()[HEARTBEAT] | changes}


def test_a_sign_is_written_at_most_every_fifteen_seconds() -> None:
    store, clock = Counting(), Clock()
    heart = Heartbeat(store, clock)
    for _ in range(1000):  # 100 s, ten statuses a second
        clock.now += 0.1
        heart.beat(SweepStatus(planned=9, done=3, running=2, eta_seconds=50.0))
    assert store.writes == 1 + int(100 / EVERY_SECONDS)
    driver = driver_of(store.annotations(), clock.now)
    assert driver is not None
    assert (driver.alive, driver.planned, driver.running, driver.eta) == (True, 9, 2, 50.0)
    assert driver.since == NOW


def test_a_clock_that_was_set_back_does_not_silence_it() -> None:
    store, clock = Counting(), Clock()
    heart = Heartbeat(store, clock)
    clock.now -= 3600
    heart.beat(SweepStatus())
    assert store.writes == 2
    driver = driver_of(store.annotations(), clock.now)
    assert driver is not None
    assert driver.wall == 0.0


def test_a_store_that_is_away_does_not_end_the_sweep() -> None:
    store, clock = Counting(), Clock()
    heart = Heartbeat(store, clock)
    store.away = True
    clock.now += 100
    heart.beat(SweepStatus())
    store.away = False
    clock.now += 100
    heart.beat(SweepStatus(done=4))
    assert store.annotations()[HEARTBEAT]["done"] == 4


def test_how_a_sweep_ended_is_said_and_wall_clock_adds_up() -> None:
    store, clock = MemoryStore(), Clock()
    ends = ((KeyboardInterrupt(), STOPPED), (StoreError("no room"), FAILED), (None, FINISHED))
    for i, (error, state) in enumerate(ends):
        try:
            with beating(store, clock) as heart:
                clock.now += 40
                heart.beat(SweepStatus(running=3))
                if error is not None:
                    raise error
        except (KeyboardInterrupt, StoreError):
            pass
        driver = driver_of(store.annotations(), clock.now)
        assert driver is not None
        assert (driver.alive, driver.state, driver.running) == (False, state, 0)
        assert driver.wall == 40 * (i + 1)
        assert ("no room" in driver.reason) is (state == FAILED)
        assert ("SIGTERM" in driver.reason) is (state == STOPPED)  # 'mixopt stop' presses no keys
        clock.now += 1000


def test_on_its_own_machine_the_process_counts_and_not_the_clock() -> None:
    store, clock = MemoryStore(), Clock()
    Heartbeat(store, clock)
    old = driver_of(store.annotations(), NOW + 1e6)  # an hour-long pack in this process
    assert old is not None
    assert old.alive
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    ended = driver_of(sign(store, pid=int(gone.stdout)), NOW)
    assert ended is not None
    assert not ended.alive
    another = driver_of(sign(store, pid=1), NOW)  # alive, but not the driver
    assert another is not None
    assert not another.alive


@pytest.mark.parametrize(
    ("ahead", "gap", "alive"),
    [
        (0.0, 0.0, True),
        (PATIENCE_SECONDS - 1, 0.0, True),
        (PATIENCE_SECONDS + 1, 0.0, False),
        (-7200.0, 0.0, True),  # the reader's clock is two hours behind
        (PATIENCE_SECONDS + 1, 300.0, True),  # packs in the driver's process, five minutes each
        (901.0, 300.0, False),
    ],
)
def test_elsewhere_a_sign_counts_for_a_while(ahead: float, gap: float, alive: bool) -> None:
    store = MemoryStore()
    Heartbeat(store, Clock())
    driver = driver_of(sign(store, place="another container", gap=gap), NOW + ahead)
    assert driver is not None
    assert driver.state == RUNNING
    assert driver.alive is alive
    assert driver.age == max(ahead, 0.0)


def test_a_sweep_without_a_sign_has_no_driver() -> None:
    assert driver_of({}, NOW) is None
