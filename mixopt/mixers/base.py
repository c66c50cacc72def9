"""The port of online mixers: what a method that changes the mixture inside a run is.

The loop is the same for all: *ask for segments; the trainer runs them and measures; update*. A
mixer is pure: it holds its settings alone, everything that changes is in a `State` of plain JSON
values, and random numbers come from the seed, the mixer's name and the period. So a run that is
killed goes on as if it had not been, and any period can be looked at alone.

Notation:
    m training domains, n targets; w: (m,) weights; q: (m,) where the run starts, its prior
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.ports import Mixing
from mixopt.runs import RunSpec
from mixopt.runs.signals import SCOPES, SIGNALS
from mixopt.space import MixtureSpace, plain
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Needs:
    """What a mixer wants of a trainer; checked before anything is trained (`refused`).

    Attributes:
        signals: names of `mixopt.runs.signals.SIGNALS`; no other is read.
        every: steps of a period, after which the weights change. Probes divide it.
        scope: of gradients, one of `mixopt.runs.signals.SCOPES`.
        clip: norm to which every gradient is clipped before products are taken.
        loss_weights: it weighs losses under a fixed sampling.
        branches: it asks for segments that are thrown away.
        reference: mixture of the frozen reference run that `excess` is measured against:
            `"start"` (where this run starts), `"uniform"`, `"natural"`; empty: it needs none. The
            run has the scale, seed and configuration of this one, and its cost counts.
    """

    signals: frozenset[str]
    every: int
    scope: Literal["full", "last", "head", "sketch"] = "full"
    clip: float = np.inf
    loss_weights: bool = False
    branches: bool = False
    reference: Literal["", "start", "uniform", "natural"] = ""

    def __post_init__(self) -> None:
        for name in sorted(self.signals):
            if name not in SIGNALS:
                raise InputError(f"unknown signal {name!r}; {did_you_mean(name, SIGNALS)}")
        if self.scope not in SCOPES:
            raise InputError(f"unknown scope {self.scope!r}; {did_you_mean(self.scope, SCOPES)}")
        if self.every < 1:
            raise InputError(f"a period is of {self.every} steps; give 1 or more")

    @property
    def gradients(self) -> bool:
        """Whether a signal is made of gradients, so that `scope` says something."""
        return any(SIGNALS[name].gradients for name in self.signals)


@dataclass(frozen=True)
class Segment:
    """What the trainer is asked to do next.

    Attributes:
        steps: to train; 0: measure the model as it stands.
        sampling: (m,) share of tokens to draw, summing to 1.
        loss_weight: (m,) multiplier of the loss of each domain's tokens; all 1: plain training.
        measure: signals wanted: means over the segment, or of the model at its end (`Signal.over`).
        branch: start from the model, the optimiser and the place in the data that the period began
            with, and throw all of it away afterwards. Branches of a period draw the same order.
    """

    steps: int
    sampling: tuple[float, ...]
    loss_weight: tuple[float, ...]
    measure: frozenset[str] = frozenset()
    branch: bool = False


@dataclass(frozen=True, eq=False)
class Measured:
    """What came back of a segment.

    Attributes:
        step: steps of the run after it; of a branch, counted from where it branched.
        tokens: (m,) tokens that it drew of each domain, as they were drawn and not as asked.
        values: signal to its array, axes as in `mixopt.runs.signals.SIGNALS`. NaN: not observed,
            allowed for a domain of which the segment drew nothing.
        lr: the learning rate at its end, as a share of the largest; None where nobody knows.
    """

    step: int
    tokens: tuple[float, ...]
    values: Mapping[str, Array] = field(default_factory=dict)
    lr: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a missing number is null, an infinite one `"inf"` or `"-inf"`."""
        values = {name: numbers(np.asarray(array)) for name, array in self.values.items()}
        return {"step": self.step, "tokens": list(self.tokens), "values": values, "lr": self.lr}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Measured":
        """What `to_dict` wrote, or a trainer in another language.

        Raises:
            InputError: values of another form.
        """
        try:
            arrays = {name: array(given) for name, given in values.get("values", {}).items()}
            tokens = tuple(float(t) for t in values["tokens"])
            return cls(int(values["step"]), tokens, arrays, values.get("lr"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"cannot read what was measured ({type(error).__name__}: {error}); give step, "
                "tokens (a list of one number per domain) and values (signal to lists of numbers, "
                "null where not observed)"
            ) from error


@dataclass(frozen=True)
class Setup:
    """What does not change in a run.

    Attributes:
        space: domains and the constraints that hold at every moment of it. The inventory of a
            domain is its epoch cap: of a run shorter than the space's budget, the same share.
        start: (m,) weights at the start: the prior of methods that have one.
        targets: (n,) names of the metrics of `heldout`; target_weights: (n,) summing to 1.
        tokens: of the run. steps: of the run.
        seed: of the run.
    """

    space: MixtureSpace
    start: tuple[float, ...]
    targets: tuple[str, ...]
    target_weights: tuple[float, ...]
    tokens: int
    steps: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.space.dim < 2:
            raise InputError(
                f"a mixer has one domain, {self.space.names[0]!r}, and nothing to mix; give it two "
                "or more"
            )
        if len(self.start) != self.space.dim:
            raise InputError(
                f"a mixer starts from {len(self.start)} weights and has {self.space.dim} domains; "
                "give one for each"
            )
        if len(self.targets) != len(self.target_weights) or not self.targets:
            raise InputError(
                f"a mixer has {len(self.targets)} targets and {len(self.target_weights)} weights "
                "for them; give one for each, and one target at least"
            )
        if self.tokens < 1 or self.steps < 1:
            raise InputError(
                f"a run of {self.tokens} tokens in {self.steps} steps has nothing to mix; give 1 or"
                " more of both"
            )

    @classmethod
    def of(cls, spec: RunSpec, steps: int, targets: Sequence[str]) -> "Setup":
        """The setup of a run that has a mixer.

        Args:
            spec: of the run.
            steps: that the trainer will take.
            targets: metrics of the training domains, used where the mixer names no targets.

        Raises:
            InputError: no mixer, or a mixture with weight on a domain outside the mixer's space.
        """
        if spec.mixer is None:
            raise InputError(f"run {spec.run_id} has no mixer; ask for one that has")
        given = spec.mixer.space
        space = plain.from_dict(given) if given else MixtureSpace(list(spec.mixture.domains))
        weights = spec.mixer.targets or dict.fromkeys(targets, 1.0)
        total = sum(weights.values())
        return cls(
            space,
            space.mixture({d: w for d, w in spec.mixture.to_dict().items() if w > 0}).weights,
            tuple(weights),
            tuple(w / total for w in weights.values()),
            spec.scale.tokens,
            steps,
            spec.seed,
        )

    def rng(self, name: str, period: int) -> np.random.Generator:
        """The random numbers of a period: no state of them is kept."""
        key = np.array([self.seed, zlib.crc32(name.encode())], dtype=np.uint64)
        counter = np.array([0, 0, 0, period], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))

    def reference(self, needs: Needs) -> Array | None:
        """(m,) mixture of the reference run that a mixer needs; None where it needs none."""
        if not needs.reference:
            return None
        if needs.reference == "start":
            return np.array(self.start)
        space = self.space
        return (space.uniform if needs.reference == "uniform" else space.natural).array


@dataclass(frozen=True)
class Note:
    """Something that happened in a run and that its record should say.

    Attributes:
        text: in words. step: when first. times: how often.
        largest: the largest size of it, in the unit that the text names.
    """

    text: str
    step: int
    times: int = 1
    largest: float = 0.0


FORMAT = 1


@dataclass(frozen=True, eq=False)
class State:
    """All that a mixer knows: kept with the run's checkpoint, plain JSON by `to_dict`.

    Attributes:
        mixer: name of the method.
        domains: (m,) names, the order of every array.
        period: updates so far. step: steps behind.
        weights: (m,) what the method says now, within the constraints.
        sampling: (m,) what is drawn now: `weights`, or of a method that weighs losses its fixed
            sampling, within what is left of each domain.
        used: (m,) tokens drawn so far, branches left out.
        memory: what the method keeps, by name.
        trace: `(until_step, until_tokens, mean weights)`, at most 256 pieces of about one length.
        tail: steps and sum of weights in the last third of the run.
        work: steps, branch steps and measurements by signal, for the cost.
        skipped: updates left out because a signal was no number; failing: in a row, just now.
        frozen: three were left out in a row: the weights stay, the run goes on.
        notes: what the record should say.
        format: of this record.
    """

    mixer: str
    domains: tuple[str, ...]
    weights: tuple[float, ...]
    sampling: tuple[float, ...]
    period: int = 0
    step: int = 0
    used: tuple[float, ...] = ()
    memory: Mapping[str, Array] = field(default_factory=dict)
    trace: tuple[tuple[int, float, tuple[float, ...]], ...] = ()
    tail: tuple[float, ...] = ()
    work: Mapping[str, int] = field(default_factory=dict)
    skipped: int = 0
    failing: int = 0
    frozen: bool = False
    notes: tuple[Note, ...] = ()
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, floats to the last bit; `State.from_dict` reads them back."""
        fields = dict(vars(self))
        fields["memory"] = {name: numbers(np.asarray(a)) for name, a in self.memory.items()}
        fields["trace"] = [[step, tokens, list(w)] for step, tokens, w in self.trace]
        fields["notes"] = [dict(vars(note)) for note in self.notes]
        fields["work"] = dict(self.work)
        for name in ("domains", "weights", "sampling", "used", "tail"):
            fields[name] = list(fields[name])
        return fields

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "State":
        """The state that `to_dict` wrote.

        Raises:
            InputError: of another format version, or no state.
        """
        version = values.get("format")
        if version != FORMAT:
            raise InputError(
                f"the mixer's state has format {version!r}, this mixopt reads {FORMAT}; go on with "
                "the mixopt that wrote it, or start the run anew"
            )
        try:
            fields = dict(values)
            fields["memory"] = {name: array(a) for name, a in values["memory"].items()}
            fields["trace"] = tuple((s, t, tuple(w)) for s, t, w in values["trace"])
            fields["notes"] = tuple(Note(**note) for note in values["notes"])
            for name in ("domains", "weights", "sampling", "used", "tail"):
                fields[name] = tuple(values[name])
            return cls(**fields)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"cannot read a mixer's state ({type(error).__name__}: {error}); start the run anew"
            ) from error


@runtime_checkable
class Mixer(Protocol):
    """A method that changes the mixture inside a run; a frozen dataclass of its settings."""

    @property
    def name(self) -> str:
        """In `mixopt.mixers.MIXERS`."""
        ...

    def needs(self) -> Needs:
        """What it wants of the trainer."""
        ...

    def start(self, setup: Setup) -> State:
        """Before the first step.

        Raises:
            InputError: the setup is none that it can work in.
        """
        ...

    def plan(self, setup: Setup, state: State) -> tuple[Segment, ...]:
        """The segments of the next period, to be run in order; none: the run is at its end."""
        ...

    def update(self, setup: Setup, state: State, measured: Sequence[Measured]) -> State:
        """The state after a period.

        Args:
            setup: of the run.
            state: from which the period was planned.
            measured: one for each segment of `plan(setup, state)`, in order.
        """
        ...

    @property
    def product(self) -> Literal["average", "last", "course"]:
        """What the method's authors use of it.

        The average of its weights over the run, or the last of them, for another run; or the run
        itself, with the course that its mixture took.
        """
        ...


def refused(needs: Needs, offered: Mixing | None, name: str = "the mixer") -> str:
    """Why a trainer cannot run a mixer, everything that is missing by name; empty where it can."""
    if offered is None:
        return f"{name} changes the mixture inside a run, and this trainer runs no mixers"
    missing = [f"the signal {s!r}" for s in sorted(needs.signals - offered.signals)]
    if needs.gradients and needs.scope not in offered.scopes:
        missing.append(f"gradients of scope {needs.scope!r}")
    if needs.loss_weights and not offered.loss_weights:
        missing.append("loss weights")
    if needs.branches and not offered.branches:
        missing.append("branches")
    if needs.reference and not offered.references:
        missing.append("a frozen reference")
    if not missing:
        return ""
    has = ", ".join(sorted(offered.signals)) or "none"
    return (
        f"{name} needs {', '.join(missing)}, which this trainer does not give (its signals: "
        f"{has}); name another mixer or another trainer"
    )


def numbers(values: Array) -> Any:
    """An array as nested lists for JSON: null for NaN, `"inf"` and `"-inf"` for infinities."""
    if values.ndim:
        return [numbers(part) for part in values]
    value = float(values)
    if np.isnan(value):
        return None
    return value if np.isfinite(value) else str(value)


def array(values: Any) -> Array:
    """The array of `numbers`.

    Raises:
        ValueError, TypeError: no numbers, or rows of several lengths.
    """

    def as_numbers(part: Any) -> Any:
        if isinstance(part, list | tuple):
            return [as_numbers(p) for p in part]
        return np.nan if part is None else float(part)

    return np.array(as_numbers(values), dtype=float)
