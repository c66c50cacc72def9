"""A driver's sign of life in the store, and what a reader makes of it.

The annotation `heartbeat` says who drives the sweep, since when, and how far it is; it is written
every 15 s at most, and once more at the end with what the driver came to. Readers need neither
trainer nor executor, and may have another clock.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mixopt.errors import MixoptError, StoreError
from mixopt.execution.limits import Halt
from mixopt.execution.processes import birth, place
from mixopt.execution.sweep import SweepStatus
from mixopt.ports import Store
from mixopt.space.redaction import redact

HEARTBEAT = "heartbeat"
"""The annotation."""
EVERY_SECONDS = 15.0
PATIENCE_SECONDS = 90.0
"""A sign this old, by the reader's clock, still counts: clocks differ, and stores are slow."""
RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
FAILED = "failed"
"""What a driver is at, or has come to: it ran to the end, was interrupted (Ctrl-C), or met an
error. One that halted says the state of its `Halt`."""

_log = logging.getLogger(__name__)


class Heartbeat:
    """Written by the driver while it runs.

    Args:
        store: the sweep's.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock
        before = store.annotations().get(HEARTBEAT) or {}
        self._wall = float(before.get("wall", 0.0))  # of earlier drivers
        self._since = clock()
        self._last, self._gap, self._count = self._since, 0.0, 0
        self._facts: dict[str, Any] = {}
        self._halt: Halt | None = None
        self._write(RUNNING)

    def beat(self, status: SweepStatus) -> None:
        """Note where the sweep stands, if the last sign is old enough.

        A store that cannot be written just now is no reason to stop: the sign may be missing.
        """
        self._halt = status.halt
        self._facts = {
            "planned": status.planned,
            "done": status.done,
            "failed": status.failed,
            "running": status.running,
            "eta": status.eta_seconds,
            "phase": status.phase,
            "latest": status.latest,
        }
        if not 0 <= self._clock() - self._last < EVERY_SECONDS:
            self._write(RUNNING)

    def end(self, state: str = "", reason: str = "") -> None:
        """Say that this driver goes, and why; by default what the last status says."""
        end = Halt(state, reason) if state else self._halt or Halt(FINISHED, "")
        self._facts |= {"running": 0, "eta": None, "latest": ""}
        self._write(end.state, end.reason, end.remedy)

    def _write(self, state: str, reason: str = "", remedy: str = "") -> None:
        now = self._clock()
        self._gap = max(self._gap, now - self._last)
        self._last, self._count = now, self._count + 1
        sign = {
            "time": now,
            "since": self._since,
            "wall": self._wall + max(now - self._since, 0.0),
            "gap": self._gap,
            "count": self._count,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "place": place(),
            "birth": birth(os.getpid()),
            "state": state,
            "reason": redact(reason),
            "remedy": remedy,
        }
        try:
            self._store.annotate({HEARTBEAT: sign | self._facts})
        except StoreError as error:
            _log.debug("no sign of life could be written: %s", error)


@contextmanager
def beating(store: Store, clock: Callable[[], float] = time.time) -> Iterator[Heartbeat]:
    """A heartbeat while a sweep runs; says how that ended, also by an error or Ctrl-C."""
    heart = Heartbeat(store, clock)
    try:
        yield heart
    except KeyboardInterrupt:
        heart.end(STOPPED, "stopped by Ctrl-C, or by SIGTERM ('mixopt stop', a scheduler)")
        raise
    except MixoptError as error:
        heart.end(FAILED, str(error))
        raise
    heart.end()


@dataclass(frozen=True)
class Driver:
    """What the last sign of life says, to a reader.

    Attributes:
        alive: whether a driver is at work, as far as can be told from here.
        host, pid: its machine and process.
        since, seen: when it began, and gave its last sign, by its own clock.
        age: seconds since then by the reader's clock; 0 where that runs behind.
        wall: seconds that all drivers of the sweep have been at work.
        state: what it was at, or came to (`RUNNING`, `FINISHED` ...).
        reason: why it ended, where it says so. remedy: what to do so that the sweep goes on.
        running: runs that were under way.
        planned: runs that the strategy will ask for at most; None where it does not say.
        eta: seconds that were left by then; None where that was unknown.
        latest: a run under way and how far it was, for people.
    """

    alive: bool
    host: str
    pid: int
    since: float
    seen: float
    age: float
    wall: float
    state: str
    reason: str
    remedy: str
    running: int = 0
    planned: int | None = None
    eta: float | None = None
    latest: str = ""


def driver_of(annotations: Mapping[str, Any], now: float) -> Driver | None:
    """The driver of a sweep by its last sign of life; None where there never was one.

    On the driver's own machine its process is looked for, whatever the clock says. Elsewhere a sign
    counts for 90 s, or for three times the longest pause between two signs, which is long where
    packs are trained in the driver's own process.

    Args:
        annotations: of the sweep's store.
        now: seconds since 1970.
    """
    sign = annotations.get(HEARTBEAT)
    if not sign:
        return None
    age = max(now - sign["time"], 0.0)
    if sign["state"] != RUNNING:
        alive = False
    elif sign["place"] == place():
        alive = birth(sign["pid"]) == sign["birth"] is not None
    else:
        alive = age <= max(PATIENCE_SECONDS, 3 * sign["gap"])
    return Driver(
        alive=alive,
        host=sign["host"],
        pid=sign["pid"],
        since=sign["since"],
        seen=sign["time"],
        age=age,
        wall=sign["wall"],
        state=sign["state"],
        reason=sign["reason"],
        remedy=sign.get("remedy", ""),
        running=sign.get("running", 0) if alive else 0,
        planned=sign.get("planned"),
        eta=sign.get("eta") if alive else None,
        latest=sign.get("latest", "") if alive else "",
    )
