"""What store and folder say of a sweep comes back as it was."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixopt import Domain
from mixopt.app.running import record
from mixopt.app.running.record import (
    FIXED,
    changes_of,
    check_folder,
    claim,
    keep_spec,
    read_info,
    remembered_spec,
)
from mixopt.app.spec.spec_file import parse_spec
from mixopt.app.spec.values import Spec, TrainerSpec
from mixopt.errors import StoreError
from mixopt.execution.local import MemoryStore
from mixopt.execution.sweep import BATCH
from mixopt.ports import TrainerInfo
from mixopt.runs.kinds import DESIGN, PROPOSAL, Kind
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


# -- a field of the spec at a time -----------------------------------------------------------------

RICH = {
    **SPEC,
    "space": {"bounds": {"code": [0.0, 0.4]}, "budget": "1B"},
    "strategy": {"use": "random", "runs": 8},
    "warm_start": ["runs/old"],
}


def rich(**changes: Any) -> Spec:
    """The spec with fields changed by path, `__` for a dot."""
    values = json.loads(json.dumps(RICH))
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = values
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value
    return parse_spec(values)


def claimed(*kinds: Kind) -> MemoryStore:
    """A store of that spec with a run of each kind."""
    store = MemoryStore()
    claim(store, rich(), INFO, {"noise": 1.0, "size": (1, 2)})
    for i, kind in enumerate(kinds):
        store.open(replace(example_spec(), seed=i, kind=kind))
    return store


REFUSED = {
    "seed": {"seed": 7},
    "scales": {"scales": [{"params": 1000, "tokens": 2000}]},
    "trainer.use": {"trainer__use": "lab:T"},
    "trainer.config.lr": {"trainer__config": {"lr": 1}},
    "space.bounds.code": {"space__bounds": {"code": [0.0, 0.2]}},
    "space.bounds.web-new": {"space__bounds": {"code": [0.0, 0.4], "web-new": [0.1, 1.0]}},
    "space.groups": {"space__groups": {"g": {"domains": ["code"], "upper": 0.3}}},
    "space.ties": {"space__ties": {"t": {"code": 1.0, "web-new": 1.0}}},
    "space.monotone": {"space__monotone": {"o": ["code", "web-new"]}},
    "space.budget": {"space__budget": "2B"},
    "space.epochs": {"space__epochs": 2.0},
    "space.min_weight": {"space__min_weight": 0.01},
    "space.domains.code": {"space__domains": {"code": {"prior": 3.0}}},
    "knobs": {"knobs": {"lr": {"low": 0.1, "high": 1.0}}},
    "warm_start": {"warm_start": ["runs/older"]},
}
READ = {
    "objective.maximize": {"objective": {"maximize": "loss/web"}},
    "objective.kl": {"objective__kl": 0.1},
    "objective.standardize": {"objective__standardize": True},
    "objective.guards": {"objective__guards": {"loss/web": {"tolerance": 0.1}}},
    "strategy.use": {"strategy__use": "olmix"},
    "strategy.runs": {"strategy__runs": 16},
}
FREE: dict[str, dict[str, Any]] = {
    "trainer.runtime": {"trainer__runtime": {"sleep": 1.0}},
    "execution": {"execution": {"use": "local", "pack_size": 3, "cache": "elsewhere"}},
    "store": {"store": {"use": "memory"}},
    "question": {"question": "more code?", "owner": "ada"},
    "the same in other words": {"objective": {"minimize": {"loss/web": 2.0}}},
}
CONFIG = {"noise": 1.0, "size": (1, 2)}


def test_every_field_of_a_spec_has_a_rule() -> None:
    # Rules of promotion have a record of their own: `mixopt.app.running.posts`.
    free = {"version", "question", "owner", "execution", "store", "promotion"}
    known = {f.partition(".")[0] for f in (*FIXED, *record.READ)} | free
    assert known == set(Spec.model_fields)
    trainer = {f.partition(".")[2] for f in FIXED if f.startswith("trainer")} | {"runtime"}
    assert trainer == set(TrainerSpec.model_fields)


@pytest.mark.parametrize("field", REFUSED)
def test_what_runs_are_and_where_they_were_chosen_from_may_not_change(field: str) -> None:
    store = claimed(DESIGN)
    before = store.annotations()
    with pytest.raises(StoreError) as caught:
        claim(store, rich(**REFUSED[field]), INFO, CONFIG)
    told = str(caught.value)
    assert field in told
    assert "before" in told
    assert "Restore the old values, or give the changed spec another name" in told
    assert store.annotations() == before  # a refused spec leaves no trace
    claim(store, rich(), INFO, CONFIG)  # the remedy: restored
    claim(claimed(), rich(**REFUSED[field]), INFO, CONFIG)  # before the first run all may change


@pytest.mark.parametrize("field", READ)
def test_how_runs_are_read_may_change_and_is_said(field: str) -> None:
    store = claimed(DESIGN, DESIGN, PROPOSAL)
    claim(store, rich(**READ[field]), INFO, CONFIG)
    told = " ".join(changes_of(store))
    assert field in told
    assert "was changed after 3 runs, from" in told
    claim(store, rich(**READ[field]), INFO, CONFIG)
    assert " ".join(changes_of(store)) == told  # once
    claim(store, rich(), INFO, CONFIG)
    assert changes_of(store) == ()  # turned back before a run came in
    with pytest.raises(StoreError, match="are being confirmed"):
        claim(claimed(DESIGN, Kind.confirmation("recommended")), rich(**READ[field]), INFO, CONFIG)


@pytest.mark.parametrize("field", FREE)
def test_where_runs_are_trained_and_kept_is_no_part_of_the_question(field: str) -> None:
    store = claimed(DESIGN, Kind.confirmation("recommended"))
    claim(store, rich(**FREE[field]), INFO, CONFIG)
    assert changes_of(store) == ()


def test_more_seeds_may_be_confirmed_and_every_change_stays_on_record() -> None:
    store = claimed(DESIGN)
    claim(store, rich(strategy__use="olmix"), INFO, CONFIG)
    store.open(replace(example_spec(), seed=50, kind=PROPOSAL))
    claim(store, rich(), INFO, CONFIG)
    assert len(changes_of(store)) == 2
    assert 'after 1 run, from "random" to "olmix"' in changes_of(store)[0]
    assert 'after 2 runs, from "olmix" to "random"' in changes_of(store)[1]
    store.open(replace(example_spec(), seed=51, kind=Kind.confirmation("natural")))
    claim(store, rich(strategy__confirm_seeds=5), INFO, CONFIG)
    assert "strategy.confirm_seeds was changed after 3 runs, from null to 5" in changes_of(store)[2]


def test_a_batch_that_was_never_opened_is_forgotten_with_its_spec() -> None:
    store = claimed()
    store.annotate({BATCH: [example_spec().to_dict()]})
    claim(store, rich(seed=3), INFO, CONFIG)
    assert store.annotations()[BATCH] == []


def test_the_folder_of_another_sweep_is_left_alone(tmp_path: Path) -> None:
    check_folder(tmp_path, rich())
    keep_spec(tmp_path, rich())
    check_folder(tmp_path, rich())
    assert remembered_spec(tmp_path) == rich()
    with pytest.raises(
        StoreError, match="folder of the sweep 'kept', and the spec's name is 'new'"
    ):
        check_folder(tmp_path, rich(name="new"))
