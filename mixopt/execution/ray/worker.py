"""What runs in a Ray worker: a pack, as a stream of its progress and its answers."""

import functools
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from mixopt.execution.local import make_trainer, run_pack
from mixopt.ports import PackingTrainer, capabilities_of
from mixopt.runs import Observation, Point, RunSpec, Scale
from mixopt.runs.nodes import Nodes

_BATCH_SECONDS = 0.2  # progress is sent at most this often
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Started:
    """The first item of a stream: a worker has the pack.

    Attributes:
        node: Ray's id of its machine.
        host: name of its machine.
        address: where the other nodes of a pack find this one, `host:port`.
    """

    node: str
    host: str
    address: str


@dataclass(frozen=True)
class News:
    """A later item of a stream.

    Attributes:
        points: points of the curves, by position in the pack.
        answers: at the end, one observation per run.
    """

    points: tuple[tuple[int, Point], ...]
    answers: tuple[Observation, ...] | None

    @property
    def failed(self) -> str:
        """The reason where every run has failed; empty elsewhere."""
        answers = self.answers or ()
        return "" if any(o.ok for o in answers) else next((o.error for o in answers), "")


@dataclass(frozen=True)
class Work:
    """What a worker is to do.

    Attributes:
        specs: the runs of the pack.
        cache: folder of prepared data.
        runtime: settings of the trainer.
        threads: of its numeric libraries.
        nodes: how many nodes train the pack, and which of them this is.
    """

    specs: tuple[RunSpec, ...]
    cache: str
    runtime: Mapping[str, Any]
    threads: int
    nodes: Nodes = field(default_factory=Nodes)


def train_pack(work: Work) -> Iterator[Started | News]:
    """The task: says that it has started, then points of the curves, at last the answers."""
    # Ctrl-C in a terminal reaches every process of the group; only the driver is to act on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(work.threads)))
    context = ray.get_runtime_context()
    mine = f"{ray.util.get_node_ip_address()}:{_free_port()}"
    yield Started(context.get_node_id(), socket.gethostname(), mine)
    work.nodes.at(work.nodes.address or mine).announce(os.environ)
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    specs = list(work.specs)
    train = functools.partial(run_pack, specs, Path(work.cache), runtime=work.runtime)
    threading.Thread(target=_work, args=(specs, train, messages), daemon=True).start()
    while True:
        points, end = _collect(messages)
        if isinstance(end, BaseException):
            raise end
        yield News(tuple(points), None if end is None else tuple(end))
        if end is not None:
            return


def preferred_pack(
    trainer: str, settings: tuple[Mapping[str, Any], Mapping[str, Any]], scale: Scale, cache: str
) -> int:
    """The task: how many runs of a scale a trainer likes to have at once on this machine.

    Args:
        trainer: `"module:attribute"`.
        settings: its configuration, and its runtime settings.
        scale: of the runs.
        cache: folder of prepared data.
    """
    made = make_trainer(trainer, *settings)
    if isinstance(made, PackingTrainer) and capabilities_of(made).packs:
        return made.preferred_pack(scale, Path(cache))
    return 1


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _work(
    specs: list[RunSpec],
    train: Callable[..., list[Observation]],
    messages: "queue.SimpleQueue[Any]",
) -> None:
    """Train in a thread of its own; everything that happens becomes a message."""
    position = {spec.run_id: i for i, spec in enumerate(specs)}

    def report(spec: RunSpec, point: Point) -> None:
        messages.put((position[spec.run_id], point))

    try:
        messages.put(train(report=report))
    except BaseException as error:  # noqa: BLE001 - SystemExit and its like go to the main thread
        messages.put(error)


def _collect(messages: "queue.SimpleQueue[Any]") -> tuple[list[tuple[int, Point]], Any]:
    """The newest point of every run in the next moments; ends at once with the last message."""
    points: dict[int, Point] = {}
    message = messages.get()
    deadline = time.monotonic() + _BATCH_SECONDS
    while isinstance(message, tuple):
        points[message[0]] = message[1]
        try:
            message = messages.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            message = None
    return list(points.items()), message
