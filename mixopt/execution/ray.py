"""Packs on a Ray cluster: one task per pack, retried by the driver when its worker dies.

A task streams its progress and its answer back as it goes (a Ray generator), so there is no extra
actor or queue that could die. Ray's own retries are off: a second attempt that starts from a
checkpoint yields fewer items than the first, which Ray's replay of a stream does not allow. The
driver submits a pack again instead, and knows how often and why.
"""

import functools
import logging
import os
import queue
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import ray
from ray.exceptions import RayError, RayTaskError

from mixopt.errors import InputError, MixoptError
from mixopt.execution.local import check_pack, run_pack
from mixopt.ports import Event, Progress
from mixopt.runs import Observation, Place, Point, RunSpec
from mixopt.space.numbers import MANY, Within, check_arguments
from mixopt.space.redaction import known_secrets, redact

_log = logging.getLogger(__name__)
_BATCH_SECONDS = 0.2  # progress is sent at most this often
_COUNT_SECONDS = 5.0  # the size of the cluster is asked at most this often
_OBJECT_STORE_BYTES = 200_000_000  # answers are small; Ray's default is a third of the memory
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


_PRINT = getattr(ray._private.worker, "print_to_stdstream", None)


@dataclass(frozen=True)
class _Attempt:
    """A pack under way: its runs, how to train them, and how many attempts may follow."""

    specs: list[RunSpec]
    runtime: dict[str, Any]
    left: int


class RayExecutor:
    """Runs packs on a Ray cluster: the one at `address`, or one started here.

    A Ray session that this process already has is used as it is. Workers import trainers from what
    is installed and from the driver's current folder; `cache` must be a path that they share.

    Args:
        cache: where prepared data and checkpoints are.
        address: of a running cluster, e.g. `"auto"`; without, `$RAY_ADDRESS`, else a cluster is
            started on this machine and stopped by `close`.
        cpus_per_pack: CPUs reserved for a pack, and its limit of threads.
        gpus_per_pack: GPUs, also fractions.
        retries: how often a pack is started again after its worker died.
        slots: packs under way at once; without, as many as the cluster has room for. Give it
            where an autoscaler adds machines on demand.
        runtime_env: Ray's runtime environment, for clusters that share no file system; not used
            in a session that is there already.

    Raises:
        InputError: a negative number, or no node has room for a pack.
        MixoptError: Ray does not start or cannot be reached.
    """

    def __init__(
        self,
        cache: str | Path,
        *,
        address: str | None = None,
        cpus_per_pack: Annotated[float, Within(0, 10_000)] = 1,
        gpus_per_pack: Annotated[float, Within(0, 1_000)] = 0,
        retries: Annotated[int, Within(0, 1_000)] = 2,
        slots: Annotated[int, Within(1, MANY)] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        given: dict[str, Any] = {"cpus_per_pack": cpus_per_pack, "gpus_per_pack": gpus_per_pack}
        given |= {"retries": retries, "slots": slots, "runtime_env": runtime_env}
        check_arguments(RayExecutor, {"address": address, **given})
        self._secrets = known_secrets(runtime_env)
        self._cache = Path(cache).resolve()
        self._needs = {"CPU": cpus_per_pack, "GPU": gpus_per_pack}
        self._threads = max(1, int(cpus_per_pack))
        self._retries, self._given_slots = retries, slots
        self._counted = (-_COUNT_SECONDS, 0)
        self._running: dict[Any, _Attempt] = {}
        self._closed = False
        self._session = _connect(address, self._threads, runtime_env)
        self._task = ray.remote(_train_pack).options(
            num_returns="streaming",
            max_retries=0,
            num_cpus=cpus_per_pack,
            num_gpus=gpus_per_pack,
            name="mixopt-pack",
        )
        if slots is None and not self._count_slots():
            self.close()
            wanted = " and ".join(f"{n:g} {what}" for what, n in self._needs.items() if n)
            raise InputError(
                f"no node of the Ray cluster has {wanted}, so no pack could ever start; lower "
                "cpus_per_pack or gpus_per_pack, add a machine, or give slots if machines come "
                "on demand"
            )

    @property
    def slots(self) -> int:
        """How many packs the cluster has room for at once (nodes may come and go)."""
        return self._given_slots or max(1, self._count_slots())

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        """Start a pack; `runtime` are settings of its trainer beside the runs' config.

        Raises:
            InputError: its runs cannot be trained together.
            MixoptError: the executor is closed.
        """
        if self._closed:
            raise MixoptError("the executor is closed and takes no more packs; make a new one")
        self._start(_Attempt(check_pack(pack), dict(runtime or {}), self._retries))

    def wait(self, timeout: float) -> list[Event]:
        """Progress and finished runs since the last call; waits at most `timeout` seconds."""
        events: list[Event] = []
        ready = self._ready(timeout, 1)
        while ready:
            for stream in ready:
                events.extend(self._advance(stream))
            ready = self._ready(0, len(self._running))
        return [self._masked(event) for event in events]

    def _masked(self, event: Event) -> Event:
        """Without the secrets of the workers' environment, which errors like to quote."""
        if isinstance(event, Progress) or not event.error:
            return event
        return replace(event, error=redact(event.error, known=self._secrets))

    def close(self) -> None:
        """Kill what is under way; stop the cluster if it was started here."""
        if self._closed:
            return
        self._closed = True
        for stream in self._running:
            ray.cancel(stream, force=True)
        self._running.clear()
        self._session.close()

    def _start(self, attempt: _Attempt) -> None:
        stream = self._task.remote(attempt.specs, str(self._cache), attempt.runtime, self._threads)
        self._running[stream] = attempt

    def _ready(self, timeout: float, count: int) -> list[Any]:
        if not self._running:
            return []
        ready: list[Any] = ray.wait(list(self._running), num_returns=count, timeout=timeout)[0]
        return ready

    def _advance(self, stream: Any) -> list[Event]:
        """Take the next item of a pack's stream."""
        attempt = self._running[stream]
        try:
            points, answers = ray.get(next(stream))
        except StopIteration:
            return self._again(stream, "the task ended without an answer")
        except RayTaskError as error:  # raised in the worker outside the trainer: it would again
            del self._running[stream]
            return _failures(attempt.specs, f"the worker cannot run the pack: {_brief(error)}")
        except RayError as error:
            return self._again(stream, f"{type(error).__name__}: {_brief(error)}")
        events: list[Event] = [Progress(attempt.specs[i], point) for i, point in points]
        if answers is not None:
            del self._running[stream]
            events += [
                replace(o, spec=s, place=self._held(o))
                for o, s in zip(answers, attempt.specs, strict=True)
            ]
        return events

    def _held(self, seen: Observation) -> Place | None:
        """Where a run was trained, with the GPUs that its pack had."""
        return None if seen.place is None else replace(seen.place, gpus=float(self._needs["GPU"]))

    def _again(self, stream: Any, cause: str) -> list[Event]:
        """Start a pack again after its worker died, or give its runs up."""
        attempt = self._running.pop(stream)
        if attempt.left:
            _log.warning("a worker died (%s); its pack starts again", cause)
            self._start(replace(attempt, left=attempt.left - 1))
            return []
        return _failures(
            attempt.specs,
            f"the worker died in each of {self._retries + 1} attempts; the last time: {cause}",
        )

    def _count_slots(self) -> int:
        """Packs that the living nodes have room for."""
        when, count = self._counted
        if time.monotonic() - when < _COUNT_SECONDS:
            return count
        needs = {k: v for k, v in self._needs.items() if v} or {"CPU": 1.0}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        count = sum(min(int(n.get(k, 0) / v + 1e-9) for k, v in needs.items()) for n in nodes)
        self._counted = (time.monotonic(), count)
        return count


def _failures(specs: Sequence[RunSpec], error: str) -> list[Event]:
    return [Observation.failure(spec, error) for spec in specs]


def _brief(error: BaseException) -> str:
    """The last line of a Ray error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, RayTaskError):
        return lines[-1] if lines else type(error).__name__
    return " ".join(lines)[:300]


# -- in the worker -------------------------------------------------------------------------------


def _train_pack(
    specs: list[RunSpec], cache: str, runtime: dict[str, Any], threads: int
) -> Iterator[tuple[list[tuple[int, Point]], list[Observation] | None]]:
    """The task: yields points of the curves (by position in the pack), at last the answers."""
    # Ctrl-C in a terminal reaches every process of the group; only the driver is to act on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    train = functools.partial(run_pack, specs, Path(cache), runtime=runtime)
    work = threading.Thread(target=_work, args=(specs, train, messages), daemon=True)
    work.start()
    while True:
        points, end = _collect(messages)
        if isinstance(end, BaseException):
            raise end
        yield points, end
        if end is not None:
            return


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


# -- starting Ray ----------------------------------------------------------------------------------


def _connect(address: str | None, threads: int, runtime_env: Mapping[str, Any] | None) -> ExitStack:
    """Connect to Ray or start it; closing what comes back undoes exactly what this call did."""
    session = ExitStack()
    if ray.is_initialized():
        return session
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_address(address)
    options: dict[str, Any] = {
        "address": address,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": dict(runtime_env) if runtime_env else None,
    }
    variables = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}  # no FutureWarning about GPUs
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        variables |= {"RAY_USAGE_STATS_ENABLED": "0"}
        variables |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
        session.enter_context(_password())
    try:
        with _environment(variables):
            ray.init(**options)
    except (RayError, RuntimeError, ConnectionError, ValueError, OSError) as error:
        session.close()
        where = "start on this machine" if address == "local" else f"be reached at {address!r}"
        raise MixoptError(
            f"Ray cannot {where}: {_brief(error)}; see 'ray status' for a running cluster, or set "
            "execution: {use: local} to train in this process"
        ) from error
    session.callback(_divert_reports, _PRINT)
    session.callback(ray.shutdown)
    _divert_reports(_to_log)
    return session


def _check_address(address: str) -> None:
    """Find a wrong `host:port` at once: Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise MixoptError(
            f"no Ray cluster answers at {address!r}: {error}; start it ('ray start --head' or "
            "'ray up') or correct the address"
        ) from error


def _to_log(data: Mapping[str, Any], ignore_prefix: bool) -> None:  # noqa: ARG001 - Ray's signature
    _log.debug("%s: %s", data.get("pid"), " ".join(data.get("lines", ())))


def _divert_reports(sink: Any) -> None:
    """Have Ray's reports of dead workers go to `sink` rather than to standard output.

    Ray prints them, log_to_driver or not, into tables and progress bars; the executor says the same
    in a log record and in the observation. Ray has no option for it, hence its private name.
    """
    if _PRINT is not None:
        ray._private.worker.print_to_stdstream = sink


@contextmanager
def _password() -> Iterator[None]:
    """A password for a cluster on this machine, as long as it lasts.

    Ray would write one into the user's home folder, and sets RAY_AUTH_MODE for good.
    """
    has_mode = "RAY_AUTH_MODE" in os.environ
    has_one = (Path.home() / ".ray" / "auth_token").exists() or "RAY_AUTH_TOKEN_PATH" in os.environ
    with _environment({} if has_one else {"RAY_AUTH_TOKEN": _token()}):
        yield
    if not has_mode:
        os.environ.pop("RAY_AUTH_MODE", None)


@functools.cache
def _token() -> str:
    """One per process, since Ray keeps the first it sees."""
    return secrets.token_hex(32)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables that Ray's processes inherit; what the user has set stays, and comes back."""
    added = {k: v for k, v in variables.items() if k not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
