"""A report that follows its sweep: written anew as runs come in, and once more at the end."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.app.results.publish import OUTCOME, concluded
from mixopt.app.results.reports import write_report
from mixopt.app.running.launch import Sweep
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered
from mixopt.execution.heartbeat import Driver, driver_of
from mixopt.report.wording import duration

LOOK_SECONDS = 5.0
SHARE = 4.0
"""Laws are fitted anew for a report of a running sweep: so many times as long as that took, it is
left alone, so that watching takes a fifth of a core at most."""

Answer = Outcome | Unanswered
Open = Callable[[], AbstractContextManager[Sweep]]


@dataclass(frozen=True)
class Clock:
    """What time is it, and how one waits; for tests."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def follow(
    open_: Open,
    out: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    clock: Clock | None = None,
) -> tuple[Answer, Path]:
    """Write the report whenever the store has changed, until no driver is at work any more.

    The page loads itself again while it is followed. When the sweep has ended, or the watcher is
    interrupted, it is written once more and then stays as it is.

    Args:
        open_: opens the sweep as its store has it now, to be read.
        out: where to write; the sweep's folder by default.
        tell: told in words what was written.
        clock: the time.

    Returns:
        What was concluded last, and where the report is.

    Raises:
        StoreError: the store cannot be read, or the report not be written.
    """
    clock = clock or Clock()
    before: Any = None
    try:
        while True:
            started = clock.now()
            with open_() as sweep:
                notes = sweep.store.annotations()
                driver = driver_of(notes, started)
                if driver is None or not driver.alive:
                    break
                seen = _state(sweep, notes)
                if seen != before:
                    running = _running(sweep, driver)
                    write_report(sweep, concluded(sweep), out, running=running)
                    tell(running)
                    before = seen
            took = clock.now() - started
            clock.sleep(max(LOOK_SECONDS, SHARE * took))
    except KeyboardInterrupt:
        _write(open_, out)
        raise
    return _write(open_, out)


def _write(open_: Open, out: Path | None) -> tuple[Answer, Path]:
    with open_() as sweep:
        answer = concluded(sweep)
        return answer, write_report(sweep, answer, out)


def _state(sweep: Sweep, notes: dict[str, Any]) -> tuple[Any, ...]:
    """What a report depends on; the same where nothing has come in."""
    kept = notes.get(OUTCOME) or {}
    return len(sweep.store.observations()), len(sweep.store.pending()), kept.get("rests_on")


def _running(sweep: Sweep, driver: Driver) -> str:
    done = len(sweep.store.observations())
    text = (
        f"{done} of at most {driver.planned} runs are in" if driver.planned else f"{done} runs in"
    )
    left = f", about {duration(driver.eta)} left" if driver.eta else ""
    return f"Still running: {text}{left}. This page loads itself again until the sweep has ended."
