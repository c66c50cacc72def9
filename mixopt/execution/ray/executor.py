"""Packs on a Ray cluster: one task per pack, retried by the driver when it does not end by itself.

A task streams its progress and its answer back as it goes (a Ray generator), so there is no extra
actor or queue that could die. Ray's own retries are off: a second attempt that starts from a
checkpoint yields fewer items than the first, which Ray's replay of a stream does not allow. The
driver submits a pack again instead, and knows how often and why.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import ray
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    RuntimeEnvSetupError,
    TaskUnschedulableError,
)
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from mixopt.errors import InputError, MixoptError
from mixopt.evidence.numbers import plural
from mixopt.execution.local import check_pack
from mixopt.execution.needs import NEEDS, Needs, NeedsByScale
from mixopt.execution.packs import Cause, Pack, Retries
from mixopt.execution.ray.cluster import Cluster, on_kind
from mixopt.execution.ray.session import brief, check_runtime_env, connect
from mixopt.execution.ray.under_way import UnderWay, options, warning
from mixopt.execution.ray.worker import News, Started, Work, preferred_pack, train_pack
from mixopt.ports import Event, Progress
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.nodes import Nodes
from mixopt.space.numbers import MANY, Within, check_arguments
from mixopt.space.redaction import known_secrets, redact

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class RayExecutor:
    """Runs packs on a Ray cluster: the one at `address`, or one started here.

    A Ray session that this process already has is used as it is. Workers import trainers from what
    is installed and from the driver's current folder; `cache` must be a path that they share.

    A pack whose process dies or hangs is halved until the culprit is alone, so that it costs no
    other run; see `mixopt.execution.packs`.

    Attributes:
        cache: where prepared data and checkpoints are.
        address: of a running cluster, e.g. `"auto"`; without, `$RAY_ADDRESS`, else a cluster is
            started on this machine and stopped by `close`.
        cpus_per_pack, gpus_per_pack, memory_per_pack, nodes_per_pack, resources, labels, timeout,
            timeout_per_pflop: what a pack needs and how long it may take; see
            `mixopt.execution.needs.Needs`.
        per_scale: what differs for larger scales, e.g. `[{"params": "100M", "gpus_per_pack": 1}]`.
        silence: seconds without any news of a pack after which a warning is logged.
        retries: restarts of a pack whose worker died, or by cause:
            `{crash, memory, lost, timeout}`; see `mixopt.execution.packs.Retries`.
        max_slots: packs under way at once; without, as many as the living nodes have room for. Give
            it where an autoscaler adds machines on demand: it is asked for what they need.
        runtime_env: Ray's runtime environment, for clusters that share no file system; not used
            in a session that is there already, nor in a job, which has one.

    Raises:
        InputError: a value breaks its rule, or no node has room for a pack.
        MixoptError: Ray does not start or cannot be reached.
    """

    cache: str | Path
    _: KW_ONLY
    address: str | None = None
    cpus_per_pack: Annotated[float, Within(0, 10_000)] = 1
    gpus_per_pack: Annotated[float, Within(0, 1_000)] = 0
    memory_per_pack: int | str = 0
    nodes_per_pack: Annotated[int, Within(1, 1_000)] = 1
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    timeout: Annotated[float, Within(0, 1e9, open=True)] | None = None
    timeout_per_pflop: Annotated[float, Within(0, 1e9, open=True)] | None = None
    per_scale: Sequence[Mapping[str, Any]] = ()
    silence: Annotated[float, Within(0, 1e9, open=True)] = 900.0
    retries: Annotated[int, Within(0, 1_000)] | Mapping[str, int] = 2
    max_slots: Annotated[int, Within(1, MANY)] | None = None
    runtime_env: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        settings = {k: v for k, v in vars(self).items() if k != "cache"}
        check_arguments(RayExecutor, settings)
        self.check(settings)
        self._needs, self._retries = _needs_of(settings), Retries.of(self.retries)
        self._secrets = known_secrets(self.runtime_env)
        self._cache = str(Path(self.cache).resolve())
        self._running: dict[Any, UnderWay] = {}
        self._leader: dict[Any, Any] = {}  # stream of another machine to that of the first
        self._sizes: dict[Any, int] = {}
        self._closed = False
        self._session = connect(self.address, self._needs.base.threads, self.runtime_env)
        self._cluster = Cluster()
        # Made once: Ray takes a function apart and sends it to the cluster every time it is made.
        self._remote: Any = ray.remote(train_pack)
        self._tasks: dict[tuple[Needs, str], Any] = {}  # the same with options, which take time too
        if self.max_slots is None:
            self._check_room()

    @staticmethod
    def check(settings: Mapping[str, Any]) -> None:
        """Refuse settings that break a rule; Ray is not started.

        Args:
            settings: by name, of the right types; what is left out has its default.

        Raises:
            InputError: needs, retries or a runtime environment that cannot be.
        """
        _needs_of(settings)
        Retries.of(settings.get("retries", 2))
        check_runtime_env(settings.get("runtime_env"))

    @property
    def slots(self) -> int:
        """How many packs the cluster has room for at once (nodes may come and go)."""
        if self.max_slots is not None:
            return self.max_slots
        return max(1, *(self._cluster.room(needs) for needs in self._needs.all))

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        """Start a pack; `runtime` are settings of its trainer beside the runs' config.

        Raises:
            InputError: its runs cannot be trained together.
            MixoptError: the executor is closed.
        """
        if self._closed:
            raise MixoptError("the executor is closed and takes no more packs; make a new one")
        self._start(Pack.of(check_pack(pack), runtime))
        self._request()

    def wait(self, timeout: float) -> list[Event]:
        """Progress and finished runs since the last call; waits at most `timeout` seconds.

        Raises:
            MixoptError: this machine is no longer part of a cluster.
        """
        events: list[Event] = []
        due = min((w.deadline for w in self._running.values()), default=math.inf)
        ready = self._ready(max(0.0, min(timeout, due - time.monotonic())), 1)
        while ready:
            for stream in ready:
                if stream in self._running or stream in self._leader:  # its pack may have ended
                    events.extend(self._advance(stream))
            ready = self._ready(0, len(self._running) + len(self._leader))
        events.extend(self._look_at_the_clock())
        self._request()
        return [self._masked(event) for event in events]

    def pack_size(
        self, trainer: str, settings: tuple[Mapping[str, Any], Mapping[str, Any]], scale: Scale
    ) -> int | None:
        """How many runs to send at once, as the trainer says on the machine that they would go to.

        Where the cluster has several kinds of accelerators, that is the kind with most room left,
        and `submit` sends the pack there. Each kind is asked once per scale, in a worker. None
        where the cluster is this machine alone: ask the trainer here.

        Args:
            trainer: `"module:attribute"`.
            settings: its configuration, and its runtime settings.
            scale: of the runs.

        Raises:
            MixoptError: the trainer could not be asked.
        """
        if self._cluster.is_this_machine:
            return None
        needs = self._needs.at(scale)
        kind = self._emptiest(needs)
        asked = (trainer, repr(settings), scale, kind)
        if asked not in self._sizes:
            task = ray.remote(preferred_pack).options(**options(needs, kind), max_retries=3)
            try:
                size = ray.get(task.remote(trainer, settings, scale, self._cache))
            except RayError as error:
                raise MixoptError(
                    f"trainer {trainer} could not be asked how many runs of {scale} it likes at "
                    f"once: {redact(brief(error), known=self._secrets)}; correct it, or give "
                    "execution.pack_size"
                ) from error
            self._sizes[asked] = max(1, int(size))
        return self._sizes[asked]

    def close(self) -> None:
        """Kill what is under way; stop the cluster if it was started here."""
        if self._closed:
            return
        self._closed = True
        for stream in list(self._running):
            self._kill(stream)
        if self.max_slots is not None:
            self._cluster.request([])
        self._session.close()

    def _check_room(self) -> None:
        for needs in self._needs.all:
            if not self._cluster.room(needs):
                self.close()
                raise InputError(
                    f"no node of the Ray cluster has {needs}, so no pack could ever start; lower "
                    "what a pack needs, add a machine, or give max_slots if machines come on demand"
                )

    def _request(self) -> None:
        if self.max_slots is not None and not self._closed:
            self._cluster.request([w.needs for w in self._running.values()])

    def _emptiest(self, needs: Needs) -> str:
        """The kind of accelerator with most room left for a pack; empty where they are alike."""
        kinds = self._cluster.kinds(needs)
        if len(kinds) < 2:
            return ""
        taken = [w.kind for w in self._running.values()]
        return max(kinds, key=lambda kind: self._cluster.room(needs, kind) - taken.count(kind))

    def _start(self, what: Pack) -> None:
        needs, now = self._needs.at(what.specs[0].scale), time.monotonic()
        kind = self._emptiest(needs)
        group = None
        if needs.nodes_per_pack > 1:
            each = {**needs.amounts, **on_kind(kind)} or {"CPU": 1.0}
            bundles = [each] * needs.nodes_per_pack
            labels = [dict(needs.labels)] * needs.nodes_per_pack if needs.labels else None
            group = placement_group(bundles, "STRICT_SPREAD", bundle_label_selector=labels)
        under_way = UnderWay(pack=what, needs=needs, since=now, heard=now, kind=kind, group=group)
        stream = self._task(under_way, Nodes(needs.nodes_per_pack))
        self._running[stream] = under_way

    def _task(self, under_way: UnderWay, nodes: Nodes) -> Any:
        """Give a pack to Ray, or the part of one of its machines."""
        needs, kind, alone = under_way.needs, under_way.kind, under_way.group is None
        wanted = options(needs, kind)
        if not alone:
            wanted["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                under_way.group, placement_group_bundle_index=nodes.index
            )
            wanted.pop("label_selector", None)  # the reservation has them
        task = self._tasks.get((needs, kind)) if alone else None
        if task is None:
            task = self._remote.options(
                num_returns="streaming", max_retries=0, name="mixopt-pack", **wanted
            )
        if alone:
            self._tasks[needs, kind] = task
        specs, runtime = under_way.pack.specs, dict(under_way.pack.runtime)
        return task.remote(Work(specs, self._cache, runtime, needs.threads, nodes))

    def _ready(self, timeout: float, count: int) -> list[Any]:
        streams = [*self._running, *self._leader]
        if not streams:
            return []
        ready: list[Any] = ray.wait(streams, num_returns=count, timeout=timeout)[0]
        return ready

    def _advance(self, stream: Any) -> list[Event]:
        """Take the next item of a stream."""
        first = self._leader.get(stream, stream)
        try:
            item = ray.get(next(stream))
        except StopIteration:
            return self._ended(stream)
        except (RayTaskError, RuntimeEnvSetupError, TaskUnschedulableError) as error:
            return self._hopeless(first, error)
        except LocalRayletDiedError as error:
            # No pack's fault: submitted again, each would fail at once until its retries are spent.
            raise MixoptError(
                "this machine's part of the Ray cluster has ended, so that nothing can be trained "
                "from here; start the cluster again, then the sweep: it goes on, and trains again "
                "what was under way"
            ) from error
        except RayError as error:
            cause = self._cause(error, self._running[first].node)
            return self._again(first, cause, f"{type(error).__name__}: {brief(error)}")
        if isinstance(item, Started):
            return self._began(stream, item)
        return self._news(stream, item)

    def _ended(self, stream: Any) -> list[Event]:
        """A stream ended by itself: of a machine that is not the first, before it has answered."""
        if self._leader.pop(stream, None) is not None:
            return []
        return self._again(stream, "crash", "the task ended without an answer")

    def _hopeless(self, stream: Any, error: RayError) -> list[Event]:
        """A pack failed outside of its trainer, and would again."""
        specs = self._running[stream].pack.specs
        self._kill(stream)
        reason = f"the worker cannot run the pack: {brief(error)}"
        return [Observation.failure(spec, reason) for spec in specs]

    def _began(self, stream: Any, item: Started) -> list[Event]:
        if stream in self._leader:
            return []
        now = time.monotonic()
        under_way = replace(
            self._running[stream],
            began=now,
            heard=now,
            node=item.node,
            host=item.host,
            warned=False,
        )
        count = under_way.needs.nodes_per_pack
        members = tuple(
            self._task(under_way, Nodes(count, index, item.address)) for index in range(1, count)
        )
        self._leader.update(dict.fromkeys(members, stream))
        self._running[stream] = replace(under_way, members=members)
        return []

    def _news(self, stream: Any, news: News) -> list[Event]:
        first = self._leader.get(stream, stream)
        if self._running[first].group is not None and news.failed:
            # What fails on one machine leaves the others waiting, so it ends the attempt on all.
            return self._again(first, "crash", news.failed)
        if stream is not first:
            return []
        under_way = self._running[stream]
        specs = under_way.pack.specs
        self._running[stream] = replace(under_way, heard=time.monotonic(), warned=False)
        events: list[Event] = [Progress(specs[i], point) for i, point in news.points]
        if news.answers is not None:
            self._forget(stream)
            for seen, spec in zip(news.answers, specs, strict=True):
                held = None if seen.place is None else replace(seen.place, gpus=under_way.gpus)
                events.append(replace(seen, spec=spec, place=held))
        return events

    def _cause(self, error: RayError, node: str) -> Cause:
        if isinstance(error, OutOfMemoryError):
            return "memory"
        if isinstance(error, NodeDiedError) or (node and not self._cluster.is_alive(node)):
            return "lost"
        return "crash"

    def _again(self, stream: Any, cause: Cause, last: str) -> list[Event]:
        """Start a pack again that did not come to its end, or give its runs up."""
        ended, place = self._running[stream].pack, self._running[stream].place
        self._kill(stream)
        parts = ended.after(cause, self._retries)
        if not parts:
            return list(ended.given_up(cause, last, place))
        how = "starts again" if len(parts) == 1 else "starts again in two halves"
        _log.warning("a pack of %d did not end (%s: %s) and %s", len(ended.specs), cause, last, how)
        for part in parts:
            self._start(part)
        return []

    def _kill(self, stream: Any) -> None:
        """End what is left of a pack."""
        for member in (stream, *self._running[stream].members):
            ray.cancel(member, force=True)
        self._forget(stream)

    def _forget(self, stream: Any) -> None:
        """A pack has answered: its worker is about to be free, and is not to be killed."""
        under_way = self._running.pop(stream)
        for member in under_way.members:
            self._leader.pop(member, None)
        if under_way.group is not None:
            remove_placement_group(under_way.group)

    def _look_at_the_clock(self) -> list[Event]:
        """End packs that take longer than they may; say of which nothing is heard."""
        events: list[Event] = []
        now = time.monotonic()
        for stream, under_way in list(self._running.items()):
            if now >= under_way.deadline:
                limit = under_way.needs.seconds(under_way.pack.specs)
                last = f"{plural(len(under_way.pack.specs), 'run')} took longer than {limit:g} s"
                events += self._again(stream, "timeout", last)
            elif (
                now - under_way.heard >= self.silence
                and not under_way.warned
                and (under_way.began is not None or self._nothing_runs)
            ):
                _log.warning("%s", warning(under_way, now))
                self._running[stream] = replace(under_way, warned=True)
        return events

    @property
    def _nothing_runs(self) -> bool:
        """Whether all packs wait; those that wait for others are no cause for alarm."""
        return all(w.began is None for w in self._running.values())

    def _masked(self, event: Event) -> Event:
        """Without the secrets of the workers' environment, which errors like to quote."""
        if isinstance(event, Progress) or not event.error:
            return event
        return replace(event, error=redact(event.error, known=self._secrets))


def _needs_of(settings: Mapping[str, Any]) -> NeedsByScale[Needs]:
    base = Needs(**{name: settings[name] for name in NEEDS if name in settings})
    return NeedsByScale.of(base, settings.get("per_scale", ()))
