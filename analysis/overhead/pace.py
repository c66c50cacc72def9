"""What is measured: the pace, CPU time and memory of a process between two numbers of runs."""

import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Record:
    """One line of the result; what was not measured is left out of the file.

    Attributes:
        system: see above.
        store_runs: runs in the store when the window began.
        runs_per_second, cpu_ms, window, driver_mb: see above.
        trained: runs of the sweep, of which `grown_mb` is told.
        grown_mb, resume_seconds, idle_percent: see above.
        calls: what was asked of MLflow per run, by name.
        skipped: why nothing was measured.
    """

    system: str
    store_runs: int = 0
    runs_per_second: float | None = None
    driver_mb: float | None = None
    cpu_ms: float | None = None
    window: int | None = None
    trained: int | None = None
    grown_mb: float | None = None
    resume_seconds: float | None = None
    idle_percent: float | None = None
    calls: list[str] | None = None
    skipped: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """What was measured."""
        return {k: v for k, v in asdict(self).items() if v is not None}


def memory_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass
class Pace:
    """Clock, CPU and memory at numbers of runs.

    Attributes:
        marks: number of runs to (clock, CPU seconds, MB) when they were in.
    """

    marks: dict[int, tuple[float, float, float]] = field(default_factory=dict)

    def mark(self, runs: int) -> None:
        """So many runs are in."""
        self.marks[runs] = time.perf_counter(), time.process_time(), memory_mb()

    def record(self, system: str, begin: int, end: int, **more: Any) -> Record:
        """The pace between two marks; those next to them where several runs came in at once."""
        first = min(n for n in self.marks if n >= begin)
        last = max(n for n in self.marks if n <= end)
        (clock, cpu, _), (clock_end, cpu_end, size) = self.marks[first], self.marks[last]
        n = last - first
        return Record(
            system,
            store_runs=begin,
            runs_per_second=round(n / (clock_end - clock), 2),
            driver_mb=round(size, 1),
            cpu_ms=round(1e3 * (cpu_end - cpu) / n, 2),
            window=n,
            **more,
        )
