"""Worker processes that prepare a corpus, behind futures."""

import json
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from mixopt.errors import InputError, TrainerError
from proxies.corpus.streaming.work import Task, Work

WORKERS = "MIXOPT_PREPARE_WORKERS"


def available_workers() -> int:
    """As many as this process may use processors, or what the environment variable says.

    Raises:
        InputError: the variable is no whole number above 0.
    """
    given = os.environ.get(WORKERS)
    if given is None:
        return len(os.sched_getaffinity(0))
    if not (given.isdecimal() and int(given) > 0):
        raise InputError(f"{WORKERS} is {given!r}; give a whole number above 0, or unset it")
    return int(given)


class Pool:
    """Carries out tasks in `workers` processes; in this one if that is 1."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.workers = workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
        self._idle: queue.SimpleQueue[_Process | _Here] = queue.SimpleQueue()
        made = [_Process(folder, i) for i in range(workers)] if workers > 1 else [_Here(folder)]
        self._all = made
        for worker in made:
            self._idle.put(worker)

    def submit(self, task: Task) -> "Future[dict[str, Any]]":
        """Start a task. Its future raises InputError, OSError, or TrainerError if a worker died."""
        return self._threads.submit(self._do, task)

    def _do(self, task: Task) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            return worker.do(task)
        finally:
            self._idle.put(worker)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._all:
            worker.stop()  # first: tasks under way then end at once
        self._threads.shutdown(wait=True, cancel_futures=True)


class _Here:
    """No process: the work is done in the calling thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work: Work | None = None
        self._stopped = threading.Event()

    def do(self, task: Task) -> dict[str, Any]:
        if self._stopped.is_set():
            raise TrainerError("preparing the data was stopped")
        if self._work is None:
            self._work = Work(self._folder)
        return self._work.do(task)

    def stop(self) -> None:
        self._stopped.set()


class _Process:
    """One worker process and the pipe to it."""

    def __init__(self, folder: Path, number: int) -> None:
        self._log = folder / f"worker-{number}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "proxies.corpus.streaming.work", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p or os.curdir for p in sys.path)},
                text=True,
                encoding="utf-8",
            )

    def do(self, task: Task) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if not line:
            raise TrainerError(self._obituary(task))
        answer = json.loads(line)
        if "done" in answer:
            return dict(answer["done"])
        if "input" in answer:
            raise InputError(answer["input"])
        raise OSError(answer["errno"], answer["message"])

    def stop(self) -> None:
        self._process.kill()
        with self._process:  # closes the pipes and waits
            pass

    def _obituary(self, task: Task) -> str:
        code = self._process.wait()
        words = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        said = f"; its last words: {' / '.join(words)}" if words else ""
        why = " (killed, perhaps because memory ran out)" if code == -9 else ""
        return (
            f"a process that prepares the data ended with {code}{why} at {task}{said}. What is "
            f"done is kept: run again to go on, with fewer processes by {WORKERS}=1"
        )
