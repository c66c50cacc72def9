"""A pack that was given to Ray: what it takes, since when, and what to say where it is silent."""

import math
import time
from dataclasses import dataclass
from typing import Any

from mixopt.execution.needs import Needs
from mixopt.execution.packs import Pack
from mixopt.execution.ray.cluster import on_kind
from mixopt.runs import Place


@dataclass(frozen=True)
class UnderWay:
    """A pack that was given to Ray.

    Attributes:
        pack: its runs.
        needs: of the pack.
        since: when it was submitted; `heard`: when something last came of it (monotonic seconds).
        began: when a worker took it up; None while it waits for room.
        node, host: Ray's id and the name of the machine of that worker.
        kind: accelerator that it was sent to.
        group: the reservation of several machines; None for one.
        members: streams of the other machines.
        warned: that nothing was heard for long.
    """

    pack: Pack
    needs: Needs
    since: float
    heard: float
    began: float | None = None
    node: str = ""
    host: str = ""
    kind: str = ""
    group: Any = None
    members: tuple[Any, ...] = ()
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
        seconds = (time.monotonic() - self.began) / len(self.pack.specs)
        return Place(self.host, seconds, self.gpus)

    @property
    def deadline(self) -> float:
        """When it has taken longer than it may; infinite while it waits."""
        if self.began is None:
            return math.inf
        return self.began + self.needs.seconds(self.pack.specs)


def options(needs: Needs, kind: str) -> dict[str, Any]:
    """What Ray's options call the needs of a task.

    Args:
        needs: of the pack.
        kind: of accelerator that it is sent to; empty for any.
    """
    amounts = needs.amounts
    own = {k: v for k, v in amounts.items() if k not in {"CPU", "GPU", "memory"}}
    return {
        "num_cpus": amounts.get("CPU", 0),
        "num_gpus": amounts.get("GPU", 0),
        "memory": amounts.get("memory"),
        "resources": {**own, **on_kind(kind)},
        "label_selector": dict(needs.labels) or None,
    }


def warning(under_way: UnderWay, now: float) -> str:
    """That nothing was heard of a pack for long, and what to do."""
    specs = under_way.pack.specs
    what = f"{len(specs)} run(s) of {specs[0].scale} (first: {specs[0].run_id})"
    if under_way.began is None:
        return (
            f"{what} wait since {now - under_way.since:.0f} s for a node with room for "
            f"{under_way.needs}; see 'ray status'"
        )
    silent = now - under_way.heard
    return (
        f"nothing was heard of {what} on {under_way.host} for {silent:.0f} s; execution.timeout "
        "ends runs that hang"
    )
