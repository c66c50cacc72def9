"""The lease on a server: who is let in, and when a driver stops that has lost the sweep."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mixopt.errors import StoreAwayError, StoreError
from mixopt.tracking import locks
from mixopt.tracking.locks import Lease

ELSEWHERE = {"host": "elsewhere", "place": "another machine"}


class Note:
    """A tag on a server, in memory."""

    def __init__(self) -> None:
        self.text = ""
        self.away = False

    def read(self) -> str:
        if self.away:
            raise StoreAwayError("nobody answers")
        return self.text

    def write(self, text: str) -> None:
        self.text = text

    def lease(self) -> Lease:
        return Lease(self.read, self.write, "sweep 'x'")

    def change(self, **values: Any) -> None:
        self.text = json.dumps({**json.loads(self.text), **values})


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(locks, "WATCH_SECONDS", 0.01)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the machine's clock shows."""
    now = [1_700_000_000.0]
    monkeypatch.setattr(locks.time, "time", lambda: now[0])
    return now


def test_a_lease_keeps_others_out_until_it_is_released() -> None:
    note = Note()
    lease = note.lease()
    with pytest.raises(StoreError, match="is being run by process"):
        note.lease()
    lease.release()
    lease.release()
    note.lease().release()


@pytest.mark.parametrize(
    ("changes", "is_free"),
    [
        ({"pid": 2**22 + 1}, True),  # its process is gone
        ({"birth": "1"}, True),  # its number is another process's by now
        ({"time": 0.0}, False),  # it is here and alive, whatever the clock was
        (ELSEWHERE, False),
        ({"place": "another container of this host", "pid": 2**22 + 1}, False),
        ({"place": "another container of this host", "time": 0.0}, True),
        ({**ELSEWHERE, "time": 0.0}, True),  # not seen for long
        ({**ELSEWHERE, "time": 1e11}, True),  # a clock that is ahead, and nobody renews
    ],
)
def test_stale_leases_are_taken_over(changes: dict[str, Any], is_free: bool) -> None:
    note = Note()
    first = note.lease()
    note.change(**changes)
    if is_free:
        note.lease().release()
    else:
        with pytest.raises(StoreError, match="is being run by process"):
            note.lease()
    first.release()


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_a_driver_whose_clock_is_wrong_is_not_taken_for_gone(skew: float) -> None:
    note, reads = Note(), iter(range(100))
    lease = note.lease()

    def read() -> str:
        """Renewed at every look, by a clock that is an hour off."""
        note.change(**ELSEWHERE, time=time.time() + skew + next(reads))
        return note.text

    with pytest.raises(StoreError, match="elsewhere"):
        Lease(read, lambda text: None, "sweep 'x'")
    lease.release()


def test_of_two_drivers_that_start_at_the_same_moment_one_is_let_in() -> None:
    """Both have seen that nobody was there; the one that signed last has the sweep."""
    note = Note()

    def write(text: str) -> None:
        note.text = json.dumps({**json.loads(text), **ELSEWHERE, "key": "other", "pid": 5})

    with pytest.raises(StoreError, match="is being run by process 5 on elsewhere; stop it first"):
        Lease(note.read, write, "sweep 'x'")
    assert json.loads(note.text)["key"] == "other"


def test_a_driver_that_lost_its_lease_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEW_SECONDS", 0.01)
    note = Note()
    lease = note.lease()
    note.change(key="other")
    lease._thread.join(60)  # it ends when it finds another's key
    with pytest.raises(StoreError, match="taken over"):
        lease.check()
    lease.release()
    assert json.loads(note.text)["key"] == "other"


def test_a_driver_whose_machine_slept_looks_before_it_writes(clock: list[float]) -> None:
    """No thread of it ran meanwhile, and another driver has had all the time to take over."""
    note = Note()
    lease = note.lease()
    note.change(key="other")
    lease.check()  # a moment ago it was the driver
    clock[0] += locks.UNSURE_SECONDS + 1
    with pytest.raises(StoreError, match="taken over by another driver"):
        lease.check()
    note.change(key=lease._key)
    with pytest.raises(StoreError, match="taken over"):  # it has said so, and stays away
        lease.check()
    lease.release()


def test_after_a_sleep_in_which_nobody_came_the_lease_is_renewed_at_once(
    clock: list[float],
) -> None:
    note = Note()
    lease = note.lease()
    clock[0] += 7200.0
    note.away = True
    with pytest.raises(StoreAwayError):  # the results wait, as for any writing
        lease.check()
    note.away = False
    lease.check()
    assert json.loads(note.text)["time"] == clock[0]
    note.away = True
    lease.check()  # looks no more
    note.away = False
    lease.release()
    assert note.text == ""


def test_a_store_that_goes_away_as_the_driver_signs_is_looked_at_before_it_writes() -> None:
    note = Note()

    def write(text: str) -> None:
        note.text, note.away = text, True

    lease = Lease(note.read, write, "sweep 'x'")
    note.away = False
    note.change(key="other")
    with pytest.raises(StoreError, match="taken over"):
        lease.check()
    lease.release()


def test_on_files_the_holder_is_named(tmp_path: Path) -> None:
    lock = locks.FileLock(tmp_path / "lock", "sweep 'x'")
    with pytest.raises(StoreError, match=r"sweep 'x' is being run by process \d+ on"):
        locks.FileLock(tmp_path / "lock", "sweep 'x'")
    lock.release()
    lock.release()
    locks.FileLock(tmp_path / "lock", "sweep 'x'").release()
