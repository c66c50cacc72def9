"""A user's own executor: the contract over it, and a whole sweep that names it in its spec."""

import queue
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from mixopt.app.results import publish, recorded
from mixopt.app.running import driving, launch
from mixopt.app.spec.spec_file import read_spec
from mixopt.errors import InputError, SpecError, StoreError
from mixopt.execution.local import MemoryStore, check_pack, run_pack
from mixopt.ports import Event, Progress
from mixopt.runs import RunSpec
from mixopt.testing.executor_contract import ExecutorContract

OPENED: list[tuple[str, str]] = []


class Threads:
    """Packs in threads of this process."""

    def __init__(self, cache: str | Path, *, workers: int = 2) -> None:
        if workers < 1:
            raise InputError(f"workers is {workers}; give at least 1")
        self.slots, self._cache, self._under_way = workers, Path(cache), 0
        self._pool = ThreadPoolExecutor(workers)
        self._events: queue.SimpleQueue[list[Event]] = queue.SimpleQueue()

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        self._pool.submit(self._train, check_pack(pack), dict(runtime or {}))
        self._under_way += 1

    def wait(self, timeout: float) -> list[Event]:
        if not self._under_way:
            return []
        try:
            events = self._events.get(timeout=timeout)
        except queue.Empty:
            return []
        self._under_way -= not isinstance(events[0], Progress)
        return events

    def close(self) -> None:
        self._under_way = 0
        self._pool.shutdown(cancel_futures=True)

    def _train(self, specs: list[RunSpec], runtime: Mapping[str, Any]) -> None:
        def report(spec: RunSpec, point: Any) -> None:
            self._events.put([Progress(spec, point)])

        self._events.put([*run_pack(specs, self._cache, report, runtime=runtime)])


def open_own(folder: Path, name: str, *, read_only: bool = False, project: str) -> MemoryStore:
    """A store that asks for a setting."""
    OPENED.append((name, project))
    assert folder.is_dir()
    assert not read_only
    return MemoryStore()


class TestThreads(ExecutorContract):
    def make(self, cache: Path) -> Any:
        return Threads(cache)


def write(folder: Path, **changes: Any) -> Path:
    values = {
        "version": 1,
        "name": "own",
        "trainer": {
            "use": "mixopt.testing.trainers:FakeTrainer",
            "config": {"noise": 0.002},
            "runtime": {"sleep": 0.01},
        },
        "scales": [{"params": 1000, "tokens": "10k"}],
        "objective": {"minimize": ["loss/web", "loss/code", "loss/math"]},
        "strategy": {"use": "auto", "design": 6, "proposals": 2, "batch": 2, "confirm_seeds": 2}
        | {"law": "log-linear"},
        "execution": {"use": f"{__name__}:Threads", "workers": 3, "pack_size": 2},
        "store": {"use": f"{__name__}:open_own", "project": "lab"},
    }
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**values, **changes}))
    return path


def test_a_whole_sweep_runs_on_an_executor_and_a_store_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = read_spec(write(tmp_path))
    with launch.new_sweep(spec) as (sweep, recipe):
        with driving.make_executor(spec) as executor:
            assert isinstance(executor, Threads)
            assert executor.slots == 3
        status = driving.run(sweep, recipe)
        outcome = publish.finish(sweep, trained=status.trained)
        assert isinstance(sweep.store, MemoryStore)
        seen = sweep.store.observations()
    assert OPENED[-1] == ("own", "lab")
    assert status.trained == len(seen) > 8
    assert all(o.ok and o.seconds >= 0.01 for o in seen)
    assert outcome.confirmation is not None
    assert (tmp_path / "runs/own/report.html").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"execution": {"use": f"{__name__}:Threads", "worker": 3}}, "did you mean 'workers'"),
        ({"execution": {"use": f"{__name__}:Thread"}}, "did you mean 'Threads'"),
        ({"execution": {"use": f"{__name__}:OPENED"}}, "name a class, or a function"),
        ({"execution": {"use": "local", "retries": 2}}, "'local' has no setting 'retries'"),
        ({"execution": {"use": "lokal"}}, "did you mean 'local'.*'module:attribute'"),
        ({"store": {"use": f"{__name__}:open_own"}}, "missing .*'project'"),
        ({"store": {"use": "memory", "uri": "x"}}, "'memory' has no setting 'uri'"),
        ({"store": {"use": "memories"}}, "did you mean 'memory'"),
    ],
)
def test_what_an_executor_or_a_store_does_not_take_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, **changes)
    with pytest.raises(SpecError, match=message), launch.new_sweep(read_spec(path)):
        pass


def test_a_value_that_breaks_a_rule_of_the_executor_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = read_spec(write(tmp_path, execution={"use": f"{__name__}:Threads", "workers": 0}))
    with launch.new_sweep(spec) as (sweep, recipe):
        with pytest.raises(SpecError, match="workers is 0"):
            driving.run(sweep, recipe)
        assert sweep.store.observations() == sweep.store.pending() == []


def test_a_sweep_in_memory_leaves_its_report_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local = {"use": "local"}
    spec = read_spec(write(tmp_path, execution=local, store={"use": "memory"}))
    with launch.new_sweep(spec) as (sweep, recipe):
        status = driving.run(sweep, recipe)
        publish.finish(sweep, trained=status.trained)
    steps = publish.next_steps(sweep.folder, "memory")
    assert steps == {"Report": str(sweep.folder / "report.html")}
    with pytest.raises(StoreError, match="ended with its process"), launch.open_sweep(sweep.folder):
        pass
    with pytest.raises(StoreError, match="MLflow cannot show"):
        recorded.pages_of(spec, sweep.folder)
