"""Where a sweep stands, from its store alone: while it runs, or long after.

Nothing is prepared, trained or fitted, and no trainer is loaded.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixopt.app.promotion.promotion_state import PromotionState, promotion_state
from mixopt.app.results.publish import OUTCOME
from mixopt.app.running.checks import make_strategy
from mixopt.app.running.launch import Sweep, open_sweep
from mixopt.diagnostics import Foretelling, foretelling
from mixopt.errors import MixoptError, StoreError
from mixopt.evidence.outcome import Outcome
from mixopt.execution import heartbeat, limits
from mixopt.execution.heartbeat import Driver, driver_of
from mixopt.execution.spent import Spent
from mixopt.execution.standing import Standing
from mixopt.execution.sweep import queued
from mixopt.runs import Attempt, Observation, What
from mixopt.runs.failures import Cause, causes
from mixopt.runs.objective import Objective, judged

RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
PAUSED, LIMIT, FAILED, LOST = "paused", "at its limit", "failed", "no driver"
"""States of a sweep: a driver is at work; it ran to its end; somebody stopped it; it paused after
failures; it reached a limit of the user's; it met an error; or its driver has gone without a
word. All but the first two go on with 'mixopt run'."""

_CAME_TO = {
    heartbeat.FINISHED: FINISHED,
    heartbeat.STOPPED: STOPPED,
    limits.PAUSED: PAUSED,
    limits.LIMIT: LIMIT,
    heartbeat.FAILED: FAILED,
    heartbeat.RUNNING: LOST,
}


@dataclass(frozen=True)
class HostRuns:
    """A machine: how many runs it trained, and how many of them failed."""

    host: str
    runs: int
    failed: int


@dataclass(frozen=True)
class BestRun:
    """The best search run so far: its objective, scale and mixture."""

    value: float
    scale: str
    mixture: Mapping[str, float] = field(hash=False)
    run_id: str


@dataclass(frozen=True)
class SweepState:
    """Where a sweep stands.

    Attributes:
        name: of the sweep. folder: where it is.
        state: one word or two for it (`RUNNING` ...).
        reason: why it stands still, where its driver said so.
        planned: runs that its strategy will ask for at most; None where that is not known here.
        done: runs that came in. failed: of these, failed.
        running: runs under way. waiting: chosen or given up by a driver that went, to be trained.
        retried: runs that came in after failed attempts, or wait for another.
        spent: on the runs that came in. price: of an hour, where the spec has one.
        eta: seconds left; None where no driver says.
        best: the best search run; None before the first. unit: of its objective.
        causes: of failures. hosts: where runs were trained.
        driver: the last sign of life; None where there never was one.
        answer: headline and verdict as they were concluded last; empty before that.
        answered: how many runs that rests on.
        notes: what else there is to know, in words.
        curves: from where on learning curves foretell their end; None where they are too short.
        promotion: where that stands, if it has begun; its runs count in cost, causes and hosts, and
            nowhere else above.
    """

    name: str
    folder: Path
    state: str
    reason: str
    planned: int | None
    done: int
    failed: int
    running: int
    waiting: int
    retried: int
    spent: Spent
    price: float | None
    eta: float | None
    best: BestRun | None
    unit: str
    causes: tuple[Cause, ...]
    hosts: tuple[HostRuns, ...]
    driver: Driver | None
    answer: tuple[str, ...] = ()
    answered: int = 0
    notes: tuple[str, ...] = ()
    curves: Foretelling | None = None
    promotion: PromotionState | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will change until somebody starts a driver."""
        promoting = self.promotion is not None and self.promotion.alive
        return self.state != RUNNING and not promoting

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values for programs."""
        best, driver = self.best, self.driver
        return {
            "name": self.name,
            "folder": str(self.folder),
            "state": self.state,
            "reason": self.reason,
            "planned": self.planned,
            "done": self.done,
            "failed": self.failed,
            "running": self.running,
            "waiting": self.waiting,
            "retried": self.retried,
            **self.spent.to_dict(self.price),
            "wall_seconds": None if driver is None else driver.wall,
            "eta_seconds": self.eta,
            "best": None
            if best is None
            else {
                "value": best.value,
                "unit": self.unit,
                "scale": best.scale,
                "mixture": dict(best.mixture),
                "run_id": best.run_id,
            },
            "failures": [cause.to_dict() for cause in self.causes],
            "hosts": [vars(host) for host in self.hosts],
            "driver": None if driver is None else vars(driver),
            "answer": list(self.answer),
            "answered_runs": self.answered,
            "notes": list(self.notes),
            "curves": None if self.curves is None else self.curves.to_dict(),
            "promotion": None if self.promotion is None else self.promotion.to_dict(),
        }


def read_state(path: Path, now: float) -> SweepState:
    """Where a sweep stands.

    Args:
        path: its folder, name or spec.
        now: seconds since 1970.

    Raises:
        MixoptError: there is no such sweep, or it cannot be read.
    """
    with open_sweep(path) as sweep:
        return state_of(sweep, now)


def state_of(sweep: Sweep, now: float) -> SweepState:
    """Where a sweep stands that is open, for reading at least."""
    store, objective = sweep.store, sweep.problem.objective
    kept = store.annotations()
    seen = [judged(o, objective) for o in store.observations()]
    searched = [o for o in seen if o.spec.kind.what is not What.PROMOTION]
    open_ones = [spec for spec in store.pending() if spec.kind.what is not What.PROMOTION]
    driver = driver_of(kept, now)
    running = driver.running if driver is not None else 0
    left = len(queued(store)) + max(len(open_ones) - running, 0)
    planned = _planned(sweep, driver, promoted=len(searched) < len(seen))
    answer, answered = _answer(kept)
    state = _state(driver, len(searched), planned, left)
    return SweepState(
        name=sweep.spec.name,
        folder=sweep.folder,
        state=state,
        reason=driver.reason if driver is not None and state != FINISHED else "",
        planned=planned,
        done=len(searched),
        failed=sum(not o.ok for o in searched),
        running=running,
        waiting=left,
        retried=sum(bool(o.attempts) for o in searched)
        + sum(spec.run_id in store.attempts() for spec in open_ones),
        spent=_spent(seen, store.attempts()),
        price=sweep.spec.execution.price_per_hour,
        eta=_eta(driver),
        best=_best(seen, objective),
        unit=objective.unit(sweep.info.unit),
        causes=causes(seen),
        hosts=_hosts(seen),
        driver=driver,
        answer=answer,
        answered=answered,
        notes=sweep.changes,
        curves=foretelling(searched, objective),
        promotion=promotion_state(sweep, kept, seen, now),
    )


def _state(driver: Driver | None, done: int, planned: int | None, left: int) -> str:
    whole = planned is not None and done >= planned and not left
    if driver is None:
        return FINISHED if whole else LOST
    if driver.alive:
        return RUNNING
    state = _CAME_TO.get(driver.state, driver.state)
    if state == FINISHED and left:  # runs were marked to be trained again, and nobody went on
        return STOPPED
    return FINISHED if state == LOST and whole else state


def _planned(sweep: Sweep, driver: Driver | None, *, promoted: bool) -> int | None:
    """Runs that will be asked for: as the driver says, else by the strategy, if it is here.

    A driver counts all runs of the store, those of a promotion too, where there has been one.
    """
    told = None if driver is None else driver.planned
    if told is not None and not promoted:
        return told
    try:
        return len(make_strategy(sweep.spec).planned(sweep.problem))
    except MixoptError:  # one of the user's own, that cannot be imported from here
        return told


def _spent(seen: Sequence[Observation], attempts: Mapping[str, Sequence[Attempt]]) -> Spent:
    total = Spent.of(seen)
    for tries in attempts.values():
        total = total.tried(tries)
    return total


def _best(seen: Sequence[Observation], objective: Objective) -> BestRun | None:
    standing = Standing(objective)
    for run in seen:
        standing.add(run)
    best = standing.best
    if best is None:
        return None
    spec = best.run.spec
    return BestRun(best.value, str(spec.scale), spec.mixture.to_dict(), spec.run_id)


def _eta(driver: Driver | None) -> float | None:
    if driver is None or driver.eta is None:
        return None
    return max(driver.eta - driver.age, 0.0)


def _hosts(seen: Sequence[Observation]) -> tuple[HostRuns, ...]:
    runs = Counter(o.place.host for o in seen if o.place is not None)
    failed = Counter(o.place.host for o in seen if o.place is not None and not o.ok)
    return tuple(HostRuns(host, n, failed[host]) for host, n in runs.most_common())


def _answer(kept: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """Headline and verdict as they are kept, and the number of runs that they rest on."""
    if OUTCOME not in kept:
        return (), 0
    try:
        outcome = Outcome.from_dict(kept[OUTCOME])
    except StoreError as error:
        return (str(error),), 0
    return (outcome.headline, outcome.verdict.line, f"{outcome.checkup.trust.line}."), outcome.runs
