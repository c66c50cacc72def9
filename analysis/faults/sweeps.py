"""One small sweep: its spec, its driver in a process of its own, and what it should come to."""

import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import yaml

from analysis.faults.trainer import NAME
from mixopt.app.running import driving, launch
from mixopt.app.spec.spec_file import read_spec
from mixopt.lazy import load, require

SLEEP = 0.4  # seconds that a run takes
Runs = Mapping[str, tuple[bool, Mapping[str, float]]]
"""`run_id` to whether it succeeded, and its metrics."""

_SPEC: dict[str, Any] = {
    "version": 1,
    "trainer": {"use": NAME},
    "scales": [{"params": 1000, "tokens": "10k"}],
    "objective": {"minimize": ["loss/web", "loss/code", "loss/math"]},
    "strategy": {
        "use": "auto",
        "design": 6,
        "proposals": 2,
        "batch": 2,
        "singles": False,
        "confirm_seeds": 2,
        "law": "log-linear",
    },
}


@dataclass(frozen=True)
class Sweep:
    """A sweep in a folder.

    Attributes:
        folder: of spec, logs, cache and the sweep's own folder.
        uri: of its store.
        execution: the executor and its settings.
        troubles: see `Troubled`.
    """

    folder: Path
    uri: str
    execution: Mapping[str, Any]
    troubles: Mapping[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write the spec."""
        self.folder.mkdir(parents=True, exist_ok=True)
        runtime = {"sleep": SLEEP, "troubles": dict(self.troubles)}
        values = {
            **_SPEC,
            "name": self.folder.name,
            "trainer": {**_SPEC["trainer"], "runtime": runtime},
            "execution": {**self.execution, "cache": str(self.folder / "cache")},
            "store": {"uri": self.uri},
        }
        (self.folder / "spec.yaml").write_text(yaml.safe_dump(values))

    @property
    def log(self) -> str:
        """What its drivers have said."""
        path = self.folder / "driver.log"
        return path.read_text(errors="replace") if path.is_file() else ""

    def start(self, skew: float = 0.0) -> BaseProcess:
        """Its driver, in a process of its own whose clock is off by so many seconds."""
        process = _starter().Process(
            target=_drive, args=(self.folder, skew, dict(os.environ)), daemon=True
        )
        process.start()
        return process

    def problems(self, expected: Runs) -> list[str]:
        """What the store holds otherwise than it should; nothing where all is well."""
        with load("mixopt.tracking.mlflow:MLflowStore")(
            self.uri, self.folder.name, read_only=True
        ) as store:
            seen = {o.run_id: (o.ok, dict(o.metrics)) for o in store.observations()}
            pending = [spec.run_id for spec in store.pending()]
            experiment = store.experiment
        client = require("mlflow.tracking").MlflowClient(self.uri)
        entries = client.search_runs([experiment], "tags.`mixopt.entry` = 'run'", max_results=1000)
        times = Counter(entry.data.tags["mixopt.run_id"] for entry in entries)
        wrong = [f"{run} is open" for run in pending]
        wrong += [f"{run} is there {n} times" for run, n in times.items() if n > 1]
        wrong += [f"{run} is missing" for run in expected if run not in seen]
        wrong += [f"{run} was never asked for" for run in seen if run not in expected]
        wrong += [
            f"{run}: {seen[run]}, not {should}"
            for run, should in expected.items()
            if run in seen and differs(should, seen[run])
        ]
        return wrong


def differs(expected: tuple[bool, Mapping[str, float]], seen: tuple[bool, Any]) -> bool:
    """Whether a run came to something else: metrics of a failed one do not count."""
    return expected[0] != seen[0] or (expected[0] and dict(expected[1]) != seen[1])


def undisturbed(folder: Path, failing: str = "") -> Runs:
    """The runs of the sweep in this process and in memory.

    Args:
        folder: for what it writes.
        failing: the run that cannot be trained; empty for none.
    """
    troubles = {failing: "raise"} if failing else {}
    name = f"undisturbed-{failing or 'all'}"
    sweep = Sweep(folder / name, "unused", {"use": "local"}, troubles)
    sweep.write()
    path = sweep.folder / "spec.yaml"
    values = yaml.safe_load(path.read_text())
    values["store"] = {"use": "memory"}
    values["trainer"]["runtime"]["sleep"] = 0.0
    path.write_text(yaml.safe_dump(values))
    before = Path.cwd()
    os.chdir(sweep.folder)
    try:
        with launch.new_sweep(read_spec(path)) as (made, recipe):
            driving.run(made, recipe)
            return {o.run_id: (o.ok, dict(o.metrics)) for o in made.store.observations()}
    finally:
        os.chdir(before)


@cache
def _starter() -> ForkServerContext:
    """Starts drivers from a process that has imported what takes long, and has no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "ray", "mlflow.tracking", "mixopt.tracking.mlflow"])
    return context


def _drive(folder: Path, skew: float, environment: Mapping[str, str]) -> None:
    """The driver: what `mixopt run` does, up to the report."""
    os.chdir(folder)
    os.environ.update(environment)  # the process that starts drivers has an older one
    with (folder / "driver.log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    clock = time.time
    time.time = lambda: clock() + skew  # of this process alone, which ends with the sweep
    with launch.new_sweep(read_spec(folder / "spec.yaml")) as (sweep, recipe):
        driving.run(sweep, recipe)
