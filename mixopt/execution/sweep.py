"""The loop: a strategy driven through an executor into a store until it has no more to ask.

The store is the journal. A batch of runs is written there before the first of them is opened, a run
is opened before it is submitted and closed when its result is in; what is open when a sweep starts
is submitted again. Nothing else remembers anything, so a sweep that was killed goes on from its
store, to the same runs.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from mixopt.errors import MixoptError
from mixopt.execution.answers import sound
from mixopt.ports import Executor, Progress, Store
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.objective import judged, objective_of
from mixopt.runs.run_table import RunTable, standardized
from mixopt.strategies import Problem, Strategy

HOPELESS = 5  # so many failures without one success stop a sweep before it wastes its budget
BATCH = "batch"
"""The annotation that holds the newest batch, all of whose runs are to be opened."""
_POLL_SECONDS = 0.5


class SweepError(MixoptError):
    """The sweep cannot go on; what was trained is in the store."""


@dataclass(frozen=True)
class SweepStatus:
    """Where a sweep stands.

    Attributes:
        planned: runs that the strategy will ask for at most.
        done: runs in the store, failed ones included.
        failed: of these, failed.
        running: runs under way.
        trained: runs that this call has brought in.
        flops: spent on the runs in the store.
        seconds: since this call began.
        eta_seconds: left, at the pace since the first run came in; None before there is a pace.
        best: the lowest objective of a search run so far, None before the first.
        best_mixture: its shares, for people.
        best_scale: the scale at which it is the best, where the sweep has several; "" elsewhere.
        phase: the kind of the newest runs, e.g. `"design"`.
        latest: a run under way and its newest tokens, for people.
    """

    planned: int = 0
    done: int = 0
    failed: int = 0
    running: int = 0
    trained: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    eta_seconds: float | None = None
    best: float | None = None
    best_mixture: str = ""
    best_scale: str = ""
    phase: str = ""
    latest: str = ""


def run_sweep(
    strategy: Strategy,
    problem: Problem,
    executor: Executor,
    store: Store,
    *,
    pack_size: Callable[[Scale], int] = lambda _: 1,
    runtime: Mapping[str, Any] | None = None,
    on_change: Callable[[SweepStatus], None] | None = None,
) -> SweepStatus:
    """Run until the strategy has nothing to ask and nothing is pending.

    The executor is left open; its owner closes it, also after an error or Ctrl-C.

    Args:
        strategy: what to train next.
        problem: what it works on.
        executor: where runs are trained.
        store: the record; a sweep found there is continued, and nothing is trained twice.
        pack_size: a scale to the most runs of it in one pack.
        runtime: settings of the trainer that say how, not what, it trains.
        on_change: called with the status after every event.

    Raises:
        SweepError: the first runs all failed.
        InputError: nothing can be fitted or proposed.
    """
    loop = _Loop(strategy, problem, executor, store, pack_size, dict(runtime or {}))
    tell = on_change or (lambda _: None)
    while loop.fill():
        tell(loop.status)
        loop.collect()
    tell(loop.status)
    return loop.status


class _Loop:
    """The state of one call of `run_sweep`, all of it read off the store at the start."""

    def __init__(
        self,
        strategy: Strategy,
        problem: Problem,
        executor: Executor,
        store: Store,
        pack_size: Callable[[Scale], int],
        runtime: Mapping[str, Any],
    ) -> None:
        self._strategy, self._problem = strategy, problem
        self._executor, self._store = executor, store
        self._pack_size, self._runtime = pack_size, runtime
        self._started = time.monotonic()
        self._observations = [judged(o, problem.objective) for o in store.observations()]
        self._queue = deque(store.pending())  # opened, not submitted by this call
        self._running: dict[str, RunSpec] = {}
        self._packs: list[set[str]] = []
        planned = strategy.planned(problem)
        self._work = sum(scale.flops for scale in planned)  # 6 N D of everything that is to come
        self._pace: tuple[float, float] | None = None  # when the first runs came in, and their work
        self.status = SweepStatus(planned=len(planned))
        # What a killed driver had chosen and not opened is opened now.
        self._open([RunSpec.from_dict(v) for v in store.annotations().get(BATCH) or ()])
        self._refresh()

    def fill(self) -> bool:
        """Ask the strategy, submit what fits; False when there is nothing left to do."""
        self._open(self._strategy.next(self._problem, self._observations, self._pending))
        while self._queue and len(self._packs) < self._executor.slots:
            self._submit()
        self._refresh()
        return bool(self._running)

    def collect(self) -> None:
        """Wait for events; close what has finished."""
        for event in self._executor.wait(_POLL_SECONDS):
            if isinstance(event, Progress):
                self._note(event)
            elif event.run_id in self._running:
                self._finish(event)
        self._refresh()

    def _open(self, asked: Sequence[RunSpec]) -> None:
        """Open the runs that are new, all of them whatever happens in between.

        A strategy chooses a batch in view of all runs before it. Were the driver killed between
        two openings, the rest would be chosen anew in view of a part of the batch: other runs than
        without the kill. So the batch is written down as a whole before its first run is opened.
        """
        known = {o.run_id for o in self._observations} | set(self._running)
        known |= {spec.run_id for spec in self._queue}
        new = list({s.run_id: s for s in asked if s.run_id not in known}.values())
        if len(new) > 1:
            self._store.annotate({BATCH: [spec.to_dict() for spec in new]})
        for spec in new:
            self._store.open(spec)
            self._queue.append(spec)

    @property
    def _pending(self) -> list[RunSpec]:
        return [*self._running.values(), *self._queue]

    def _submit(self) -> None:
        """Take a pack of the next scale off the queue.

        Packs are no larger than it takes to keep all slots equally busy: 40 runs in packs of at
        most 8 on 2 slots go out in 6 packs, not in 5 of which the last leaves a slot idle.
        """
        first = self._queue[0]
        scale = first.scale
        # A pack shares one configuration: runs with other values of a knob go out apart.
        same = [s for s in self._queue if s.scale == scale and s.config == first.config]
        slots, most = self._executor.slots, self._pack_size(scale)
        free = slots - len(self._packs)
        later = math.ceil(max(len(same) - free * most, 0) / (slots * most))
        pack = same[: math.ceil(len(same) / (free + slots * later))]
        taken = {spec.run_id for spec in pack}
        self._queue = deque(s for s in self._queue if s.run_id not in taken)
        self._executor.submit(pack, self._runtime)
        self._packs.append(set(taken))
        self._running.update({spec.run_id: spec for spec in pack})

    def _finish(self, seen: Observation) -> None:
        # The executor may have rebuilt the spec on another machine; ours holds its kind.
        seen = replace(seen, spec=self._running.pop(seen.run_id))
        seen = judged(sound(seen), self._problem.objective)
        self._store.close(seen)
        self._observations.append(seen)
        for pack in self._packs:
            pack.discard(seen.run_id)
        self._packs = [pack for pack in self._packs if pack]
        self.status = replace(self.status, trained=self.status.trained + 1)
        failures = [o for o in self._observations if not o.ok]
        if len(failures) == len(self._observations) >= HOPELESS:
            raise SweepError(
                f"the first {len(failures)} runs all failed, so the sweep stops; the last one "
                f"says: {failures[-1].error}"
            )

    def _eta(self) -> float | None:
        """Seconds left by the work left; the time to start workers is no part of the pace."""
        done = _nominal(self._observations)
        if self.status.trained < self._executor.slots:
            return None
        if self._pace is None:
            self._pace = time.monotonic(), done
            return None
        began, before = self._pace
        if done <= before:
            return None
        left = max(self._work - done, 0.0)
        return (time.monotonic() - began) * left / (done - before)

    def _note(self, progress: Progress) -> None:
        spec, tokens = progress.spec, progress.point.tokens
        text = f"{spec.kind} {spec.run_id[:6]} at {tokens / spec.scale.tokens:.0%}"
        self.status = replace(self.status, latest=text)

    def _refresh(self) -> None:
        best = _best(self._observations, self._problem)
        pending = self._pending
        self.status = replace(
            self.status,
            planned=max(self.status.planned, len(self._observations) + len(pending)),
            done=len(self._observations),
            failed=sum(not o.ok for o in self._observations),
            running=len(self._running),
            flops=sum(o.flops for o in self._observations),
            seconds=time.monotonic() - self._started,
            eta_seconds=self._eta(),
            best=None if best is None else best[0],
            best_mixture="" if best is None else _shares(best[1]),
            best_scale=str(best[1].spec.scale) if best and len(self._problem.scales) > 1 else "",
            phase=str(pending[-1].kind.what) if pending else self.status.phase,
        )


def _nominal(observations: Sequence[Observation]) -> float:
    return sum(o.spec.scale.flops for o in observations)


def _best(
    observations: Sequence[Observation], problem: Problem
) -> tuple[float, Observation] | None:
    """The lowest objective among search runs of the smallest scale that has any: like with like."""
    search = [o for o in observations if o.ok and o.spec.kind.in_search]
    if not search:
        return None
    _, lowest = next(groupby(sorted(search, key=_scale), key=_scale))
    objective = (
        standardized(problem.objective, RunTable.from_observations(search, problem.space.names))
        if problem.objective.standardize
        else problem.objective
    )
    scored = [(objective_of(o.metrics, objective), o) for o in lowest]
    return min(scored, key=lambda pair: pair[0])


def _scale(seen: Observation) -> tuple[int, int]:
    return seen.spec.scale.params, seen.spec.scale.tokens


def _shares(seen: Observation) -> str:
    shares = sorted(seen.spec.mixture.to_dict().items(), key=lambda item: -item[1])
    return " ".join(f"{name} {share:.0%}" for name, share in shares[:3])
