"""Training a pack in several processes, of one machine or several, started by torchrun.

The worker that Ray (or a sweep in this process) has given the pack starts the ranks, reads what the
first of them reports, and gets the observations from a file. Where several machines train a pack
(`mixopt.runs.nodes`), the worker on each of them starts its ranks, and they meet at the first. A
rank that dies ends all of them, with its last lines in the error; the pack then continues from its
last checkpoint when it is tried again.
"""

import json
import math
import os
import re
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixopt.ports import Report
from mixopt.runs import Observation, Point, RunSpec
from mixopt.runs.nodes import Nodes
from proxies.command.process import Command, Ending, last_lines, run_command

JOB, ANSWER, PROGRESS = "job.json", "observations.json", "progress.jsonl"

TOOK_PART = "node"
"""The one metric that machines give which are not the first of a pack."""

_FAILED = re.compile(r"rank +: \d+ \(local_rank: (\d+)\)\s+exitcode +: (-?\d+)")
"""In the summary that torchrun ends with: a rank, and its exit code or, negative, its signal."""

_TOLD = 2
"""Of the ranks that failed, how many an error quotes."""


def train_on_ranks(
    ranks: int,
    specs: Sequence[RunSpec],
    *,
    config: Mapping[str, Any],
    cache: Path,
    report: Report,
) -> list[Observation]:
    """Train a pack on several ranks; one observation per run, in order.

    On a machine that is not the first of several, the observations say no more than that it took
    part: the first has the metrics.

    Args:
        ranks: processes of this machine; on GPUs one each.
        specs: runs of one scale.
        config: of the trainer.
        cache: folder of corpora and checkpoints, the same for all ranks.
        report: called in this process.

    Raises:
        RuntimeError: a rank failed; the message has its last lines.
    """
    nodes = Nodes.here()
    with tempfile.TemporaryDirectory(prefix="mixopt-ranks-") as name:
        folder = Path(name)
        job = {
            "config": dict(config),
            "cache": str(cache),
            "specs": [spec.to_dict() for spec in specs],
        }
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
        command = Command(
            argv=[
                *(sys.executable, "-m", "torch.distributed.run", *_meeting(nodes)),
                *("--log-dir", str(folder / "ranks"), "--redirects", "2"),  # of standard error
                *("--nproc-per-node", str(ranks), "-m", "proxies.lm.rank", str(folder)),
            ],
            # The ranks find what this process finds, however it came to its path.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=None,
            log=folder / "output.log",
            timeout=math.inf,
            grace=5.0,
            min_free=0.0,
        )
        progress = _Progress(folder / PROGRESS, specs, report)
        ending = run_command(command, progress.read)
        progress.read()
        answer = folder / ANSWER
        if not ending.explain() and not nodes.first:
            return [Observation.of(spec, {TOOK_PART: float(nodes.index)}) for spec in specs]
        if ending.explain() or not answer.is_file():
            why = _why(ending, folder) or f"the first rank left no answer; {ending.last_lines()}"
            raise RuntimeError(f"training on {ranks} ranks: {why}")
        return [Observation.from_dict(v) for v in json.loads(answer.read_text(encoding="utf-8"))]


def _meeting(nodes: Nodes) -> list[str]:
    """Where torchrun finds the ranks of other machines."""
    if nodes.count == 1:
        return ["--standalone"]
    host, _, port = nodes.address.rpartition(":")
    place = ["--nnodes", str(nodes.count), "--node-rank", str(nodes.index)]
    return [*place, "--master-addr", host, "--master-port", port]


def _why(ending: Ending, folder: Path) -> str:
    """What went wrong, in the words of the ranks that failed; the first of them first.

    That is the one whose last words are the oldest: torchrun knows the time to a second only.
    """
    failed = []
    summary = (folder / "output.log").read_text(encoding="utf-8", errors="replace")
    for rank, code in _FAILED.findall(summary):
        for log in folder.glob(f"ranks/*/attempt_0/{rank}/stderr.log"):
            if int(code) != -signal.SIGTERM:  # so does torchrun end the others
                failed.append((log.stat().st_mtime_ns, int(rank), int(code), log.read_bytes()))
    if ending.reason or not failed:
        return ending.explain()
    return "\n".join(
        f"rank {rank}: {Ending(code if code >= 0 else 128 - code, '', last_lines(said)).explain()}"
        for _, rank, code, said in sorted(failed)[:_TOLD]
    )


class _Progress:
    """Points that the first rank has written, reported once each."""

    def __init__(self, path: Path, specs: Sequence[RunSpec], report: Report) -> None:
        self._path, self._report, self._read = path, report, 0
        self._specs = {spec.run_id: spec for spec in specs}

    def read(self) -> None:
        """Report what is new; half a line waits."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                values = json.loads(line)
                self._report(self._specs[values["run_id"]], Point(**values["point"]))
