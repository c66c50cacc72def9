"""A sweep in MLflow: crashes between two writes, second drivers, full disks, odd names."""

import json
import logging
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError, StoreError
from mixopt.lazy import require
from mixopt.ports import Entry
from mixopt.runs import Observation, Point
from mixopt.testing.store_contract import big_spec, example_observation, example_spec
from mixopt.tracking import records
from mixopt.tracking.mlflow import MLflowStore
from mixopt.tracking.shown import entries as entries_of

pytestmark = pytest.mark.mlflow


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A sweep of its own in the shared database."""
    return str(request.node.name)


@pytest.fixture
def store(mlflow_uri: str, name: str, tmp_path: Path) -> Iterator[MLflowStore]:
    with MLflowStore(mlflow_uri, name, artifacts=tmp_path / "artifacts") as opened:
        yield opened


def client(uri: str) -> Any:
    return require("mlflow.tracking").MlflowClient(uri)


def runs_of(uri: str, name: str) -> list[Any]:
    """The nested runs of a sweep as MLflow has them."""
    mlflow = client(uri)
    experiment = mlflow.get_experiment_by_name(name)
    return list(mlflow.search_runs([experiment.experiment_id], "tags.`mixopt.entry` = 'run'"))


# -- what people see -----------------------------------------------------------------------------


def test_a_run_shows_in_the_ui(store: MLflowStore, mlflow_uri: str, name: str) -> None:
    spec = example_spec()
    store.open(spec)
    (run,) = runs_of(mlflow_uri, name)
    assert run.info.status == "RUNNING"  # before its result is in
    assert run.data.tags["mlflow.parentRunId"] == store.sweep_id
    assert run.info.run_name == "001 design 12.3k a/b .40 web .30"
    assert run.data.tags["mixopt.scale"] == "12.3k params x 67.9k tokens"
    store.close(example_observation(spec))
    (run,) = runs_of(mlflow_uri, name)
    assert run.info.status == "FINISHED"
    assert run.data.params["w/web"] == "0.3"
    assert run.data.params["w/c__"] == "0.3"
    assert run.data.params["params"] == "12345"
    assert run.data.metrics["loss/web _en_"] == 2 / 7
    assert run.data.metrics["cost/flops"] == 6.1e15
    history = client(mlflow_uri).get_metric_history(run.info.run_id, "loss/c__")
    assert [(m.step, m.value) for m in history] == [(100, 3.5), (67_890, 1 / 3)]


def test_a_failed_run_shows_its_error(store: MLflowStore, mlflow_uri: str, name: str) -> None:
    store.close(Observation.failure(example_spec(), "metric 'loss' is nan"))
    (run,) = runs_of(mlflow_uri, name)
    assert run.info.status == "FAILED"
    assert run.data.tags["mixopt.error"] == "metric 'loss' is nan"


def test_a_long_curve_is_thinned_in_the_ui_alone(store: MLflowStore, mlflow_uri: str) -> None:
    spec = big_spec()
    curve = tuple(Point(i + 1, {f"m{j}": i / 7 + j for j in range(20)}) for i in range(500))
    seen = Observation(spec, metrics={f"m{j}": 1.5 for j in range(20)}, curve=curve)
    assert len(records.values(seen)) <= records.MAX_VALUES
    store.close(seen)
    assert MLflowStore(mlflow_uri, store.name, read_only=True).observations() == [seen]


# -- faults --------------------------------------------------------------------------------------


def test_resume_after_a_kill_between_open_and_close(tmp_path: Path) -> None:
    """`kill -9` of a driver: its lock is gone, what it closed is closed, the rest is pending."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    script = f"""
        import time
        from mixopt.tracking.mlflow import MLflowStore
        from mixopt.testing.store_contract import example_observation, example_spec
        store = MLflowStore({uri!r}, "sweep")
        for seed in range(3):
            store.open(example_spec(seed))
        store.close(example_observation(example_spec(1)))
        print("ready", flush=True)
        time.sleep(600)
    """
    driver = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    with pytest.raises(StoreError, match=f"process {driver.pid} .*stop it first"):
        MLflowStore(uri, "sweep")
    assert len(MLflowStore(uri, "sweep", read_only=True).pending()) == 2  # looking is allowed
    driver.send_signal(signal.SIGKILL)
    _, errors = driver.communicate(timeout=120)
    assert errors == ""  # making the tables is quiet
    with MLflowStore(uri, "sweep") as store:
        assert [s.seed for s in store.pending()] == [0, 2]
        assert [o.spec.seed for o in store.observations()] == [1]
        store.close(example_observation(example_spec(0)))
        assert [o.spec.seed for o in store.observations()] == [0, 1]
    assert len(runs_of(uri, "sweep")) == 3


def test_a_kill_before_the_status_is_repaired(
    store: MLflowStore, mlflow_uri: str, name: str
) -> None:
    store.close(example_observation(example_spec()))
    (run,) = runs_of(mlflow_uri, name)
    client(mlflow_uri).update_run(run.info.run_id, status="RUNNING")
    store.release()
    with MLflowStore(mlflow_uri, name) as again:
        assert len(again.observations()) == 1
    assert runs_of(mlflow_uri, name)[0].info.status == "FINISHED"


def test_two_sweeps_of_one_store_run_at_the_same_time(store: MLflowStore, mlflow_uri: str) -> None:
    with MLflowStore(mlflow_uri, store.name + "-other") as other:
        other.open(example_spec())
    assert store.pending() == []


def test_a_released_or_read_only_store_refuses_to_write(
    store: MLflowStore, mlflow_uri: str, name: str
) -> None:
    with pytest.raises(StoreError, match="read only"):
        MLflowStore(mlflow_uri, name, read_only=True).open(example_spec())
    store.release()
    with pytest.raises(StoreError, match="released"):
        store.annotate({"spec": 1})


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sqlite:////proc/nowhere/mlflow.db", "cannot write to /proc/nowhere"),
        ("./mlruns", "folder store"),
        ("http://127.0.0.1:9", "no MLflow server answers"),
    ],
)
def test_places_that_cannot_be_used_are_refused_at_once(uri: str, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(StoreError, match=message):
        MLflowStore(uri, "sweep")
    assert time.monotonic() - started < 60  # MLflow alone takes minutes


def test_a_missing_store_is_not_made_by_looking(tmp_path: Path, mlflow_uri: str) -> None:
    with pytest.raises(StoreError, match="no store here"):
        MLflowStore(f"sqlite:///{tmp_path / 'mlflow.db'}", "sweep", read_only=True)
    with pytest.raises(StoreError, match="no sweep 'nobody'"):
        MLflowStore(mlflow_uri, "nobody", read_only=True)


def test_a_store_that_may_not_be_read_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"")
    refusal = PermissionError(13, "Permission denied")
    monkeypatch.setattr(Path, "open", Mock(side_effect=refusal))
    with pytest.raises(StoreError, match="Permission denied; ask its owner"):
        MLflowStore(f"sqlite:///{tmp_path}/mlflow.db", "sweep", read_only=True)


def test_no_space_is_found_before_training(tmp_path: Path, monkeypatch: Any) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5, 5))
    with pytest.raises(StoreError, match="only 0 MB are free"):
        MLflowStore(f"sqlite:///{tmp_path / 'mlflow.db'}", "sweep")


@pytest.mark.slow
def test_a_disk_that_fills_up_is_said_in_words(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the next write fails."""
    script = f"""
        import resource, signal
        from mixopt.tracking.mlflow import MLflowStore
        from mixopt.errors import StoreError
        from mixopt.testing.store_contract import example_observation, example_spec
        store = MLflowStore("sqlite:///{tmp_path / "mlflow.db"}", "sweep")
        store.close(example_observation(example_spec(0)))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            store.open(example_spec(1))
        except StoreError as error:
            print(error)
        print([o.spec.seed for o in store.observations()], store.pending())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    words, state = done.stdout.strip().splitlines()
    assert "cannot write run" in words
    assert "can be resumed" in words
    assert state == "[0] []"


def test_a_deleted_experiment_and_a_foreign_format_are_refused(
    mlflow_uri: str, name: str, tmp_path: Path
) -> None:
    with MLflowStore(mlflow_uri, name, artifacts=tmp_path) as store:
        client(mlflow_uri).set_tag(store.sweep_id, "mixopt.format", "99")
    with pytest.raises(StoreError, match="store format 99"):
        MLflowStore(mlflow_uri, name)
    mlflow = client(mlflow_uri)
    mlflow.delete_experiment(mlflow.get_experiment_by_name(name).experiment_id)
    with pytest.raises(StoreError, match="was deleted"):
        MLflowStore(mlflow_uri, name)


def test_broken_records_are_named(store: MLflowStore, mlflow_uri: str, name: str) -> None:
    store.open(big_spec())
    (run,) = runs_of(mlflow_uri, name)
    client(mlflow_uri).delete_tag(run.info.run_id, "mixopt.spec:0")
    with pytest.raises(StoreError, match="incomplete"):
        MLflowStore(mlflow_uri, name, read_only=True)


def test_annotations_need_names_that_mlflow_takes(store: MLflowStore) -> None:
    with pytest.raises(InputError, match="letters"):
        store.annotate({"a:b": 1})


def test_no_global_state_is_left(store: MLflowStore) -> None:
    store.close(example_observation(example_spec()))
    fluent = require("mlflow")
    assert fluent.active_run() is None
    assert fluent.get_tracking_uri() != store.uri
    assert logging.getLogger("mlflow.store.db.utils").level == logging.NOTSET


def test_a_run_takes_little_more_time_than_mlflow_itself(
    store: MLflowStore, mlflow_uri: str
) -> None:
    """17 domains and 170 values; by turns, and the best of each, as the machine may be busy."""
    weights = {f"domain-{i}": 1 / 17 for i in range(17)}
    metrics = {f"loss/{i}": 1.0 + i for i in range(17)}
    curve = tuple(Point(1000 * (i + 1), metrics) for i in range(9))
    mlflow, entities = client(mlflow_uri), require("mlflow.entities")
    values = [
        entities.Metric(name, value, 0, point.tokens)
        for point in curve
        for name, value in point.metrics.items()
    ]
    tags = [entities.RunTag(f"tag-{i}", "x" * 300) for i in range(20)]
    ours, its_own = [], []
    for seed in range(6):
        spec = example_spec(seed, mixture=type(example_spec().mixture).of(weights))
        begun = time.process_time()
        store.open(spec)
        store.close(Observation(spec, metrics=metrics, curve=curve))
        half = time.process_time()
        run = mlflow.create_run(store.experiment)
        mlflow.log_batch(run.info.run_id, values, [], tags)
        mlflow.set_terminated(run.info.run_id)
        ours.append(half - begun)
        its_own.append(time.process_time() - half)
    assert min(ours) < 2 * min(its_own)  # 1.1 times as measured


# -- records -------------------------------------------------------------------------------------


@given(st.text(max_size=300), st.sampled_from([0, 7_800, 7_900, 50_000]), st.integers(0, 99))
def test_texts_come_back_from_tags(text: str, length: int, seed: int) -> None:
    text += np.random.default_rng(seed).bytes(length // 2).hex()
    tags = records.to_tags("key", json.dumps(text))
    assert tags is not None
    assert all(len(value) <= 8000 for value in tags.values())
    assert records.from_tags("key", tags) == json.dumps(text)


@given(st.lists(st.text("ab./ :+[é-", max_size=300), unique=True, max_size=6))
def test_every_name_gets_a_key_that_mlflow_takes(names: list[str]) -> None:
    keys = records.display_keys(names)
    assert len(set(keys.values())) == len(names)
    validate = require("mlflow.utils.validation")._validate_metric_name
    for key in keys.values():
        validate(key)


def test_runs_have_their_times_and_a_page_where_a_server_has_pages(store: MLflowStore) -> None:
    opened, closed = example_spec(0), example_spec(1)
    store.open(opened)
    store.close(example_observation(closed))
    entries = store.entries()
    assert entries[opened.run_id].closed is None
    assert abs(entries[closed.run_id].opened - time.time()) < 60
    assert entries[closed.run_id].opened <= (entries[closed.run_id].closed or 0.0)
    assert entries[closed.run_id].page == ""
    ids = {"a1": "m1", "a2": "m2"}
    shown = entries_of("http://lab:5000", "7", ids, {"a1": 1000, "a2": 2000}, {"a1": 3000})
    assert shown["a1"] == Entry(1.0, 3.0, "http://lab:5000/#/experiments/7/runs/m1")
    assert shown["a2"].closed is None
