"""What a sweep has spent: runs, FLOPs, hours of slots and GPUs, money."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mixopt.runs import Attempt, Observation

_HOUR = 3600.0


@dataclass(frozen=True)
class Spent:
    """The cost of runs, failed ones and failed attempts included.

    Attributes:
        runs: that have come in.
        flops: of training.
        slot_hours: for which slots of the executor were taken.
        gpu_hours: for which GPUs were; 0 where packs reserved none.
    """

    runs: int = 0
    flops: float = 0.0
    slot_hours: float = 0.0
    gpu_hours: float = 0.0

    @classmethod
    def of(cls, observations: Iterable[Observation]) -> "Spent":
        """On these runs."""
        total = cls()
        for seen in observations:
            total = total.plus(seen)
        return total

    def plus(self, seen: Observation) -> "Spent":
        """With one more run."""
        return Spent(
            self.runs + 1,
            self.flops + seen.spent,
            self.slot_hours + seen.slot_seconds / _HOUR,
            self.gpu_hours + seen.gpu_seconds / _HOUR,
        )

    def tried(self, attempts: Iterable[Attempt]) -> "Spent":
        """With failed attempts at a run that is open."""
        total = self
        for attempt in attempts:
            place = attempt.place
            seconds = attempt.seconds if place is None else place.seconds
            gpu_seconds = 0.0 if place is None else place.gpu_seconds
            total = Spent(
                total.runs,
                total.flops + attempt.flops,
                total.slot_hours + seconds / _HOUR,
                total.gpu_hours + gpu_seconds / _HOUR,
            )
        return total

    @property
    def priced_hours(self) -> float:
        """The hours that cost money: of GPUs, or of slots where packs reserve no GPU."""
        return self.gpu_hours or self.slot_hours

    def money(self, price_per_hour: float | None) -> float | None:
        """What it cost, in the unit of the price; None without a price."""
        return None if price_per_hour is None else self.priced_hours * price_per_hour

    def to_dict(self, price_per_hour: float | None = None) -> dict[str, Any]:
        """Plain JSON values for programs."""
        hours = {"slot_hours": self.slot_hours, "gpu_hours": self.gpu_hours}
        return {"flops": self.flops, **hours, "money": self.money(price_per_hour)}
