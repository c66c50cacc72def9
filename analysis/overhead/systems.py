"""The systems: each is measured in a process of its own."""

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from analysis.overhead.pace import Pace, Record, memory_mb
from analysis.overhead.trainer import (
    DOMAINS,
    METRICS,
    metrics_of,
    observed,
    question,
    settings_of,
)
from mixopt.execution import executor
from mixopt.execution.local import MemoryStore
from mixopt.execution.sweep import Settings, SweepStatus, run_sweep
from mixopt.lazy import require
from mixopt.ports import Event, Executor, Store
from mixopt.runs import Observation, RunSpec
from mixopt.runs.kinds import GIVEN
from mixopt.strategies import strategy
from mixopt.tracking import database_uri, open_store
from mixopt.tracking.mlflow import MLflowStore

WINDOW = 200  # runs over which a pace is measured
TUNED = 50  # runs of Ray Tune
_PATIENCE = 90  # seconds that Ray Tune gets; its pace is that of the runs it has done by then
_EDGE = 20  # runs after a window: slots run dry


class Watched:
    """An executor that notes when packs of one run were sent out, and came in.

    Attributes:
        sent: the clock at every pack.
        size: memory at the first, in MB.
    """

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.sent: list[float] = []
        self.size = 0.0
        self._came: dict[str, float] = {}  # by run id, in the order in which they were sent

    @property
    def slots(self) -> int:
        """Of the executor."""
        return self._inner.slots

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        """Send a pack out."""
        if not self.sent:
            self.size = memory_mb()
        self.sent.append(time.perf_counter())
        self._came.update({spec.run_id: 0.0 for spec in pack})
        self._inner.submit(pack, runtime)

    def wait(self, timeout: float) -> list[Event]:
        """What came in."""
        events = self._inner.wait(timeout)
        done = [event.run_id for event in events if isinstance(event, Observation)]
        self._came.update(dict.fromkeys(done, time.perf_counter()))
        return events

    @property
    def came(self) -> list[float]:
        """The clock when each came in, in the order in which they were sent."""
        return list(self._came.values())

    def close(self) -> None:
        """Nothing: the executor is used again."""


def sweep(
    system: str, open_it: Callable[[], Store], ray: Executor, begin: int, window: int = WINDOW
) -> Record:
    """A sweep from what the store has to `begin` runs and a window more.

    Where the store has as many already, the window begins with what it has.
    """
    pace, watched = Pace(), Watched(ray)
    start = time.perf_counter()
    store = open_it()
    there = len(store.observations())
    begin = max(begin, there)

    def on_change(status: SweepStatus) -> None:
        if begin <= status.done not in pace.marks:
            pace.mark(status.done)

    try:
        recipe = strategy("regmix", runs=begin + window + _EDGE)
        run_sweep(recipe, question(), watched, store, on_change=on_change)
    finally:
        store.release()
    record = pace.record(system, begin, begin + window)
    record.trained = begin + window + _EDGE - there
    record.grown_mb = round(memory_mb() - watched.size, 1)
    if there:
        record.resume_seconds = round(watched.sent[0] - start, 2)
    return record


@contextmanager
def on_ray(folder: Path, **settings: Any) -> Iterator[Executor]:
    """Ray on this machine, its workers warm."""
    ray: Executor = executor("ray", folder / "cache", settings)
    try:
        problem, n = question(), 2 * ray.slots
        for seed in range(1, n + 1):
            ray.submit([problem.run(problem.space.natural, GIVEN, seed=seed)], settings_of(0.0))
        while n:
            n -= sum(isinstance(event, Observation) for event in ray.wait(1.0))
        yield ray
    finally:
        ray.close()


def in_memory(sizes: Sequence[int], wanted: Sequence[str]) -> list[Record]:
    """`mixopt-memory`: the sweep goes on from size to size."""
    del wanted
    store = MemoryStore()
    with folder_of_its_own() as folder, on_ray(folder) as ray:
        return [sweep("mixopt-memory", lambda: store, ray, n) for n in sizes]


def in_mlflow(sizes: Sequence[int], wanted: Sequence[str]) -> list[Record]:
    """`mixopt` and `mlflow-calls`, by turns in one database that grows from size to size."""
    records = []
    with folder_of_its_own() as folder, on_ray(folder) as ray:

        def opened() -> Store:
            return open_store("mlflow", folder, "bench", {})

        for n in sizes:
            ours = sweep("mixopt", opened, ray, n)
            records += [ours] if "mixopt" in wanted else []
            if "mlflow-calls" in wanted:
                records.append(calls_alone(database_uri(folder), n))
    return records


class Taped:
    """MLflow's client; what is asked of it by name is remembered.

    Args:
        client: that is asked.
        calls: to which every call is added: name, arguments, keyword arguments.
    """

    def __init__(self, client: Any, calls: list[Any]) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*given: Any, **named: Any) -> Any:
            self._calls.append((name, given, named))
            return method(*given, **named)

        return call


def calls_of_a_run(uri: str, name: str, spec: RunSpec) -> list[Any]:
    """What a store asks of MLflow for one run, in an experiment of its own."""
    tracking, calls = require("mlflow.tracking"), list[Any]()
    real = tracking.MlflowClient
    taped = mock.patch.object(
        tracking, "MlflowClient", lambda *given, **named: Taped(real(*given, **named), calls)
    )
    with taped, MLflowStore(uri, name) as store:
        store.open(spec)  # the first one wakes the sweep's own run
        store.close(observed(spec))
        calls.clear()
        other = replace(spec, seed=spec.seed + 1)
        store.open(other)
        store.close(observed(other))
        return list(calls)


def calls_alone(uri: str, begin: int) -> Record:
    """The calls that `mixopt` makes for a window of runs, and nothing between them."""
    (spec, *_) = strategy("regmix", runs=1).next(question(), [], [])
    calls = calls_of_a_run(uri, f"calls-{begin}", spec)
    client = require("mlflow.tracking").MlflowClient(uri)
    pace = Pace()
    pace.mark(begin)
    for done in range(1, WINDOW + 1):
        run = ""
        for name, given, named in calls:
            made = getattr(client, name)(*((run, *given[1:]) if run else given), **named)
            run = run or made.info.run_id
        pace.mark(begin + done)
    record = pace.record("mlflow-calls", begin, begin + WINDOW)
    record.calls = [name for name, *_ in calls]
    return record


def in_ray_tune(sizes: Sequence[int], wanted: Sequence[str]) -> list[Record]:
    """`ray-tune`; its store is empty at the start, whatever the sizes."""
    del sizes, wanted
    try:
        tune = require("ray.tune")
        optuna = require("ray.tune.search.optuna").OptunaSearch(metric=METRICS[0], mode="min")
        require("optuna")
        mlflow = require("ray.air.integrations.mlflow").MLflowLoggerCallback
    except ImportError as error:
        why = f"{error}; run: pip install 'mixopt[bench]'"
        return [Record("ray-tune", skipped=why)]
    with folder_of_its_own() as folder:
        uri = database_uri(folder)
        MLflowStore(uri, "first").release()  # makes the tables, which is no part of the pace
        require("ray").init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        tuner = tune.Tuner(
            tuned,
            param_space={d: tune.uniform(0.0, 1.0) for d in DOMAINS},
            tune_config=tune.TuneConfig(
                search_alg=optuna,
                num_samples=TUNED,
                max_concurrent_trials=os.cpu_count(),
                time_budget_s=_PATIENCE,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(folder),
                verbose=0,
                callbacks=[mlflow(tracking_uri=uri, experiment_name="tune")],
            ),
        )
        pace = Pace()
        pace.mark(0)
        with redirect_stdout(io.StringIO()):  # its tables, which no setting turns off
            done = sum(result.metrics is not None for result in tuner.fit())
        pace.mark(done)
        require("ray").shutdown()
    return [pace.record("ray-tune", 0, done)]


def tuned(config: Mapping[str, float]) -> None:
    """The trainer as Ray Tune calls it."""
    w = np.array([config[d] for d in DOMAINS])
    require("ray.tune").report(metrics_of(w / w.sum()))


def idle_slots() -> list[Record]:
    """How much of 8 slots' time has no run, where one takes 5 s."""
    slots, seconds, rounds = 8, 5.0, 5
    store, runs = MemoryStore(), slots * rounds
    with folder_of_its_own() as folder:
        share = (os.cpu_count() or 1) / slots
        with on_ray(folder, cpus_per_pack=min(share, 1.0), max_slots=slots) as ray:
            watched = Watched(ray)
            run_sweep(
                strategy("random", runs=runs),
                question(),
                watched,
                store,
                settings=Settings(runtime=settings_of(seconds)),
            )
    # The first and the last run of every slot are left out: slots are filled, and run dry.
    took = [end - begin for begin, end in zip(watched.sent, watched.came, strict=True)]
    gaps = [
        sent - came for came, sent in zip(sorted(watched.came), watched.sent[slots:], strict=False)
    ]
    cycle = float(np.mean(took[slots:-slots]) + np.mean(gaps))
    return [Record("idle-slots", idle_percent=round(100 * max(1 - seconds / cycle, 0.0), 2))]


@contextmanager
def folder_of_its_own() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mixopt-overhead-") as folder:
        yield Path(folder)
