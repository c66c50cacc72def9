"""Where a run was trained, and what became of its earlier attempts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where a run was trained, and what it held there. Where nothing is known, a run has none.

    Attributes:
        host: name of the machine.
        seconds: for which its pack was under way, divided among the runs of the pack: those of all
            runs are the time that slots were taken.
        gpus: reserved for the pack; 0 where its executor reserves none.
    """

    host: str
    seconds: float = 0.0
    gpus: float = 0.0

    @property
    def gpu_seconds(self) -> float:
        """GPU-seconds that the run took from others."""
        return self.seconds * self.gpus


@dataclass(frozen=True)
class Attempt:
    """An attempt at a run that failed, before the run was trained again.

    Attributes:
        error: the reason.
        flops: training FLOPs spent. seconds: wall clock, as the trainer counted.
        place: where; None where that is not known.
        until: when it was given up for another, seconds since 1970 on the driver's clock.
    """

    error: str
    flops: float = 0.0
    seconds: float = 0.0
    place: Place | None = None
    until: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `Attempt.from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Attempt":
        """The attempt that `to_dict` wrote."""
        place = values.get("place")
        return cls(**{**values, "place": None if place is None else Place(**place)})
