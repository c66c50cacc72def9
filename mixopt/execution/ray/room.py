"""How many packs would find room, asked before anything is trained; nothing is started."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from mixopt.errors import MixoptError
from mixopt.execution.needs import Needs, NeedsByScale
from mixopt.execution.ray.cluster import Cluster
from mixopt.execution.ray.session import connect


@dataclass(frozen=True)
class Room:
    """Machines, and the packs that they have room for at once, were they empty.

    Attributes:
        machines: in words.
        doubts: why they may be others than those of the sweep; empty where nothing speaks so.
    """

    machines: str
    doubts: str
    cluster: Cluster

    def packs(self, needs: Needs) -> int:
        """How many packs of these needs run at once."""
        return self.cluster.room(needs)


def room(address: str | None, needs: NeedsByScale[Needs]) -> Room:
    """The cluster at an address, or this machine where none is named or it does not answer.

    Args:
        address: of the spec; else `$RAY_ADDRESS`.
        needs: of packs.
    """
    where = address or os.environ.get("RAY_ADDRESS")
    if where is None or where == "local":
        return _of("this machine", "", this_machine())
    try:
        with connect(where, needs.base.threads, None):
            nodes: list[dict[str, Any]] = ray.nodes()
    except MixoptError as error:
        told = f"the cluster at {where!r} is not there ({error}); this machine is counted instead"
        return _of("this machine", told, this_machine())
    return _of(f"the Ray cluster at {where}", "", nodes)


def this_machine() -> list[dict[str, Any]]:
    """This machine as Ray would have it as its only node."""
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    resources = {"CPU": float(os.cpu_count() or 1), "GPU": float(gpus)}
    resources["memory"] = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return [{"NodeID": "here", "Alive": True, "Resources": resources, "Labels": {}}]


def _of(name: str, doubts: str, nodes: list[dict[str, Any]]) -> Room:
    living = [node["Resources"] for node in nodes if node["Alive"]]
    words = [f"{_sum(living, 'CPU'):g} CPUs"]
    words += [f"{gpus:g} GPUs"] if (gpus := _sum(living, "GPU")) else []
    count = f"{len(living)} nodes, " if len(living) != 1 else ""
    return Room(f"{name}: {count}{', '.join(words)}", doubts, Cluster(lambda: nodes))


def _sum(living: list[Mapping[str, float]], what: str) -> float:
    return sum(resources.get(what, 0.0) for resources in living)
