"""What a Ray cluster has: room for packs, kinds of machines, and what to ask its autoscaler for."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources

from mixopt.execution.needs import Needs

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0  # the nodes are asked for at most this often
_KIND = "accelerator_type:"  # Ray names an accelerator by a resource of this form
_SLIVER = 0.001  # of that resource: enough to be placed there, never used up


class Cluster:
    """The living nodes, looked at every few seconds (they come and go).

    Args:
        nodes: gives what `ray.nodes` gives.
    """

    def __init__(self, nodes: Callable[[], list[dict[str, Any]]] = ray.nodes) -> None:
        self._ask = nodes
        self._seen: tuple[float, list[dict[str, Any]]] = (-_LOOK_SECONDS, [])
        self._asked: list[dict[str, float]] = []

    def room(self, needs: Needs, kind: str = "") -> int:
        """Packs that the living nodes have room for, were they empty.

        Args:
            needs: of one pack.
            kind: of accelerator; empty for any.
        """
        amounts = needs.amounts or {"CPU": 1.0}
        each = [
            min(int(node["Resources"].get(k, 0) / v + 1e-9) for k, v in amounts.items())
            for node in self._living()
            if _has_labels(node, needs.labels) and (not kind or _KIND + kind in node["Resources"])
        ]
        if needs.nodes_per_pack == 1:
            return sum(each)
        return _spread(each, needs.nodes_per_pack)

    def kinds(self, needs: Needs) -> list[str]:
        """Accelerators of the nodes that have room for a pack, by name; none for packs without."""
        if not needs.gpus_per_pack:
            return []
        names = {
            resource.removeprefix(_KIND)
            for node in self._living()
            for resource in node["Resources"]
            if resource.startswith(_KIND)
        }
        return sorted(name for name in names if self.room(needs, name))

    def is_alive(self, node: str) -> bool:
        """Whether a node, by its id, is there as of this moment."""
        return any(n["NodeID"] == node and n["Alive"] for n in self._ask())

    @property
    def is_this_machine(self) -> bool:
        """Whether there is one node alone, and this process is on it."""
        nodes = self._living()
        mine = ray.get_runtime_context().get_node_id()
        return len(nodes) == 1 and nodes[0]["NodeID"] == mine

    def request(self, packs: Sequence[Needs]) -> None:
        """Ask the autoscaler for room for these packs; none gives the machines back.

        The autoscaler sees tasks that wait and grows step by step; asked, it starts at once all
        the machines that the packs need, and keeps them between two batches. Without an autoscaler
        nothing happens. A cluster has one such request: of two sweeps the later one counts.
        """
        bundles = [dict(needs.amounts) for needs in packs for _ in range(needs.nodes_per_pack)]
        if bundles == self._asked:
            return
        labels = [dict(needs.labels) for needs in packs for _ in range(needs.nodes_per_pack)]
        try:
            request_resources(bundles=bundles, bundle_label_selectors=labels)
        except (RuntimeError, OSError, ValueError) as error:  # a wish: the tasks wait all the same
            _log.debug("the autoscaler cannot be asked: %s", error)
        self._asked = bundles

    def _living(self) -> list[dict[str, Any]]:
        when, nodes = self._seen
        if time.monotonic() - when >= _LOOK_SECONDS:
            nodes = [node for node in self._ask() if node["Alive"]]
            self._seen = (time.monotonic(), nodes)
        return nodes


def on_kind(kind: str) -> dict[str, float]:
    """The resource that sends a task to nodes with this accelerator; empty for any."""
    return {_KIND + kind: _SLIVER} if kind else {}


def _has_labels(node: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether a node has labels; a value may be `!a`, `in(a,b)` or `!in(a,b)`, as Ray has it."""
    labels = node.get("Labels") or {}
    return all(_fits(labels.get(name), rule) for name, rule in wanted.items())


def _fits(value: str | None, rule: str) -> bool:
    inverse, rule = rule.startswith("!"), rule.removeprefix("!")
    options = rule[3:-1].split(",") if rule.startswith("in(") and rule.endswith(")") else [rule]
    return (value in [option.strip() for option in options]) is not inverse


def _spread(each: Sequence[int], nodes: int) -> int:
    """Packs that find room on `nodes` different nodes each, where `each` has so many places."""
    low, high = 0, sum(each) // nodes
    while low < high:  # k packs fit exactly if the places, at most k a node, are nodes * k
        middle = (low + high + 1) // 2
        fits = sum(min(places, middle) for places in each) >= nodes * middle
        low, high = (middle, high) if fits else (low, middle - 1)
    return low
