"""What a cluster has room for, from the nodes that Ray lists."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.execution.needs import Needs
from mixopt.lazy import load

Cluster = load("mixopt.execution.ray.cluster:Cluster")
MODULE = "mixopt.execution.ray.cluster"


def node(labels: dict[str, str] | None = None, *, alive: bool = True, **amounts: float) -> Any:
    kinds = {k.replace("__", ":"): v for k, v in amounts.items()}
    return {"NodeID": str(kinds), "Alive": alive, "Resources": kinds, "Labels": labels or {}}


def cluster(*nodes: Any) -> Any:
    return Cluster(lambda: list(nodes))


def test_room_is_counted_by_the_scarcest_resource_of_each_living_node() -> None:
    seen = cluster(node(CPU=8, GPU=1), node(CPU=3), node(alive=False, CPU=64))
    assert seen.room(Needs()) == 11
    assert seen.room(Needs(cpus_per_pack=2)) == 5
    assert seen.room(Needs(gpus_per_pack=0.25)) == 4
    assert seen.room(Needs(cpus_per_pack=0)) == 11
    assert seen.room(Needs(resources={"TPU": 1})) == 0


def test_labels_choose_nodes() -> None:
    spot, other = {"market": "spot"}, {"market": "on-demand"}
    seen = cluster(node(spot, CPU=1), node(other, CPU=10), node(CPU=100))
    for rule, room in [
        ("spot", 1),
        ("!spot", 110),
        ("in(spot, on-demand)", 11),
        ("!in(spot,on-demand)", 100),
    ]:
        assert seen.room(Needs(labels={"market": rule})) == room


def test_kinds_are_accelerators_that_have_room() -> None:
    big = node(CPU=64, GPU=8, accelerator_type__H100=1)
    small = node(CPU=2, GPU=1, accelerator_type__L4=1)
    seen = cluster(big, small, node(CPU=4))
    assert seen.kinds(Needs()) == []
    assert seen.kinds(Needs(gpus_per_pack=1)) == ["H100", "L4"]
    assert seen.kinds(Needs(gpus_per_pack=2)) == ["H100"]
    assert seen.room(Needs(gpus_per_pack=1), "H100") == 8


@settings(deadline=None)
@given(places=st.lists(st.integers(0, 4), min_size=1, max_size=5), nodes=st.integers(2, 4))
def test_a_pack_over_several_nodes_has_each_part_on_another(places: list[int], nodes: int) -> None:
    seen = cluster(*(node({"n": str(i)}, CPU=k) for i, k in enumerate(places)))
    left, packs = sorted(places, reverse=True), 0
    while len(left) >= nodes and left[nodes - 1]:  # greedy: always the emptiest ones
        left = sorted([*(k - 1 for k in left[:nodes]), *left[nodes:]], reverse=True)
        packs += 1
    assert seen.room(Needs(nodes_per_pack=nodes)) == packs


def test_nodes_are_looked_at_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, now = [node(CPU=1)], [1000.0]
    clock: Callable[[], float] = lambda: now[0]  # noqa: E731
    monkeypatch.setattr(f"{MODULE}.time.monotonic", clock)
    seen = Cluster(lambda: nodes)
    assert seen.room(Needs()) == 1
    nodes.append(node(CPU=2))
    assert seen.room(Needs()) == 1
    now[0] += 6
    assert seen.room(Needs()) == 3
    nodes.clear()
    now[0] += 6
    assert seen.room(Needs()) == 0


def test_the_autoscaler_is_asked_once_per_change_and_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(f"{MODULE}.request_resources", lambda **request: asked.append(request))
    seen = cluster()
    large = Needs(gpus_per_pack=1, nodes_per_pack=2, labels={"market": "spot"})
    seen.request([Needs(), large])
    seen.request([Needs(), large])
    seen.request([])
    seen.request([])
    gpu = {"CPU": 1.0, "GPU": 1.0}
    assert asked == [
        {
            "bundles": [{"CPU": 1.0}, gpu, gpu],
            "bundle_label_selectors": [{}, {"market": "spot"}, {"market": "spot"}],
        },
        {"bundles": [], "bundle_label_selectors": []},
    ]
