"""Where the promotion of a sweep stands, from the store alone: its runs are none of the search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixopt.app.promotion.promote import PART, begun
from mixopt.app.running.launch import Sweep
from mixopt.execution import heartbeat
from mixopt.execution.heartbeat import HEARTBEAT, Driver, driver_of
from mixopt.execution.part import named
from mixopt.runs import Observation


@dataclass(frozen=True)
class PromotionState:
    """Where a promotion stands.

    Attributes:
        planned: runs of all its plans and seeds; those of them that the sweep had count as done.
        done: runs that came in. failed: of these, failed.
        running: runs under way. waiting: to be trained by the next 'mixopt promote'.
        driver: the last sign of life of 'mixopt promote'.
    """

    planned: int
    done: int
    failed: int
    running: int
    waiting: int
    driver: Driver | None

    @property
    def alive(self) -> bool:
        """Whether 'mixopt promote' is training just now."""
        return self.driver is not None and self.driver.alive

    @property
    def state(self) -> str:
        """One word for it."""
        if self.alive:
            return heartbeat.RUNNING
        if self.done >= self.planned:
            return "trained"
        ends = {heartbeat.RUNNING: "no driver", heartbeat.FINISHED: heartbeat.STOPPED}
        return (
            "no driver" if self.driver is None else ends.get(self.driver.state, self.driver.state)
        )

    @property
    def reason(self) -> str:
        """Why it stands still before its end, where its driver said so."""
        still = not self.alive and self.done < self.planned
        return self.driver.reason if still and self.driver is not None else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values for programs."""
        driver = None if self.driver is None else vars(self.driver)
        return {**vars(self), "state": self.state, "reason": self.reason, "driver": driver}


def promotion_state(
    sweep: Sweep, kept: Mapping[str, Any], closed: Sequence[Observation], now: float
) -> PromotionState | None:
    """Where the promotion of a sweep stands; None where none has begun by the rules of its spec.

    Args:
        sweep: opened.
        kept: the annotations of its store.
        closed: all its runs that came in.
        now: seconds since 1970.
    """
    recipe = begun(sweep, kept)
    if recipe is None:
        return None
    ids = {s.run_id for specs in recipe.specs(sweep.problem).values() for s in specs}
    seen = [o for o in closed if o.run_id in ids]
    driver = driver_of({HEARTBEAT: kept.get(named(PART, HEARTBEAT))}, now)
    left = len(ids) - len(seen)
    running = 0 if driver is None else min(driver.running, left)
    failed = sum(not o.ok for o in seen)
    return PromotionState(len(ids), len(seen), failed, running, left - running, driver)
