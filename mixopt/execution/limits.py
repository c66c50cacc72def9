"""When a sweep stops before its strategy is done: at a limit of the user's, or after failures.

Strategies see no difference: what they asked for stays open or queued, and the sweep goes on from
there once the limit is raised, or the cause of the failures is gone.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mixopt.execution.spent import Spent
from mixopt.runs import Attempt, Observation, RunSpec, Scale
from mixopt.runs.failures import causes, has_diverged

PAUSED, LIMIT = "paused", "limit"
"""Why a sweep has stopped: failures in a row, or a limit."""
PAUSE_AFTER = 5
_PACKS = 3  # failures of fewer packs may be one bad pack, or one bad machine
_HOUR = 3600.0


@dataclass(frozen=True)
class Halt:
    """That a sweep stopped before its end.

    Attributes:
        state: `PAUSED` or `LIMIT`.
        reason: in words.
        remedy: what to do so that it goes on.
    """

    state: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        """Reason and remedy."""
        return f"{self.reason}; {self.remedy}" if self.remedy else self.reason


@dataclass(frozen=True)
class Limits:
    """What a sweep may take; None for no limit. All count over the whole sweep, resumes included.

    Attributes:
        runs: runs that come in, failed ones included; a run that is trained again is one run.
        flops: of training, failed attempts included.
        gpu_hours: of GPUs that packs reserved.
        money: in the unit of the price.
        price_per_hour: of one GPU; of one slot where packs reserve no GPU.
        deadline: seconds since 1970.
        pause_after: so many failures in a row, or more of twice as many runs, pause the sweep; 0
            never does.
    """

    runs: int | None = None
    flops: float | None = None
    gpu_hours: float | None = None
    money: float | None = None
    price_per_hour: float | None = None
    deadline: float | None = None
    pause_after: int = PAUSE_AFTER


@dataclass
class _Of:
    """What runs of a scale took: sums over those that came in, and the longest pack in seconds."""

    spent: Spent = field(default_factory=Spent)
    longest: float = 0.0


@dataclass
class _Pack:
    number: int
    scale: Scale
    since: float
    runs: set[str]


class Brakes:
    """Holds a sweep to its limits, and stops it when runs fail one after the other.

    No run is started that would pass a limit, by what runs of its scale took so far; runs under
    way are finished. Before the first run of any scale has come in, nobody knows what runs take in
    hours, and as many start as there are slots. At the deadline what is under way is stopped: it
    stays open. Failures are counted since the start of this call, so that the same command goes on.

    Args:
        limits: of the sweep.
        observations: runs that came in before.
        attempts: failed attempts of runs that are open.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        limits: Limits,
        observations: Iterable[Observation] = (),
        attempts: Mapping[str, Sequence[Attempt]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits, self._clock = limits, clock
        self._scales: dict[Scale, _Of] = {}
        self._spent = Spent()
        self._running: dict[str, _Pack] = {}
        self._sent = 0
        self._window: deque[tuple[int, Observation]] = deque(maxlen=2 * max(limits.pause_after, 1))
        self._row: list[tuple[int, Observation]] = []
        self._limit: Halt | None = None
        self._stop: Halt | None = None
        for seen in observations:
            self._count(seen)
        for tries in (attempts or {}).values():
            self._spent = self._spent.tried(tries)

    @property
    def halt(self) -> Halt | None:
        """Why the sweep has stopped, or will when what is under way has come in."""
        return self._stop or self._limit

    @property
    def at_once(self) -> bool:
        """Whether what is under way is to be left as well."""
        deadline = self._limits.deadline
        if self._stop is None and deadline is not None and self._clock() >= deadline:
            when = f"{datetime.fromtimestamp(deadline):%Y-%m-%d %H:%M}"
            left = f"; {len(self._running)} runs under way stay open" if self._running else ""
            self._stop = self._reached("deadline", f"the deadline ({when}) has passed{left}")
        return self._stop is not None

    def room(self, scale: Scale, most: int) -> int:
        """How many runs of a scale may start now; 0 says why in `halt`.

        Args:
            scale: of the runs.
            most: that are wanted, at least 1.
        """
        if self.at_once:
            return 0
        room, name = min(
            ((self._room(name, left, scale), name) for name, left in self._left().items()),
            default=(most, ""),
        )
        room = min(most, room)
        if room <= 0:
            self._limit = self._reached(name, self._told(name))
            return 0
        self._limit = None
        return room

    def sent(self, pack: Sequence[RunSpec]) -> None:
        """A pack has gone out."""
        ids = {spec.run_id for spec in pack}
        made = _Pack(self._sent, pack[0].scale, self._clock(), ids)
        self._sent += 1
        self._running.update(dict.fromkeys(ids, made))

    def saw(self, seen: Observation) -> None:
        """A run has come in."""
        pack = self._running.pop(seen.run_id, None)
        self._count(seen)
        if pack is None:
            return
        pack.runs.discard(seen.run_id)
        if not pack.runs:
            of = self._scales[pack.scale]
            of.longest = max(of.longest, self._clock() - pack.since)
        self._look(pack.number, seen)

    # -- limits ------------------------------------------------------------------------------------

    def _count(self, seen: Observation) -> None:
        self._spent = self._spent.plus(seen)
        of = self._scales.setdefault(seen.spec.scale, _Of())
        of.spent = of.spent.plus(seen)

    def _left(self) -> dict[str, float]:
        """What is left of every limit, less what runs under way will take."""
        limits, spent = self._limits, self._spent
        given = {
            "runs": (limits.runs, spent.runs),
            "flops": (limits.flops, spent.flops),
            "gpu_hours": (limits.gpu_hours, spent.gpu_hours),
            "money": (limits.money, spent.money(limits.price_per_hour) or 0.0),
        }
        left = {
            name: most - so_far - sum(self._takes(name, p.scale) for p in self._running.values())
            for name, (most, so_far) in given.items()
            if most is not None
        }
        if limits.deadline is not None:
            left["deadline"] = limits.deadline - self._clock()
        return left

    def _room(self, name: str, left: float, scale: Scale) -> int:
        takes = self._takes(name, scale)
        if name == "deadline":
            return 0 if left < takes else 1_000_000_000
        if takes <= 0:  # nobody knows yet
            return 1_000_000_000 if left > 0 else 0
        return max(int(left / takes + 1e-9), 0)

    def _takes(self, name: str, scale: Scale) -> float:
        """What a run of a scale will take, by those before it; 0 where nobody knows."""
        of = self._scales.get(scale)
        if name == "runs":
            return 1.0
        if name == "deadline":
            return 0.0 if of is None else of.longest
        if name == "flops":
            known = 0.0 if of is None else of.spent.flops / of.spent.runs
            return known or scale.flops
        hours = _hours(name, self._spent if of is None else of.spent)
        if of is not None:
            hours /= of.spent.runs
        elif self._spent.flops:  # runs of other scales, by their work
            hours *= scale.flops / self._spent.flops
        else:
            hours = 0.0
        return hours * (self._limits.price_per_hour or 0.0) if name == "money" else hours

    def _told(self, name: str) -> str:
        limits, spent = self._limits, self._spent
        if name == "deadline":
            when = f"{datetime.fromtimestamp(limits.deadline or 0.0):%Y-%m-%d %H:%M}"
            return f"another run would not end before the deadline ({when})"
        money = spent.money(limits.price_per_hour) or 0.0
        words = {
            "runs": f"{spent.runs} of {limits.runs} runs are in",
            "flops": f"{spent.flops:.3g} of {limits.flops or 0:.3g} FLOPs are spent",
            "gpu_hours": f"{spent.gpu_hours:.3g} of {limits.gpu_hours or 0:.3g} GPU-hours are "
            "spent",
            "money": f"{money:.2f} of {limits.money or 0:.2f} are spent",
        }
        return f"{words[name]}, and another run would pass the limit"

    @staticmethod
    def _reached(name: str, told: str) -> Halt:
        return Halt(LIMIT, told, f"raise execution.stop_after.{name} and run it again")

    # -- failures ----------------------------------------------------------------------------------

    def _look(self, pack: int, seen: Observation) -> None:
        """Pause where one run after the other fails, in several packs, and not by itself."""
        after = self._limits.pause_after
        bad = not seen.ok and not has_diverged(seen)
        self._row = [*self._row, (pack, seen)] if bad else []
        self._window.append((pack, seen))
        if not after or not bad:
            return
        least = min(_PACKS, after)
        failed = [(n, o) for n, o in self._window if not o.ok and not has_diverged(o)]
        if len(self._row) >= after and len({n for n, _ in self._row}) >= least:
            self._pause([o for _, o in self._row], f"{len(self._row)} runs failed in a row")
        elif len(failed) > after and len({n for n, _ in failed}) >= least:
            told = f"{len(failed)} of the last {len(self._window)} runs failed"
            self._pause([o for _, o in failed], told)

    def _pause(self, failed: Sequence[Observation], told: str) -> None:
        if self._stop is not None:
            return
        first, *others = causes(failed)
        more = f" (and for {len(others)} other reasons)" if others else ""
        where = f" on {', '.join(list(first.hosts)[:3])}" if first.hosts else ""
        self._stop = Halt(
            PAUSED,
            f"{told}{where}, so the sweep pauses before more are lost: {first.words}{more}",
            "remove the cause, then 'mixopt retry' trains the failed runs again and goes on (the "
            "same 'mixopt run' goes on without them; execution.pause_after: 0 never pauses)",
        )


def _hours(name: str, spent: Spent) -> float:
    return spent.gpu_hours if name == "gpu_hours" else spent.priced_hours
