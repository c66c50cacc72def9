"""Packs on a Slurm cluster: one batch job per pack, told and heard through a folder on its disk.

A job of its own per pack and not an array: packs are chosen one after the other as results come in,
differ in what they need, and are started again one by one. The driver asks squeue for all of its
jobs at once, every few seconds, and else looks into the folders.
"""

import logging
import os
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from mixopt.errors import MixoptError
from mixopt.evidence.numbers import plural
from mixopt.execution.local import check_pack
from mixopt.execution.needs import NeedsByScale
from mixopt.execution.packs import Cause, Pack, Retries
from mixopt.execution.slurm.folder import DriverFolder, PackFolder, Task
from mixopt.execution.slurm.queue import GONE, Job, LaterError, Queue, cause_of, clean
from mixopt.execution.slurm.requests import SlurmNeeds, Value
from mixopt.execution.slurm.under_way import Leftovers, UnderWay
from mixopt.ports import Event, Progress
from mixopt.runs import Observation, RunSpec
from mixopt.space.numbers import MANY, Within, check_arguments

_log = logging.getLogger(__name__)
MAX_SLOTS = 16
"""Jobs that wait or run at once, where nothing else is said."""
_LOOK_SECONDS = 0.2  # between two looks into the folders
_NEEDS = tuple(f.name for f in fields(SlurmNeeds) if f.name != "labels")
_SCRIPT = '#!/bin/sh\nexec "$@"\n'


@dataclass(eq=False)
class SlurmExecutor:
    """Runs packs as jobs of a Slurm cluster. The driver is where `sbatch` is; it does no training.

    `cache`, the environment of Python and the driver's current folder are on disks that all nodes
    see. Jobs get the driver's environment variables.

    A pack whose process dies or hangs is halved until the culprit is alone; see
    `mixopt.execution.packs`. A driver that was killed leaves its jobs in Slurm's hands: the next
    one, on the same cache, takes over those whose runs it is asked for, waiting, running or ended.

    Attributes:
        cache: where prepared data and checkpoints are, and the folders of packs (`cache/slurm`).
        cpus_per_pack, gpus_per_pack, memory_per_pack, nodes_per_pack, resources (as `--gres`),
            timeout, timeout_per_pflop: see `mixopt.execution.needs.Needs`; whole CPUs and GPUs.
        partition: where jobs go; several, separated by commas; empty for the cluster's own choice.
        account: that is charged; empty for the user's own.
        options: further options of sbatch, by their long names, e.g. `{"qos": "high"}`.
        per_scale: what differs for larger scales, e.g. `[{"params": "100M", "partition": "gpu"}]`.
        silence: seconds without any news of a pack after which a warning is logged.
        retries: restarts of a pack whose worker died, or by cause; a preempted or cancelled job,
            and a node that failed, are `lost`. See `mixopt.execution.packs.Retries`.
        max_slots: jobs that wait or run at once.
        poll: seconds between two questions to squeue.
        python: the interpreter on the nodes; without, the one that runs the driver.

    Raises:
        InputError: a value breaks its rule.
        MixoptError: Slurm's commands are not here, or do not answer.
    """

    cache: str | Path
    _: KW_ONLY
    cpus_per_pack: Annotated[int, Within(1, 10_000)] = 1
    gpus_per_pack: Annotated[int, Within(0, 1_000)] = 0
    memory_per_pack: int | str = 0
    nodes_per_pack: Annotated[int, Within(1, 1_000)] = 1
    resources: Mapping[str, int] = field(default_factory=dict)
    partition: str = ""
    account: str = ""
    options: Mapping[str, Value] = field(default_factory=dict)
    timeout: Annotated[float, Within(0, 1e9, open=True)] | None = None
    timeout_per_pflop: Annotated[float, Within(0, 1e9, open=True)] | None = None
    per_scale: Sequence[Mapping[str, Any]] = ()
    silence: Annotated[float, Within(0, 1e9, open=True)] = 900.0
    retries: Annotated[int, Within(0, 1_000)] | Mapping[str, int] = 2
    max_slots: Annotated[int, Within(1, MANY)] = MAX_SLOTS
    poll: Annotated[float, Within(0, 600, open=True)] = 5.0
    python: str | None = None

    def __post_init__(self) -> None:
        settings = {k: v for k, v in vars(self).items() if k != "cache"}
        check_arguments(SlurmExecutor, settings)
        self.check(settings)
        self._needs, self._retries = needs_of(settings), Retries.of(self.retries)
        self._cache = Path(self.cache).resolve()
        self._queue = Queue()
        jobs = self._queue.jobs()
        if jobs is None:
            raise MixoptError("squeue does not answer; see 'scontrol ping', and start again then")
        self._leftovers = Leftovers(self._cache / "slurm", jobs)
        self._mine = DriverFolder(self._cache / "slurm" / uuid.uuid4().hex[:12])
        self._mine.take()
        self._folders = [self._mine]  # and those that were taken over
        self._count = 0
        self._running: dict[str, UnderWay] = {}
        self._asked: dict[str, RunSpec] = {}
        self._early: dict[str, Observation] = {}  # of packs taken over, not asked for yet
        self._ready: list[Event] = []
        self._told: list[PackFolder] = []
        self._next_poll = 0.0
        self._deaf = self._closed = False

    @staticmethod
    def check(settings: Mapping[str, Any]) -> None:
        """Refuse settings that break a rule; Slurm is not asked.

        Args:
            settings: by name, of the right types; what is left out has its default.

        Raises:
            InputError: needs, options or retries that cannot be.
        """
        needs_of(settings)
        Retries.of(settings.get("retries", 2))

    @property
    def slots(self) -> int:
        """Packs that wait or run at once; Slurm decides when each starts."""
        return self.max_slots

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        """Queue a pack; `runtime` are settings of its trainer beside the runs' config.

        Runs that a dead driver's job has under way, or has finished, are not queued again.

        Raises:
            InputError: its runs cannot be trained together.
            MixoptError: the executor is closed, or Slurm refuses the job.
        """
        if self._closed:
            raise MixoptError("the executor is closed and takes no more packs; make a new one")
        whole = Pack.of(check_pack(pack), runtime)
        fresh = []
        for spec in whole.specs:
            self._asked[spec.run_id] = spec
            if not self._is_known(spec.run_id):
                fresh.append(spec)
        if fresh:
            self._start(replace(whole, specs=tuple(fresh)))

    def wait(self, timeout: float) -> list[Event]:
        """Progress and finished runs since the last call; waits at most `timeout` seconds."""
        # Whoever waits again has kept what came the last time.
        while self._told:
            self._told.pop().delete()
        deadline = time.monotonic() + timeout
        while True:
            events, self._ready = self._ready + self._look(), []
            left = deadline - time.monotonic()
            if events or left <= 0 or not self._running:
                return events
            time.sleep(min(_LOOK_SECONDS, left))

    def close(self) -> None:
        """Cancel what waits or runs, of this driver and of those whose jobs it took over."""
        if self._closed:
            return
        self._closed = True
        known = {w.job for w in self._running.values() if w.job and w.ended is None}
        jobs = self._queue.jobs() or []
        ours = (j for j in jobs if j.active and any(f.owns(j.name) for f in self._folders))
        numbers = sorted(known | {job.number for job in ours})
        if numbers:
            self._queue.cancel(numbers)
        self._running.clear()
        self._asked.clear()
        self._ready = []
        for folder in self._folders:
            folder.delete()

    def _is_known(self, run_id: str) -> bool:
        """Whether a run that is asked for is under way already, or has its answer."""
        if run_id in self._early:
            self._ready += self._handed([self._early.pop(run_id)])
            return True
        if any(run_id == s.run_id for w in self._running.values() for s in w.pack.specs):
            return True
        left = self._leftovers.take(run_id)
        if left is None:
            return False
        driver, folder, job = left
        if driver not in self._folders:
            self._folders.append(driver)
        task = folder.task()
        if task is None:
            return False
        _log.info("job %s of a driver that died is taken over (%s)", job or "?", folder.name)
        now, needs = time.monotonic(), self._needs.at(task.pack.specs[0].scale)
        self._running[folder.name] = UnderWay(
            pack=task.pack, needs=needs, folder=folder, job=job, since=now, heard=now
        )
        return True

    def _start(self, pack: Pack) -> None:
        self._count += 1
        folder = PackFolder(self._mine.path / f"{self._count:06d}")
        needs = self._needs.at(pack.specs[0].scale)
        folder.ask(Task(pack, self._cache, needs.nodes_per_pack))
        now = time.monotonic()
        self._running[folder.name] = UnderWay(
            pack=pack, needs=needs, folder=folder, job="", since=now, heard=now
        )
        try:
            self._send(self._running[folder.name])
        except MixoptError:
            del self._running[folder.name]
            raise

    def _send(self, under_way: UnderWay) -> None:
        """Have sbatch queue a pack; where it takes none now, the pack waits for the next look."""
        folder, needs = under_way.folder, under_way.needs
        script = self._mine.path / "job.sh"
        script.write_text(_SCRIPT, encoding="utf-8")
        words = [self.python or sys.executable, "-m", "mixopt.execution.slurm.worker"]
        if needs.nodes_per_pack > 1:
            each = ["--ntasks-per-node=1", f"--cpus-per-task={needs.threads}"]
            words = ["srun", "--kill-on-bad-exit=1", *each, *words]
        options = [
            f"--job-name={folder.name}",
            f"--output={str(folder.log).replace('%', '%%')}",
            f"--chdir={Path.cwd()}",
            *("--export=ALL", "--no-requeue"),
            *needs.sbatch(under_way.pack.specs),
        ]
        self._queue.environment = _environment(needs.threads)
        try:
            job = self._queue.submit(options, [str(script), *words, str(folder.path)])
        except LaterError as error:
            _log.warning("a pack waits, since sbatch takes no job now: %s", error)
            return
        self._running[folder.name] = replace(under_way, job=job, state="PENDING")

    def _look(self) -> list[Event]:
        events: list[Event] = []
        for name in list(self._running):
            events += self._read(name)
        if self._running and time.monotonic() >= self._next_poll:
            self._ask_slurm()
            self._next_poll = time.monotonic() + self.poll
        for name, under_way in list(self._running.items()):
            if under_way.ended is not None:
                events += self._read(name) or self._ended(name)
            elif time.monotonic() >= under_way.deadline:
                count, limit = len(under_way.pack.specs), under_way.limit
                last = f"{plural(count, 'run')} took longer than {limit:g} s"
                events += self._again(name, "timeout", last)
            else:
                self._warn(name)
        return events

    def _read(self, name: str) -> list[Event]:
        """What is new in the folder of a pack."""
        under_way = self._running[name]
        if under_way.began is None:
            started = under_way.folder.started()
            if started is None:
                return []
            now = time.monotonic()
            under_way = replace(under_way, began=now, heard=now, host=started["host"], warned=False)
        answers = under_way.folder.answers()  # before the points: these are then all there
        points, read = under_way.folder.points(under_way.read)
        if points:
            under_way = replace(under_way, heard=time.monotonic(), read=read, warned=False)
        self._running[name] = under_way
        specs = {s.run_id: self._asked.get(s.run_id) for s in under_way.pack.specs}
        news = ((specs.get(run_id), point) for run_id, point in points)
        events: list[Event] = [Progress(spec, point) for spec, point in news if spec is not None]
        return events if answers is None else events + self._answered(name, answers)

    def _answered(self, name: str, answers: Sequence[Observation]) -> list[Event]:
        under_way = self._running[name]
        several = under_way.needs.nodes_per_pack > 1
        if several and not any(seen.ok for seen in answers):
            # What fails on one machine may be the doing of another.
            return self._again(name, "crash", answers[0].error)
        del self._running[name]
        self._told.append(under_way.folder)
        if several and under_way.job and under_way.ended is None:
            self._queue.cancel([under_way.job])  # machines that still wait for the first
        held = (
            s if s.place is None else replace(s, place=replace(s.place, gpus=under_way.gpus))
            for s in answers
        )
        return self._handed(held)

    def _handed(self, answers: Iterable[Observation]) -> list[Event]:
        """Answers for the runs that were asked for; others wait until they are."""
        events: list[Event] = []
        for seen in answers:
            spec = self._asked.pop(seen.run_id, None)
            if spec is None:
                self._early[seen.run_id] = seen
            else:
                events.append(replace(seen, spec=spec))
        return events

    def _ask_slurm(self) -> None:
        """Note what squeue says of the jobs; queue packs that sbatch did not take."""
        jobs = self._queue.jobs()
        if jobs is None:
            if not self._deaf:
                _log.warning("squeue does not answer; jobs go on, and results are read meanwhile")
            self._deaf = True
            return
        self._deaf = False
        # By name: a controller that died before it had saved a job gives its number to another one,
        # and sbatch may have failed, as far as it knows, and queued the job all the same.
        names = {j.name: j for j in jobs}
        for name, under_way in list(self._running.items()):
            job = names.get(name)
            if job is None and not under_way.job and under_way.folder.started() is None:
                self._send(under_way)
            else:
                self._running[name] = self._with(under_way, job)

    def _with(self, under_way: UnderWay, job: Job | None) -> UnderWay:
        if job is not None and job.active:
            known = replace(under_way, job=job.number, state=job.state, reason=job.reason)
            return replace(known, ended=None)
        if under_way.ended is not None:
            return under_way
        asked = under_way.job and job is None
        state = self._queue.last_state(under_way.job) if asked else job.state if job else GONE
        return replace(under_way, state=state, ended=time.monotonic())

    def _ended(self, name: str) -> list[Event]:
        """A job has ended, and no answer was there when the folder was last read."""
        under_way = self._running.get(name)
        if under_way is None or not under_way.hopeless:
            return []
        return self._again(name, cause_of(under_way.state), under_way.last)

    def _again(self, name: str, cause: Cause, last: str) -> list[Event]:
        """Start a pack again that did not come to its end, or give its runs up."""
        under_way = self._running.pop(name)
        if under_way.job and under_way.ended is None:
            self._queue.cancel([under_way.job])
        self._told.append(under_way.folder)
        parts = under_way.pack.after(cause, self._retries)
        if not parts:
            return self._handed(under_way.pack.given_up(cause, last, under_way.place))
        how = "starts again" if len(parts) == 1 else "starts again in two halves"
        count = len(under_way.pack.specs)
        _log.warning("a pack of %d did not end (%s: %s) and %s", count, cause, last, how)
        for part in parts:
            self._start(part)
        return []

    def _warn(self, name: str) -> None:
        under_way = self._running[name]
        silent = time.monotonic() - under_way.heard >= self.silence
        # Packs that wait for others are no cause for alarm.
        waits = all(w.began is None for w in self._running.values())
        if silent and not under_way.warned and (under_way.began is not None or waits):
            _log.warning("%s", under_way.warning)
            self._running[name] = replace(under_way, warned=True)


def needs_of(settings: Mapping[str, Any]) -> NeedsByScale[SlurmNeeds]:
    """What packs need, from the settings of the executor.

    Raises:
        InputError: a value breaks its rule.
    """
    base = SlurmNeeds(**{name: settings[name] for name in _NEEDS if name in settings})
    return NeedsByScale.of(base, settings.get("per_scale", ()))


def _environment(threads: int) -> dict[str, str]:
    """Of the jobs: they import what the driver imports, and compute on the cores that they have."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    path = os.pathsep.join(part or str(Path.cwd()) for part in sys.path)
    return {**clean(os.environ), **dict.fromkeys(names, str(threads)), "PYTHONPATH": path}
