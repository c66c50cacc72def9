"""The loop: a strategy driven through an executor into a store until it has no more to ask.

The store is the journal. Runs that a strategy has chosen are written there before the first of
them goes out, as a list; each is opened there when it is submitted, and closed when its result is
in. What is chosen or open when a sweep starts is submitted again. Nothing else remembers anything,
so a sweep that was killed goes on from its store, to the same runs.

What one run costs here does not grow with the runs in the store: everything that is looked at per
run is counted as runs come in (`Known`, `Standing`, `Waiting`).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from mixopt.errors import MixoptError
from mixopt.execution.answers import sound
from mixopt.execution.limits import Brakes, Halt, Limits
from mixopt.execution.standing import Best, Standing
from mixopt.execution.waiting import Waiting
from mixopt.ports import Executor, Progress, Store
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.strategies import Problem, Strategy
from mixopt.strategies.known import Known

HOPELESS = 5  # so many failures without one success stop a sweep before it wastes its budget
BATCH = "batch"
"""The annotation that holds what was chosen and is not opened yet (and maybe some that is)."""
_AHEAD = (
    32  # runs that wait for a slot; with as many, a strategy that waits for nothing is not asked
)
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
        halt: why the sweep stops before its strategy is done; None where it does not.
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
    halt: Halt | None = None


@dataclass(frozen=True)
class Settings:
    """How a sweep is run; no part of any run.

    Attributes:
        runtime: settings of the trainer that say how, not what, it trains.
        limits: what the sweep may take, and when failures pause it.
    """

    runtime: Mapping[str, Any] = field(default_factory=dict, hash=False)
    limits: Limits = field(default_factory=Limits)


def run_sweep(
    strategy: Strategy,
    problem: Problem,
    executor: Executor,
    store: Store,
    *,
    pack_size: Callable[[Scale], int] = lambda _: 1,
    settings: Settings | None = None,
    on_change: Callable[[SweepStatus], None] | None = None,
) -> SweepStatus:
    """Run until the strategy has nothing to ask and nothing is pending, or a limit is reached.

    The executor is left open; its owner closes it, also after an error or Ctrl-C.

    Args:
        strategy: what to train next.
        problem: what it works on.
        executor: where runs are trained.
        store: the record; a sweep found there is continued, and nothing is trained twice.
        pack_size: a scale to the most runs of it in one pack.
        settings: how it is run.
        on_change: called with the status after every event.

    Raises:
        SweepError: the first runs all failed.
        InputError: nothing can be fitted or proposed.
    """
    loop = _Loop(strategy, problem, executor, store, pack_size, settings or Settings())
    tell = on_change or (lambda _: None)
    while loop.fill():
        tell(loop.status)
        loop.collect()
    tell(loop.status)
    return loop.status


def queued(store: Store) -> list[RunSpec]:
    """The runs of a sweep that were chosen and never submitted, in order."""
    known = {o.run_id for o in store.observations()} | {spec.run_id for spec in store.pending()}
    specs = [RunSpec.from_dict(values) for values in store.annotations().get(BATCH) or ()]
    return [spec for spec in specs if spec.run_id not in known]


class _Loop:
    """The state of one call of `run_sweep`, all of it read off the store at the start."""

    def __init__(
        self,
        strategy: Strategy,
        problem: Problem,
        executor: Executor,
        store: Store,
        pack_size: Callable[[Scale], int],
        settings: Settings,
    ) -> None:
        self._strategy, self._problem = strategy, problem
        self._executor, self._store = executor, store
        self._pack_size, self._runtime = lru_cache(pack_size), dict(settings.runtime)
        self._started = time.monotonic()
        self._known, self._standing = Known(problem), Standing(problem.objective)
        for seen in store.observations():
            self._standing.add(self._known.see(seen))
        self._brakes = Brakes(settings.limits, store.observations(), store.attempts())
        self._waiting = Waiting()
        self._news = True  # what is known changed since the strategy had nothing to ask
        self._running: dict[str, RunSpec] = {}
        self._packs: list[set[str]] = []
        # What a killed driver had submitted goes first, then what it had chosen.
        chosen = queued(store)
        for spec in [*store.pending(), *chosen]:
            self._queue(spec)
        planned = strategy.planned(problem)
        self._work = sum(scale.flops for scale in planned)  # 6 N D of everything that is to come
        self._pace: tuple[float, float] | None = None  # when the first runs came in, and their work
        self._noted = bool(chosen)  # whether the store holds a list of runs that were chosen
        self._best: Best | None = None
        self.status = SweepStatus(planned=len(planned))
        self._refresh()

    def fill(self) -> bool:
        """Ask the strategy, submit what fits; False when there is nothing left to do."""
        if self._brakes.at_once:
            self._refresh()
            return False
        if self._brakes.halt is None:
            self._ask()
        while self._waiting and self._free > 0 and self._submit():
            pass
        self._refresh()
        if not self._running and not self._waiting and self._noted:
            self._store.annotate({BATCH: []})
        return bool(self._running)

    def collect(self) -> None:
        """Wait for events; close what has finished."""
        for event in self._executor.wait(_POLL_SECONDS):
            if isinstance(event, Progress):
                self._note(event)
            elif event.run_id in self._running:
                self._finish(event)
        self._refresh()

    @property
    def _free(self) -> int:
        return self._executor.slots - len(self._packs)

    def _ask(self) -> None:
        """Have the strategy choose runs, until there are some for every slot or it waits."""
        fed = self._executor.slots * self._pack_size(self._problem.scales[0])
        new: list[RunSpec] = []
        if len(self._waiting) < max(2 * fed, _AHEAD):
            while self._news and (chosen := self._choose()):
                new += chosen
                if len(self._waiting) >= fed:
                    break
        # A strategy chooses a batch in view of all runs before it. Were the driver killed when a
        # part of it is open, the rest would be chosen anew in view of that part: other runs than
        # without the kill. So the whole is written down first. One that goes out now is whole.
        if new and (len(self._waiting) > 1 or self._free < 1):
            waiting = [s.to_dict() for s in self._waiting]
            self._store.annotate({BATCH: waiting})
            self._noted = True

    def _choose(self) -> list[RunSpec]:
        """What the strategy asks for now and nobody knows yet, put into the queue.

        A strategy is a function of what is known: where it asked for nothing, it is asked again
        when a run has come in, and not at every sign of life of those that train.
        """
        known = self._known
        asked = self._strategy.next(self._problem, known.observations, known.pending)
        new = [spec for spec in {s.run_id: s for s in asked}.values() if spec.run_id not in known]
        for spec in new:
            self._queue(spec)
        self._news = bool(new)
        return new

    def _queue(self, spec: RunSpec) -> None:
        self._known.ask(spec)
        self._waiting.add(spec)

    def _submit(self) -> bool:
        """Open a pack in the store and send it out, if the limits allow any of its runs."""
        scale = self._waiting.scale
        most = self._brakes.room(scale, self._pack_size(scale))
        if not most:
            return False
        pack = self._waiting.take(self._free, self._executor.slots, most)
        for spec in pack:
            self._store.open(spec)
        self._executor.submit(pack, self._runtime)
        self._packs.append({spec.run_id for spec in pack})
        self._running.update({spec.run_id: spec for spec in pack})
        self._brakes.sent(pack)
        return True

    def _finish(self, seen: Observation) -> None:
        # The executor may have rebuilt the spec on another machine; ours holds its kind.
        seen = replace(seen, spec=self._running.pop(seen.run_id))
        seen = self._known.see(sound(seen))
        self._news = True
        self._store.close(seen)
        self._standing.add(seen)
        self._brakes.saw(seen)
        for pack in self._packs:
            pack.discard(seen.run_id)
        self._packs = [pack for pack in self._packs if pack]
        self.status = replace(self.status, trained=self.status.trained + 1)
        standing = self._standing
        if standing.failed == standing.done >= HOPELESS:
            raise SweepError(
                f"the first {standing.done} runs all failed, so the sweep stops; the last one "
                f"says: {standing.error}"
            )

    def _eta(self) -> float | None:
        """Seconds left by the work left; the time to start workers is no part of the pace."""
        done = self._standing.work
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
        standing, pending, status = self._standing, self._known.pending, self.status
        best = standing.best
        if best is not None and best is not self._best:
            self._best = best
            several = len(self._problem.scales) > 1
            scale = str(best.run.spec.scale) if several else ""
            status = replace(
                status, best=best.value, best_mixture=_shares(best.run), best_scale=scale
            )
        self.status = replace(
            status,
            planned=max(status.planned, standing.done + len(pending)),
            done=standing.done,
            failed=standing.failed,
            running=len(self._running),
            flops=standing.flops,
            seconds=time.monotonic() - self._started,
            eta_seconds=self._eta(),
            phase=str(pending[-1].kind.what) if pending else status.phase,
            halt=self._brakes.halt,
        )


def _shares(seen: Observation) -> str:
    shares = sorted(seen.mixture.to_dict().items(), key=lambda item: -item[1])
    return " ".join(f"{name} {share:.0%}" for name, share in shares[:3])
