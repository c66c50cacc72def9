"""What store and folder say of a sweep comes back as it was."""

from dataclasses import replace

import pytest

from mixopt import Domain
from mixopt.app.record import claim, read_info
from mixopt.app.spec import parse_spec
from mixopt.errors import StoreError
from mixopt.execution.local import MemoryStore
from mixopt.ports import TrainerInfo
from mixopt.testing.store_contract import example_spec

SPEC = {
    "version": 1,
    "name": "kept",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer"},
    "scales": [{"params": 1000, "tokens": 1000}],
    "objective": {"minimize": "loss/web"},
}
INFO = TrainerInfo(
    domains=(
        Domain("web-new", tokens=1e9, prior=0.5, tags={"licence": "mit"}, parent="web"),
        Domain("code"),
    ),
    metrics=("loss/web",),
    unit="nats/token",
    data="abc",
    warnings=("odd",),
    notes={"size": 3},
)


def test_everything_that_the_trainer_said_comes_back_parents_too() -> None:
    store = MemoryStore()
    claim(store, parse_spec(SPEC), INFO, {})
    assert read_info(store.annotations()["info"]) == INFO


def test_a_store_with_runs_is_claimed_by_the_same_sweep_alone() -> None:
    store, spec = MemoryStore(), parse_spec(SPEC)
    claim(store, spec, INFO, {})
    other = parse_spec({**SPEC, "seed": 1})
    claim(store, other, INFO, {})  # nothing was trained yet
    store.open(example_spec())
    with pytest.raises(StoreError, match=r"differs in: seed \(1 before, 0 now\);"):
        claim(store, spec, INFO, {})
    with pytest.raises(StoreError, match="the prepared data"):
        claim(store, other, replace(INFO, data="xyz"), {})
    runtime = {**SPEC, "seed": 1, "trainer": {**SPEC["trainer"], "runtime": {"sleep": 1.0}}}
    claim(store, parse_spec(runtime), INFO, {})
    config = {**SPEC, "seed": 1, "trainer": {**SPEC["trainer"], "config": {"noise": 1.0}}}
    with pytest.raises(
        StoreError, match=r"differs in: trainer\.config\.noise \(null before, 1.0 now\);"
    ):
        claim(store, parse_spec(config), INFO, {"noise": 1.0})
