"""What Slurm starts on every node of a pack: `python -m mixopt.execution.slurm.worker FOLDER`."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

from mixopt.execution.local import run_pack
from mixopt.execution.slurm.folder import PackFolder, Task
from mixopt.ports import ignore_report
from mixopt.runs.nodes import Nodes

_MEET_SECONDS = 600.0  # that other nodes wait for the first
_LOOK_SECONDS = 0.5


def main(path: Path) -> None:
    """Train the pack in a folder.

    The first node of a pack reports and answers, as everywhere (`mixopt.runs.nodes`).

    Raises:
        SystemExit: it cannot be trained here; the message goes into the log of the job.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, wherever it is heard
    folder, index = PackFolder(path), int(os.environ.get("SLURM_NODEID", "0"))
    task = folder.task()
    if task is None:
        raise SystemExit(f"{path}: no pack that this version of mixopt can read")
    if index:
        _join(folder, task, index)
        return
    if not folder.claim(os.environ.get("SLURM_JOB_ID", "")):
        raise SystemExit(f"{path}: another job has this pack")
    host, mine = socket.gethostname(), f"{socket.getfqdn()}:{_free_port()}"
    folder.start(host, mine)
    Nodes(task.nodes).at(mine).announce(os.environ)
    pack = task.pack
    folder.answer(run_pack(pack.specs, task.cache, folder.report, runtime=pack.runtime))


def _join(folder: PackFolder, task: Task, index: int) -> None:
    """Take part in a pack on a node that is not its first; failing ends the job on all."""
    deadline = time.monotonic() + _MEET_SECONDS
    while (first := folder.started()) is None:
        if time.monotonic() > deadline:
            raise SystemExit("the first node of the pack did not begin")
        time.sleep(_LOOK_SECONDS)
    Nodes(task.nodes, index, first["address"]).announce(os.environ)
    pack = task.pack
    seen = run_pack(pack.specs, task.cache, ignore_report, runtime=pack.runtime)
    if not any(o.ok for o in seen):
        raise SystemExit(f"node {index} of the pack: {seen[0].error}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
