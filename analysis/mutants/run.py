"""Each mutant in a copy of the tree: its tests fail, or it survives."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from analysis.mutants.places import files_for, selection
from analysis.mutants.record import KILLED, SURVIVED, TIMEOUT, Record, Result
from analysis.mutants.sample import Mutant

COPIED = ("mixopt", "proxies", "analysis", "tests", "experiments", "docs", "pyproject.toml")
PYTEST = (
    "-x",
    "-q",
    "-p",
    "no:xdist",
    "-p",
    "no:cacheprovider",
    # The same examples for every mutant, so that a result is one of the code.
    "--hypothesis-seed=0",
)


class Tree:
    """A copy of the repository in which modules are exchanged.

    Args:
        root: the repository.
        folder: the copy's folder, which is made.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in COPIED:
            if (root / name).is_dir():
                ignore = shutil.ignore_patterns("__pycache__", ".*")
                shutil.copytree(root / name, folder / name, ignore=ignore)
            elif (root / name).exists():
                shutil.copy2(root / name, folder / name)

    def ask(self, files: Sequence[str], seconds: float, select: str = "") -> int | None:
        """Runs tests of files; pytest's exit status, None where they were not ready in time."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *PYTEST, "-k", select, *files],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)

    def try_out(self, mutant: Mutant, files: Sequence[str], seconds: float) -> str:
        """Outcome of one mutant; the copy is whole again afterwards."""
        original = (self.folder / mutant.module).read_text(encoding="utf-8")
        self._exchange(mutant.module, mutant.text)
        try:
            status = self.ask(files, seconds, selection(mutant.module, files))
        finally:
            self._exchange(mutant.module, original)
        return TIMEOUT if status is None else SURVIVED if status == 0 else KILLED

    def _exchange(self, module: str, text: str) -> None:
        path = self.folder / module
        path.write_text(text, encoding="utf-8")
        # Python tells compiled files apart by size and whole seconds, which two mutants may share.
        Path(cache_from_source(str(path))).unlink(missing_ok=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a test run with all the processes that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def digest(root: Path, files: Sequence[str], text: str = "") -> str:
    """Of the tests that answer for a module, and of its text."""
    total = hashlib.sha256(text.encode())
    for file in files:
        total.update((root / file).read_bytes())
    return total.hexdigest()[:16]


@dataclass(frozen=True)
class Runner:
    """How mutants are tried.

    Attributes:
        root: the repository.
        seconds: limit for the tests of one mutant.
        workers: copies of the tree, and mutants at once.
        alive: asks again only about those that lived; whoever was killed once counts as killed,
            whatever has changed since.
        say: is told of each result.
    """

    root: Path
    seconds: float = 60.0
    workers: int = 2
    alive: bool = False
    say: Callable[[str], None] = lambda _: None

    def run(self, drawn: Sequence[Mutant], record: Record) -> None:
        """Adds to a record the results of all mutants that have none that holds.

        Raises:
            RuntimeError: where the tests of a module fail without a fault.
        """
        asked = [mutant for mutant in drawn if not self._is_known(mutant, record)]
        files = {file for mutant in asked for file in files_for(self.root, mutant.module)}
        unsure = [f for f in sorted(files) if record.sound.get(f) != digest(self.root, [f])]
        with TemporaryDirectory(prefix="mutants-") as folder:
            trees: SimpleQueue[Tree] = SimpleQueue()
            for number in range(self.workers):
                trees.put(Tree(self.root, Path(folder) / str(number)))
            with ThreadPoolExecutor(self.workers) as pool:
                try:
                    for file, known, seconds in pool.map(lambda f: self._sound(f, trees), unsure):
                        record.add_sound(file, known)
                        self.say(f"passes without a fault in {seconds:.0f} s: {file}")
                    tried = {pool.submit(self._try, mutant, trees): mutant for mutant in asked}
                    for done, answer in enumerate(as_completed(tried), start=1):
                        mutant, result = tried[answer], answer.result()
                        record.add(mutant, result)
                        words = f"{result.outcome} after {result.seconds:.0f} s"
                        self.say(f"{done}/{len(tried)} {words}: {mutant.where}")
                finally:  # after Ctrl-C nothing new begins
                    pool.shutdown(cancel_futures=True)

    def _is_known(self, mutant: Mutant, record: Record) -> bool:
        if record.is_equivalent(mutant):
            return True
        result = record.results.get(mutant.name)
        if self.alive and result is not None and result.outcome == KILLED:
            return True
        files = files_for(self.root, mutant.module)
        return result is not None and result.digest == digest(self.root, files, mutant.text)

    # Digests are of the copies: who works on in the repository meanwhile changes no result.

    def _sound(self, file: str, trees: "SimpleQueue[Tree]") -> tuple[str, str, float]:
        tree = trees.get()
        start = time.monotonic()
        try:
            # Ten times the limit: this asks whether it passes, not how long it takes.
            status = tree.ask([file], 10 * self.seconds)
        finally:
            trees.put(tree)
        if status != 0:
            raise RuntimeError(
                f"{file} fails without any fault (pytest's exit status: {status}), so that it "
                f"can kill nothing; make `pytest {file}` pass first"
            )
        return file, digest(tree.folder, [file]), time.monotonic() - start

    def _try(self, mutant: Mutant, trees: "SimpleQueue[Tree]") -> Result:
        tree = trees.get()
        start = time.monotonic()
        try:
            files = files_for(tree.folder, mutant.module)
            outcome = tree.try_out(mutant, files, self.seconds)
        finally:
            trees.put(tree)
        seconds = round(time.monotonic() - start, 1)
        return Result(outcome, seconds, digest(tree.folder, files, mutant.text))
