"""The three ports: what a sweep needs from a trainer, an executor and a store; and signals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mixopt.errors import InputError, did_you_mean
from mixopt.runs import Attempt, Observation, Point, RunSpec, Scale
from mixopt.runs.signals import SCOPES, SIGNALS
from mixopt.space import Domain

Report = Callable[[RunSpec, Point], None]
"""Called by a trainer when a run has reached a point of its curve."""


def ignore_report(spec: RunSpec, point: Point) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class TrainerInfo:
    """What a trainer says of its data before the first run.

    Attributes:
        domains: the training domains with their unique token counts.
        metrics: names of the metrics that every run will have.
        unit: of the metrics, e.g. `"bits/byte"`; empty where nobody knows it.
        data: hash of the data manifest; enters every run's identity.
        warnings: what was left out or looks odd, in words for the user.
        notes: facts worth keeping with the sweep (licences, sizes), plain JSON values.
    """

    domains: tuple[Domain, ...]
    metrics: tuple[str, ...]
    unit: str
    data: str
    warnings: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Mixing:
    """What a trainer offers to a method that changes the mixture inside a run (a mixer).

    Attributes:
        signals: names of `SIGNALS`.
        scopes: of gradients, names of `SCOPES`; empty where it measures none.
        loss_weights: it can weigh the loss of each domain under another sampling.
        branches: it can go back to the start of a period and throw away what it did since.
        references: it can train a reference run and keep it frozen beside the run.
    """

    signals: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    loss_weights: bool = False
    branches: bool = False
    references: bool = False

    def __post_init__(self) -> None:
        pairs = (("signal", self.signals, SIGNALS), ("scope", self.scopes, SCOPES))
        for what, given, known in pairs:
            unknown = next((name for name in sorted(given) if name not in known), None)
            if unknown is not None:
                raise InputError(f"unknown {what} {unknown!r}; {did_you_mean(unknown, known)}")


@dataclass(frozen=True)
class Capabilities:
    """What a trainer can do, and which of its settings are no part of what is trained.

    A trainer declares them as its attribute `capabilities`; one that declares none has these
    defaults, with which every sweep is right, if not always fast. A trainer that wraps another
    keeps what the other can do, less what the wrapping takes away. What is declared is checked
    before anything is trained, and against behaviour by `mixopt.testing.trainer_contract`.

    Attributes:
        runtime: names of the settings that say how runs are trained (device, pack size, checkpoint
            interval): given under `trainer.runtime`, they change no metric beyond rounding, nor the
            data, and do not enter a run's identity.
        packs: several runs of one scale train faster together than one at a time; it has
            `preferred_pack` (`PackingTrainer`).
        continues: a run goes on from where a shorter one of its mixture and seed ended. It takes
            the runtime setting `continue_to` (tokens of the longest run that may follow) and has
            `forget` (`ContinuingTrainer`).
        branches: a run goes on by other mixtures from where another of its seed stood at the tokens
            of the runtime setting `branch_at`, for the rest of the cost; it has `forget` as well.
        decays: it takes `decay`, the share of a run, at its end, over which rates fall to zero.
        matches_repetition: it takes the setting `match_repetition`, `{budget, tokens}` of the
            target run, and repeats every domain as often as that run will (2606.07597).
        injects: it takes `injections` by name, `inject` (the names of those that a run reads) and
            `shared_start`, `{tokens, seed}` of a run that begins as another; see `docs/guide`.
        schedules: it draws by the schedule of a run; one that does not refuses such a run.
        mixing: what it offers to methods that change the mixture inside a run; None where it runs
            none, and refuses such a run.
        nodes: several machines train one pack: `train` is called on each of them with the same
            runs, and the trainer reads from `mixopt.runs.nodes.Nodes.here` which of them it is.
            The answers of the first count.
    """

    runtime: frozenset[str] = frozenset()
    packs: bool = False
    continues: bool = False
    branches: bool = False
    decays: bool = False
    matches_repetition: bool = False
    injects: bool = False
    schedules: bool = False
    mixing: Mixing | None = None
    nodes: bool = False


@runtime_checkable
class Declares(Protocol):
    """A trainer that says what it can do."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do as it is set; `runtime` is the same for any settings of its class."""
        ...


def capabilities_of(trainer: object) -> Capabilities:
    """What a trainer declares; the defaults for one that declares nothing.

    Raises:
        InputError: it declares what it has no method or setting for.
    """
    if not isinstance(trainer, Declares):
        return Capabilities()
    declared, name = trainer.capabilities, type(trainer).__name__
    if declared.packs and not isinstance(trainer, PackingTrainer):
        raise InputError(f"{name} declares packs and has no 'preferred_pack'; add it")
    for what, setting in (("continues", "continue_to"), ("branches", "branch_at")):
        able = vars(declared)[what]
        if able and not isinstance(trainer, ContinuingTrainer):
            raise InputError(f"{name} declares {what} and has no 'forget'; add it")
        if able and setting not in declared.runtime:
            told = f"{name} declares {what} and no runtime setting {setting!r}; add it to both"
            raise InputError(told)
    return declared


def refusal(trainer: object, spec: RunSpec) -> str:
    """Why a trainer cannot draw what a run asks for; empty where it can.

    Asked before anything is trained, by whoever sends runs and by our trainers themselves: a
    schedule that is trained as its mean would pass for evidence of something that was never run.
    """
    name = type(trainer).__name__
    if spec.mixer is not None and capabilities_of(trainer).mixing is None:
        return (
            f"{name} cannot change the mixture inside a run, and run {spec.run_id} asks for the "
            f"mixer {spec.mixer.name!r}; name a trainer that declares mixing, or ask for a run "
            "without one"
        )
    if spec.schedule is not None and not capabilities_of(trainer).schedules:
        return (
            f"{name} draws by one mixture, and run {spec.run_id} has a schedule of "
            f"{len(spec.phases)} phases; name a trainer that declares schedules, or ask for a run "
            "of one mixture"
        )
    return ""


@runtime_checkable
class Trainer(Protocol):
    """Trains (or replays, or merges) runs. Made in the worker from its name and settings.

    A trainer is called through `"module:attribute"` with `config` (what is trained) and `runtime`
    (how) as keyword arguments side by side; `Capabilities.runtime` names the latter.
    """

    def prepare(self, cache: Path) -> TrainerInfo:
        """Make the data ready under `cache`; a second call finds it there.

        Raises:
            InputError: the data cannot be used; the message names domain, rule and remedy.
        """
        ...

    def train(
        self, specs: Sequence[RunSpec], cache: Path, report: Report = ignore_report
    ) -> list[Observation]:
        """Train runs of one scale; one observation each, in the same order.

        A run that diverges, or that the trainer cannot draw (`refusal`), gives a failed observation
        and does not touch the others. Training the same spec again gives the same metrics.
        """
        ...


@runtime_checkable
class PackingTrainer(Trainer, Protocol):
    """A trainer that trains several runs of one scale faster together than one at a time."""

    def preferred_pack(self, scale: Scale, cache: Path) -> int:
        """How many runs of a scale to send at once; `prepare` has been there."""
        ...


@runtime_checkable
class ContinuingTrainer(Trainer, Protocol):
    """A trainer that keeps what it takes to go on from where a run stood."""

    def forget(self, specs: Sequence[RunSpec], cache: Path) -> None:
        """Delete what is kept of runs so that they could be continued; the sweep has ended."""
        ...


@dataclass(frozen=True)
class Progress:
    """A run that is under way has reached a point of its curve."""

    spec: RunSpec
    point: Point


Event = Progress | Observation


@runtime_checkable
class Executor(Protocol):
    """Runs packs of run specs somewhere: in this process, or on a Ray cluster."""

    @property
    def slots(self) -> int:
        """How many packs can be under way at once."""
        ...

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        """Start a pack of runs of one scale; returns at once.

        Args:
            pack: runs of one scale, trainer and configuration.
            runtime: settings with which the worker makes the trainer, beside the runs' `config`.
        """
        ...

    def wait(self, timeout: float) -> list[Event]:
        """Progress and finished runs since the last call; waits at most `timeout` seconds.

        A worker that dies is retried; when its retries are spent, each of its runs comes back as a
        failed observation.
        """
        ...

    def close(self) -> None:
        """Stop what is under way and give the resources back; may be called twice."""
        ...


@dataclass(frozen=True)
class Entry:
    """A run as the record has it.

    Attributes:
        opened: when it was sent out, seconds since 1970.
        closed: when its result came in; None before.
        page: address of its page; empty where the record has no pages of its own.
    """

    opened: float
    closed: float | None = None
    page: str = ""


@runtime_checkable
class Dated(Protocol):
    """A store that knows when its runs were opened and closed, and where they can be seen."""

    def entries(self) -> Mapping[str, Entry]:
        """Every run by its `run_id`."""
        ...


@runtime_checkable
class PlacingExecutor(Executor, Protocol):
    """An executor whose workers are other machines than the driver's, and may differ."""

    def pack_size(
        self, trainer: str, settings: tuple[Mapping[str, Any], Mapping[str, Any]], scale: Scale
    ) -> int | None:
        """How many runs to send at once: what the trainer says on the machine that is next.

        None where that is this machine, where the caller has the trainer.

        Args:
            trainer: `"module:attribute"`.
            settings: its configuration, and its runtime settings.
            scale: of the runs.
        """
        ...


@runtime_checkable
class Store(Protocol):
    """The record and the journal of a sweep. Written by the driver alone."""

    def open(self, spec: RunSpec) -> None:
        """Note that a run is about to be submitted. Opening it again changes nothing."""
        ...

    def close(self, observation: Observation) -> None:
        """Note what came of a run. The first observation of a `run_id` stays."""
        ...

    def retry(self, run_id: str) -> None:
        """Have a failed run trained again: it is open once more, in its old place.

        What came of it stays on record: it is the newest of the run's `attempts`, which the next
        observation of the run will have, whatever it says itself. A run that is open stays so.
        A driver that is killed meanwhile leaves the run closed, or open with its attempts.

        Raises:
            InputError: there is no such run, or it succeeded.
        """
        ...

    def attempts(self) -> dict[str, tuple[Attempt, ...]]:
        """The failed attempts of runs that are open once more, by run id."""
        ...

    def observations(self) -> list[Observation]:
        """All closed runs, in the order in which they were opened."""
        ...

    def pending(self) -> list[RunSpec]:
        """Runs that were opened and not closed, in the order in which they were opened."""
        ...

    def annotate(self, values: Mapping[str, Any]) -> None:
        """Keep facts of the sweep as a whole (spec, fitted laws, recommendation), by name."""
        ...

    def annotations(self) -> dict[str, Any]:
        """What was annotated, by name."""
        ...

    def attach(self, path: Path) -> None:
        """Keep a copy of a file (the report) with the sweep."""
        ...

    def release(self) -> None:
        """Let other drivers have the sweep; nothing is written afterwards. May be called twice."""
        ...


@runtime_checkable
class Showcase(Protocol):
    """A store with pages that people look at; nothing of this is read back."""

    def introduce(
        self, info: TrainerInfo, trainer: str, value: Callable[[Mapping[str, float]], float] | None
    ) -> None:
        """What the sweep is made of.

        Args:
            info: what the trainer said of its data.
            trainer: its name.
            value: metrics of a run to the number by which runs are compared, lower is better; None
                where there is none that stays the same while runs come in.
        """
        ...

    def summarize(self, state: str, figures: Mapping[str, float], text: str) -> None:
        """How the sweep has ended, or stands.

        Args:
            state: `"finished"`, `"stopped"` or `"failed"`.
            figures: name to number.
            text: for people, in paragraphs.
        """
        ...
