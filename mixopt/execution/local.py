"""Executor and store inside this process, for notebooks and tests; and what every executor shares.

`run_pack` is what happens to a pack wherever it runs: here in this process, on Ray in a worker.
"""

import json
import logging
import signal
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from mixopt import lazy
from mixopt.errors import InputError
from mixopt.evidence.numbers import plural
from mixopt.execution.alarm import TimeUpError, alarm
from mixopt.execution.answers import matched
from mixopt.execution.needs import Needs
from mixopt.execution.packs import Pack, Retries
from mixopt.ports import Event, Progress, Report, Trainer, capabilities_of, ignore_report, refusal
from mixopt.runs import Attempt, Observation, Place, Point, RunSpec
from mixopt.space.numbers import Within

_log = logging.getLogger(__name__)
_TRACEBACK_CHARS = 2000


def check_pack(pack: Sequence[RunSpec]) -> list[RunSpec]:
    """The pack as a list, if its runs can be trained together.

    Raises:
        InputError: no runs, or runs of several scales, trainers or trainer configurations.
    """
    specs = list(pack)
    if not specs:
        raise InputError("a pack needs at least one run; none was given")
    for what in ("scale", "trainer", "config", "data"):
        first = getattr(specs[0], what)
        other = next((s for s in specs if getattr(s, what) != first), None)
        if other is not None:
            raise InputError(
                f"a pack holds runs of one {what}, but has {first!r} (run {specs[0].run_id}) and "
                f"{getattr(other, what)!r} (run {other.run_id}); submit them as two packs"
            )
    return specs


def run_pack(
    specs: Sequence[RunSpec],
    cache: Path,
    report: Report = ignore_report,
    *,
    runtime: Mapping[str, Any] | None = None,
    trainer: Trainer | None = None,
) -> list[Observation]:
    """Train a pack; whatever the trainer does, one observation per run comes back, in order.

    Each says where it was trained, and for how long its pack took a slot. A trainer that cannot be
    loaded, raises, exits, or answers for other runs than it was asked gives failed observations
    with the reason; so does a run whose metrics are no finite numbers, alone (see
    `mixopt.execution.answers`).

    Args:
        specs: runs of one scale, trainer and configuration.
        cache: where prepared data and checkpoints are.
        report: called with the points of the curves, from the training thread.
        runtime: settings of the trainer that say how, not what, it trains.
        trainer: used in place of the one that the specs name.

    Raises:
        KeyboardInterrupt: somebody pressed Ctrl-C; one that the trainer raises itself is a failure.
    """
    started = time.perf_counter()
    answers = _answers(specs, cache, report, runtime or {}, trainer)
    place = Place(socket.gethostname(), (time.perf_counter() - started) / len(specs))
    return [replace(seen, place=place) for seen in answers]


def _answers(
    specs: Sequence[RunSpec],
    cache: Path,
    report: Report,
    runtime: Mapping[str, Any],
    trainer: Trainer | None,
) -> list[Observation]:
    started = time.perf_counter()
    with _listening() as interrupted:
        try:
            maker = trainer or make_trainer(specs[0].trainer, specs[0].config, runtime)
            refused = {s.run_id: reason for s in specs if (reason := refusal(maker, s))}
            able = [s for s in specs if s.run_id not in refused]
            answers = iter(matched(able, maker.train(able, cache, report)) if able else [])
            return [
                Observation.failure(s, refused[s.run_id]) if s.run_id in refused else next(answers)
                for s in specs
            ]
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt) and interrupted():
                raise
            # One bad run must not end the sweep; the reason goes into the record.
            _log.debug("a pack of %d runs failed", len(specs), exc_info=True)
            seconds = (time.perf_counter() - started) / len(specs)
            info = {"traceback": traceback.format_exc()[-_TRACEBACK_CHARS:]}
            reason = _reason(error, specs)
            return [Observation.failure(s, reason, seconds=seconds, info=info) for s in specs]


def _reason(error: BaseException, specs: Sequence[RunSpec]) -> str:
    """What ended a pack, in words."""
    told = str(error)
    name, trainer = type(error).__name__, specs[0].trainer
    if isinstance(error, MemoryError):
        what = f"{len(specs)} run{'s' * (len(specs) > 1)} of {specs[0].scale} at once"
        return (
            f"MemoryError: the memory did not suffice for {trainer} to train {what}"
            f"{f' ({told})' if told else ''}; lower execution.pack_size, or the scale"
        )
    if isinstance(error, SystemExit):
        return f"SystemExit: trainer {trainer} called exit({told}); let it raise an error instead"
    if isinstance(error, KeyboardInterrupt):
        return f"KeyboardInterrupt: trainer {trainer} raised it, and nobody pressed Ctrl-C"
    return f"{name}: {told}" if told else f"{name} in trainer {trainer}, without a message"


@contextmanager
def _listening() -> Iterator[Callable[[], bool]]:
    """Tells whether a SIGINT came meanwhile: Ctrl-C is for the sweep, what a trainer raises is not.

    Signals reach the main thread alone; in any other, an interrupt is the trainer's own.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    if not callable(before):  # ignored, or set outside of Python
        yield lambda: False
        return
    heard: list[bool] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(True)
        before(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield lambda: bool(heard)
    finally:
        if signal.getsignal(signal.SIGINT) is hear:  # else the trainer set one of its own
            signal.signal(signal.SIGINT, before)


def make_trainer(use: str, config: Mapping[str, Any], runtime: Mapping[str, Any]) -> Trainer:
    """A trainer by name, made with what is trained and how, each setting in its place.

    Args:
        use: `"module:attribute"`.
        config: settings that are part of every run's identity.
        runtime: settings that are not, by the trainer's own `Capabilities.runtime`.

    Raises:
        InputError: it cannot be imported, takes other settings, or a setting is in the wrong place.
    """
    twice = next((name for name in config if name in runtime), None)
    if twice is not None:
        raise InputError(f"{twice!r} is in config and in runtime; give it once")
    made: Trainer = lazy.build(lazy.load(use), {**config, **runtime}, f"trainer {use}")
    declared = capabilities_of(made).runtime
    for name in config:
        if name in declared:
            raise InputError(
                f"config: {name!r} says how runs are trained, not what they are; move it to runtime"
            )
    for name in runtime:
        if name not in declared:
            known = f"its runtime settings: {', '.join(sorted(declared)) or 'none'}"
            raise InputError(
                f"runtime: {name!r} decides what is trained, as trainer {use} declares it "
                f"({known}); move it to config"
            )
    return made


def as_json(name: str, value: Any) -> str:
    """A value of an annotation as JSON text.

    Raises:
        InputError: it is no plain JSON value.
    """
    try:
        return json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"annotation {name!r} cannot be kept: {error}; give plain JSON values (numbers, text, "
            "lists, dicts)"
        ) from error


def attempts_of(run_id: str, spec: RunSpec | None, seen: Observation | None) -> tuple[Attempt, ...]:
    """The attempts of a failed run that is to be trained again, its last one among them.

    Args:
        run_id: of the run.
        spec: as it was opened; None where it was not.
        seen: what came of it; None where it is open, and there is nothing to do.

    Raises:
        InputError: there is no such run, or it succeeded.
    """
    if spec is None:
        raise InputError(f"there is no run {run_id!r} to train again; give the id of a failed one")
    if seen is None:
        return ()
    if seen.ok:
        raise InputError(f"run {run_id!r} succeeded; only failed runs are trained again")
    last = Attempt(seen.error, seen.flops, seen.seconds, seen.place, until=time.time())
    return (*seen.attempts, last)


class LocalExecutor:
    """Trains packs in this process, one per call of `wait`.

    Time is kept by an alarm of the system, in the main thread alone. It ends a trainer at its next
    Python instruction: one that hangs inside of compiled code goes on, and a process that dies
    takes the sweep with it. Workers on Ray can be ended, and can die, at any moment.

    Args:
        cache: where prepared data and checkpoints are.
        trainers: `"module:attribute"` to a trainer to use in its place.
        timeout: seconds that a run may take; a pack that takes longer is halved until the run that
            hangs is alone. None for no limit.
        timeout_per_pflop: seconds more per 10^15 nominal FLOPs of a run.

    Raises:
        InputError: no trainers, a value that breaks its rule, or a timeout in another thread.
    """

    def __init__(
        self,
        cache: str | Path,
        *,
        trainers: Mapping[str, Trainer] | None = None,
        timeout: Annotated[float, Within(0, 1e9, open=True)] | None = None,
        timeout_per_pflop: Annotated[float, Within(0, 1e9, open=True)] | None = None,
    ) -> None:
        self._cache = Path(cache)
        self._needs = Needs(timeout=timeout, timeout_per_pflop=timeout_per_pflop)
        timed = timeout is not None or timeout_per_pflop is not None
        if timed and threading.current_thread() is not threading.main_thread():
            raise InputError(
                f"timeout is {timeout}, which this executor keeps in the main thread alone, and "
                "this is another; leave it out, or train on Ray"
            )
        self._trainers = dict(trainers or {})
        for name, trainer in self._trainers.items():
            if not isinstance(trainer, Trainer):
                raise InputError(
                    f"trainers: {name!r} is {trainer!r}, which has no 'prepare' and 'train'; give "
                    "trainer objects, from Python (a spec names its trainer under trainer.use)"
                )
        self._queue: deque[Pack] = deque()

    @property
    def slots(self) -> int:
        """One: this process."""
        return 1

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        """Queue a pack; `runtime` are settings of its trainer beside the runs' config.

        Raises:
            InputError: its runs cannot be trained together.
        """
        self._queue.append(Pack.of(check_pack(pack), runtime))

    def wait(self, timeout: float) -> list[Event]:  # noqa: ARG002 - the port's signature
        """Train the oldest pack to its end; its progress and its observations."""
        if not self._queue:
            return []
        events: list[Event] = []

        def report(spec: RunSpec, point: Point) -> None:
            events.append(Progress(spec, point))

        pack = self._queue[0]
        specs, limit = list(pack.specs), self._needs.seconds(pack.specs)
        trainer = self._trainers.get(specs[0].trainer)
        parts: list[Pack] = []
        try:
            with alarm(limit):
                ended = run_pack(specs, self._cache, report, runtime=pack.runtime, trainer=trainer)
        except TimeUpError:
            parts = pack.after("timeout", Retries())
            last = f"{plural(len(specs), 'run')} took longer than {limit:g} s"
            ended = [] if parts else pack.given_up("timeout", last)
        self._queue.popleft()  # only now: after Ctrl-C in a notebook the pack is still there
        self._queue.extendleft(reversed(parts))
        return [*events, *ended]

    def close(self) -> None:
        """Forget what is queued."""
        self._queue.clear()


class MemoryStore:
    """A store that lasts as long as the process."""

    def __init__(self) -> None:
        self._specs: dict[str, RunSpec] = {}
        self._observations: dict[str, Observation] = {}
        self._attempts: dict[str, tuple[Attempt, ...]] = {}
        self._notes: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        """What was attached: file name to content."""

    def open(self, spec: RunSpec) -> None:
        """Note that a run is about to be submitted."""
        self._specs.setdefault(spec.run_id, spec)

    def close(self, observation: Observation) -> None:
        """Note what came of a run; the first observation of a `run_id` stays."""
        self.open(observation.spec)
        if observation.run_id not in self._observations:
            attempts = self._attempts.pop(observation.run_id, ())
            self._observations[observation.run_id] = replace(observation, attempts=attempts)

    def retry(self, run_id: str) -> None:
        """Have a failed run trained again; what came of it stays on record as an attempt.

        Raises:
            InputError: there is no such run, or it succeeded.
        """
        tries = attempts_of(run_id, self._specs.get(run_id), self._observations.get(run_id))
        if tries:
            self._attempts[run_id] = tries
            del self._observations[run_id]

    def attempts(self) -> dict[str, tuple[Attempt, ...]]:
        """The failed attempts of runs that are to be trained again, by run id."""
        return dict(self._attempts)

    def observations(self) -> list[Observation]:
        """All closed runs, in the order in which they were opened."""
        return [self._observations[i] for i in self._specs if i in self._observations]

    def pending(self) -> list[RunSpec]:
        """Runs that were opened and not closed."""
        return [s for i, s in self._specs.items() if i not in self._observations]

    def annotate(self, values: Mapping[str, Any]) -> None:
        """Keep facts of the sweep, by name.

        Raises:
            InputError: a value is not plain JSON.
        """
        self._notes.update({name: as_json(name, value) for name, value in values.items()})

    def annotations(self) -> dict[str, Any]:
        """What was annotated, by name."""
        return {name: json.loads(text) for name, text in self._notes.items()}

    def attach(self, path: Path) -> None:
        """Keep a copy of a file."""
        self.files[path.name] = path.read_bytes()

    def release(self) -> None:
        """Nobody else can see it anyway."""
