"""The folder of a pack: what driver and worker tell each other, in plain JSON on a shared disk.

cache/slurm/DRIVER/lock             held while that driver lives
cache/slurm/DRIVER/000017/          of one attempt at one pack
job.json             driver: what to train
started.json         worker: that it has it, and where
progress.jsonl       worker: points of the curves, one a line
observations.json    worker: the answer, there as a whole or not at all
output.log           what the job has printed
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.execution.file_locks import hold
from mixopt.execution.packs import Pack
from mixopt.runs import Observation, Point, RunSpec
from mixopt.runs.files import write_atomically

FORMAT = 1
_JOB, _STARTED, _PROGRESS = "job.json", "started.json", "progress.jsonl"
_ANSWER, _CLAIM, LOG = "observations.json", "claim", "output.log"
_TAIL = 2000  # bytes of the log that an error quotes at most


@dataclass(frozen=True)
class Task:
    """What a worker is to do.

    Attributes:
        pack: its runs, and the settings of their trainer.
        cache: folder of prepared data.
        nodes: how many nodes train it.
    """

    pack: Pack
    cache: Path
    nodes: int = 1


@dataclass(frozen=True)
class PackFolder:
    """The folder of one attempt at a pack."""

    path: Path

    @property
    def name(self) -> str:
        """The name of its job, unlike that of any other."""
        return f"mixopt-{self.path.parent.name}-{self.path.name}"

    @property
    def log(self) -> Path:
        """What its job prints."""
        return self.path / LOG

    def ask(self, task: Task) -> None:
        """Driver: write down what to train."""
        values = {
            "format": FORMAT,
            "specs": [spec.to_dict() for spec in task.pack.specs],
            "runtime": dict(task.pack.runtime),
            "ended": dict(task.pack.ended),
            "cache": str(task.cache),
            "nodes": task.nodes,
        }
        write_atomically(self.path / _JOB, json.dumps(values).encode())

    def task(self) -> Task | None:
        """What is to be trained; None where nothing (or nothing of this format) is written."""
        values = _read(self.path / _JOB)
        if values is None or values.get("format") != FORMAT:
            return None
        specs = tuple(RunSpec.from_dict(spec) for spec in values["specs"])
        pack = Pack(specs, values["runtime"], values["ended"])
        return Task(pack, Path(values["cache"]), int(values["nodes"]))

    def claim(self, job: str) -> bool:
        """Worker: whether this job may train the pack; a second one for it may not."""
        try:
            with (self.path / _CLAIM).open("x", encoding="utf-8") as file:
                file.write(job)
        except FileExistsError:
            return False
        return True

    def start(self, host: str, address: str) -> None:
        """Worker: say where it is, and where other nodes of the pack meet it."""
        values = {"host": host, "address": address}
        write_atomically(self.path / _STARTED, json.dumps(values).encode())

    def started(self) -> Mapping[str, str] | None:
        """Host and address of the worker; None before it has begun."""
        values: Mapping[str, str] | None = _read(self.path / _STARTED)
        return values

    def report(self, spec: RunSpec, point: Point) -> None:
        """Worker: a run has reached a point of its curve."""
        line = {"run_id": spec.run_id, "tokens": point.tokens, "metrics": dict(point.metrics)}
        with (self.path / _PROGRESS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def points(self, read: int) -> tuple[list[tuple[str, Point]], int]:
        """Points (by run id) from a place in the file on, and the place to go on from."""
        told: list[tuple[str, Point]] = []
        try:
            with (self.path / _PROGRESS).open("rb") as file:
                file.seek(read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # half a line: the rest is on its way
                    read += len(line)
                    values = json.loads(line)
                    told.append((values["run_id"], Point(values["tokens"], values["metrics"])))
        except FileNotFoundError:
            pass
        return told, read

    def answer(self, observations: Iterable[Observation]) -> None:
        """Worker: what came of the runs."""
        values = [seen.to_dict() for seen in observations]
        write_atomically(self.path / _ANSWER, json.dumps(values).encode())

    def answers(self) -> list[Observation] | None:
        """What came of the runs; None as long as nothing has."""
        values = _read(self.path / _ANSWER)
        return None if values is None else [Observation.from_dict(v) for v in values]

    def last_lines(self) -> str:
        """The last lines that the job has printed, for an error."""
        try:
            said = self.log.read_bytes()[-_TAIL:].decode(errors="replace")
        except OSError:
            return "it printed nothing"
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return " | ".join(lines[-3:])[-600:] or "it printed nothing"

    def delete(self) -> None:
        """Once its answers are kept elsewhere."""
        shutil.rmtree(self.path, ignore_errors=True)  # a worker that ends may write for a moment


class DriverFolder:
    """The packs of one driver, which holds the folder's lock while it lives.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def take(self) -> bool:
        """Whether the lock is ours now (or was already): no other driver that lives has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        if self._handle is None:
            self._handle = hold(self.path / "lock")
        return self._handle is not None

    def packs(self) -> list[PackFolder]:
        """The packs that were not handed over."""
        return [PackFolder(path) for path in sorted(self.path.iterdir()) if path.is_dir()]

    def owns(self, job_name: str) -> bool:
        """Whether a job is of one of its packs."""
        return job_name.startswith(f"mixopt-{self.path.name}-")

    def delete(self) -> None:
        """Delete it with all its packs and give the lock back."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
