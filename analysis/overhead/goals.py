"""What the figures should be, and whether they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.overhead.pace import Record

SHARE = 0.80  # of the pace of MLflow's calls alone
IN_MEMORY = 150.0  # runs/s
SPREAD = 0.20  # of the pace, from the fewest runs in the store to the most
GROWTH_MB = 200.0
RESUME_SECONDS = 20.0
IDLE_PERCENT = 5.0
_MANY = 5_000  # runs that a sweep trains in one go, for its memory to say something


@dataclass(frozen=True)
class Goal:
    """One that could be judged by what was measured.

    Attributes:
        name: what is asked for, in words.
        value: what was measured.
        met: whether that is enough.
    """

    name: str
    value: float
    met: bool

    def __str__(self) -> str:
        """A line of a table."""
        return f"{'met ' if self.met else 'MISSED'}  {self.name}: {self.value:.3g}"


def goals(records: Sequence[Record]) -> list[Goal]:
    """The goals that the records say something of; the others were not measured."""
    return [*_pace(records), *_spread(records), *_sweeps(records)]


def _pace(records: Sequence[Record]) -> Iterator[Goal]:
    alone = {r.store_runs: r.runs_per_second for r in _of(records, "mlflow-calls")}
    sizes = sorted(alone)
    for ours, size in zip(_of(records, "mixopt"), sizes, strict=False):
        share = (ours.runs_per_second or 0.0) / (alone[size] or 1.0)
        name = f"mixopt, share of mlflow-calls at {ours.store_runs} runs, at least {SHARE:g}"
        yield Goal(name, share, share >= SHARE)
    for ours in _of(records, "mixopt-memory"):
        pace = ours.runs_per_second or 0.0
        name = f"mixopt-memory, runs/s at {ours.store_runs} runs, at least {IN_MEMORY:g}"
        yield Goal(name, pace, pace >= IN_MEMORY)


def _spread(records: Sequence[Record]) -> Iterator[Goal]:
    for system in ("mixopt", "mixopt-memory"):
        paces = {r.store_runs: r.runs_per_second or 0.0 for r in _of(records, system)}
        if len(paces) > 1:
            few, many = min(paces), max(paces)
            change = paces[many] / paces[few] - 1.0
            name = f"{system}, change of pace from {few} to {many} runs, within {SPREAD:g}"
            yield Goal(name, change, abs(change) <= SPREAD)


def _sweeps(records: Sequence[Record]) -> Iterator[Goal]:
    for record in records:
        if record.grown_mb is not None and (record.trained or 0) >= _MANY:
            name = f"{record.system}, MB grown over {record.trained} runs, below {GROWTH_MB:g}"
            yield Goal(name, record.grown_mb, record.grown_mb < GROWTH_MB)
        if record.resume_seconds is not None:
            name = (
                f"{record.system}, seconds to resume with {record.store_runs} runs, below "
                f"{RESUME_SECONDS:g}"
            )
            yield Goal(name, record.resume_seconds, record.resume_seconds < RESUME_SECONDS)
        if record.idle_percent is not None:
            name = f"idle slots, per cent, below {IDLE_PERCENT:g}"
            yield Goal(name, record.idle_percent, record.idle_percent < IDLE_PERCENT)


def _of(records: Sequence[Record], system: str) -> list[Record]:
    """Those of a system that were measured, by runs in the store."""
    mine = [r for r in records if r.system == system and r.runs_per_second is not None]
    return sorted(mine, key=lambda r: r.store_runs)
