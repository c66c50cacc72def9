"""A pack that was given to a cluster: what it holds, since when, what to say where it is silent."""

import math
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

from mixopt.evidence.numbers import plural
from mixopt.execution.needs import Needs
from mixopt.execution.packs import Pack
from mixopt.runs import Place

N = TypeVar("N", bound=Needs)


@dataclass(frozen=True, kw_only=True)
class Sent(Generic[N]):
    """A pack that was given to a cluster. Times are in monotonic seconds.

    Attributes:
        pack: its runs.
        needs: of the pack.
        since: when it was submitted; `heard`: when something last came of it.
        began: when a worker took it up; None while it waits.
        host: name of the machine of that worker.
        warned: that nothing was heard for long.
    """

    pack: Pack
    needs: N
    since: float
    heard: float
    began: float | None = None
    host: str = ""
    warned: bool = False

    @property
    def gpus(self) -> float:
        """GPUs that it holds."""
        return float(self.needs.gpus_per_pack * self.needs.nodes_per_pack)

    @property
    def place(self) -> Place | None:
        """Where each of its runs was trained so far; None while it waits."""
        if self.began is None:
            return None
        return Place(self.host, (time.monotonic() - self.began) / len(self.pack.specs), self.gpus)

    @property
    def limit(self) -> float:
        """Seconds that it may take."""
        return self.needs.seconds(self.pack.specs)

    @property
    def deadline(self) -> float:
        """When it has taken longer than it may; infinite while it waits."""
        return math.inf if self.began is None else self.began + self.limit

    def silence(self, now: float, room: str) -> str:
        """That nothing was heard of it for long, and what to do.

        Args:
            now: in monotonic seconds.
            room: what it waits for, and where to look, should it still wait.
        """
        specs = self.pack.specs
        what = f"{plural(len(specs), 'run')} of {specs[0].scale} (first: {specs[0].run_id})"
        if self.began is None:
            return f"{what} wait since {now - self.since:.0f} s for {room}"
        return (
            f"nothing was heard of {what} on {self.host} for {now - self.heard:.0f} s; "
            "execution.timeout ends runs that hang"
        )
