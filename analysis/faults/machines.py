"""What the sweeps of the trials run on: a Ray cluster of several nodes, stores, a small disk."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixopt.lazy import load

NODES = 3


class RayNodes:
    """A Ray cluster of a head without room and some nodes of one CPU each, on this machine."""

    def __init__(self) -> None:
        self._cluster: Any = None
        self.start()

    @property
    def address(self) -> str:
        """Where drivers find it."""
        return str(self._cluster.address)

    def start(self) -> None:
        """Start it, anew where it was there."""
        self.stop()
        small = {"object_store_memory": 80_000_000}
        head = {"num_cpus": 0, "include_dashboard": False, **small}
        make = load("ray.cluster_utils:Cluster")
        self._cluster = make(initialize_head=True, head_node_args=head)
        for _ in range(NODES):
            self._add()

    def _add(self) -> None:
        self._cluster.add_node(num_cpus=1, object_store_memory=80_000_000)

    def stop(self) -> None:
        """End it at once, as machines end that lose their power."""
        if self._cluster is not None:
            self._cluster.shutdown()
            self._cluster = None

    def lose_node(self, which: int) -> None:
        """A node goes away with all that is on it."""
        nodes = sorted(self._cluster.worker_nodes, key=id)
        self._cluster.remove_node(nodes[which % len(nodes)], allow_graceful=False)

    def restore(self) -> None:
        """A new node for each that was lost."""
        while len(self._cluster.worker_nodes) < NODES:
            self._add()

    def kill_worker(self, which: int) -> bool:
        """Kill one that trains a pack; False where none does."""
        raylets = {n.all_processes["raylet"][0].process.pid for n in self._cluster.worker_nodes}
        pids = [
            pid
            for pid, parent, title in _processes()
            if parent in raylets and b"mixopt-pack" in title
        ]
        if pids:
            with suppress(ProcessLookupError):
                os.kill(sorted(pids)[which % len(pids)], signal.SIGKILL)
        return bool(pids)


def _processes() -> Iterator[tuple[int, int, bytes]]:
    """Id, parent and title of every process."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                parent = (path / "stat").read_text().rsplit(")", 1)[1].split()[1]
                yield int(path.name), int(parent), (path / "cmdline").read_bytes()


@dataclass
class TrackingServer:
    """An MLflow server that can be killed, behind a door that can be shut or slow.

    Attributes:
        folder: of its database.
        shut: no connection gets through.
        delay: seconds that every connection waits.
    """

    folder: Path
    shut: bool = False
    delay: float = 0.0
    _port: int = 0
    _door: socket.socket | None = None
    _process: "subprocess.Popen[bytes] | None" = None
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def uri(self) -> str:
        """Of its door; it is started by the first call."""
        if self._door is None:
            self._port = _free_port()
            self._door = socket.create_server(("127.0.0.1", 0))
            threading.Thread(target=self._serve, args=(self._door,), daemon=True).start()
            self.start()
        return f"http://127.0.0.1:{self._door.getsockname()[1]}"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-m", "mlflow", "server", "--port", str(self._port)]
        words += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        words += ["--artifacts-destination", str(self.folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                words, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=5).close()
                return
            time.sleep(0.2)
        raise TimeoutError("the MLflow server does not start")

    def kill(self) -> None:
        """Kill it at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def shut_door(self) -> None:
        """Cut all connections, and let none through."""
        self.shut = True
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def _serve(self, door: socket.socket) -> None:
        while True:
            near, _ = door.accept()
            if self.shut:
                near.close()
                continue
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            near.close()
            return
        self._open += [near, far]
        threading.Thread(target=self._pass, args=(far, near), daemon=True).start()
        self._pass(near, far)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class SmallDisk:
    """A disk of a few MB in memory, which can be filled; only root may make one.

    Args:
        folder: where it is mounted.
        megabytes: its size.
    """

    def __init__(self, folder: Path, megabytes: int = 96) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        self.there = subprocess.run(words, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Until nothing more can be written."""
        with suppress(OSError), (self.folder / "filler").open("wb") as file:
            while True:
                file.write(b"0" * 65536)
                file.flush()

    def free(self) -> None:
        """Room again."""
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if self.there:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
