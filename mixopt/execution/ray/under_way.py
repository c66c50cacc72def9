"""A pack that was given to Ray: what it takes, since when, and what to say where it is silent."""

from dataclasses import dataclass
from typing import Any

from mixopt.execution.needs import Needs
from mixopt.execution.ray.cluster import on_kind
from mixopt.execution.sent import Sent


@dataclass(frozen=True, kw_only=True)
class UnderWay(Sent[Needs]):
    """A pack that was given to Ray.

    Attributes:
        node: Ray's id of the machine of its worker.
        kind: accelerator that it was sent to.
        group: the reservation of several machines; None for one.
        members: streams of the other machines.
    """

    node: str = ""
    kind: str = ""
    group: Any = None
    members: tuple[Any, ...] = ()


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
    return under_way.silence(now, f"a node with room for {under_way.needs}; see 'ray status'")
