"""What all our mixers share: periods, the gate, the record, and signals that are no numbers.

A method says what it wants to know and how weights follow from it (`learn`); this class does the
rest. A user's own mixer may be derived from it too, or bring the four functions of the port itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import InputError
from mixopt.mixers.base import Measured, Needs, Note, Segment, Setup, State
from mixopt.mixers.gate import gate
from mixopt.runs.signals import SIGNALS
from mixopt.space.numbers import check_settings
from mixopt.space.simplex import Array

PIECES = 256
"""Of the trace: a run of any length has a record of one size."""
FAILURES = 3
"""Updates without usable signals in a row, after which the weights stay as they are."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What an update says.

    Attributes:
        weights: (m,) before the gate; not finite: it could say nothing, the weights stay.
        memory: what is kept for the next update.
        notes: `(text, size)` for the record.
    """

    weights: Array
    memory: Mapping[str, Array]
    notes: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Seen:
    """A segment and what came back of it.

    Attributes:
        segment: as it was asked for.
        values: signal to its array.
        tokens: (m,) that it drew.
        lr: see `Measured`.
    """

    segment: Segment
    values: Mapping[str, Array]
    tokens: Array
    lr: float | None

    @classmethod
    def of(cls, segment: Segment, measured: Measured) -> "Seen":
        """Only what was asked for: a method reads no other signal."""
        values = {s: np.asarray(measured.values[s], dtype=float) for s in segment.measure}
        return cls(segment, values, np.asarray(measured.tokens, dtype=float), measured.lr)


class Periodic:
    """A mixer that updates once a period. Derive a frozen dataclass of settings from it.

    Class attributes:
        name: in `mixopt.mixers.MIXERS`.
        acts_on: `"sampling"`, or `"loss"` where domains are drawn by fixed shares and their losses
            weighed.
        product: see `Mixer.product`.
        looks_first: whether it measures the model before the first step.
    """

    name: ClassVar[str]
    acts_on: ClassVar[Literal["sampling", "loss"]] = "sampling"
    product: ClassVar[Literal["average", "last", "course"]] = "course"
    looks_first: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_settings(self)

    # -- what a method says ----------------------------------------------------------------------

    def needs(self) -> Needs:
        """What it wants of the trainer."""
        raise NotImplementedError

    def begin(self, setup: Setup) -> Learned:
        """First weights and memory: where the run starts, and nothing, by default.

        Raises:
            InputError: the setup is none that it can work in.
        """
        return Learned(np.array(setup.start), {})

    def paces(self) -> dict[str, int]:
        """Settings that say how many steps pass before weights change, with their values."""
        needs = self.needs()
        return {"every": needs.every} if needs.signals else {}

    def opening(self, setup: Setup, state: State) -> tuple[Segment, ...]:
        """The first period, where it is another than the rest; none by default."""
        return (self.segment(setup, state, 0),) if self.looks_first else ()

    def length(self, setup: Setup, state: State) -> int:
        """Steps of the period."""
        del setup, state
        return self._needs.every

    def segments(self, setup: Setup, state: State, steps: int) -> tuple[Segment, ...]:
        """The segments of a period of so many steps; one, by default."""
        return (self.segment(setup, state, steps),)

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """Weights and memory after a period whose signals are numbers.

        Args:
            setup: of the run.
            state: weights and memory of the period, steps and tokens after it.
            seen: its segments, in order.
        """
        raise NotImplementedError

    def unmeasured(self, setup: Setup, state: State) -> Learned:
        """Weights and memory after a period in which nothing was measured: as they were."""
        del setup
        return Learned(np.array(state.weights), state.memory)

    def fixed_sampling(self, setup: Setup) -> Array:
        """(m,) what a method that weighs losses draws by: where the run starts, by default."""
        return np.array(setup.start)

    # -- the port --------------------------------------------------------------------------------

    def start(self, setup: Setup) -> State:
        """See `Mixer.start`."""
        m = setup.space.dim
        first = self.begin(setup)
        blank = State(
            self.name,
            setup.space.names,
            setup.start,
            setup.start,
            used=(0.0,) * m,
            tail=(0.0,) * (m + 1),
        )
        return self._leave(setup, blank, first)

    def plan(self, setup: Setup, state: State) -> tuple[Segment, ...]:
        """See `Mixer.plan`."""
        self._check(setup, state)
        left = setup.steps - state.step
        if left <= 0:
            return ()
        if state.frozen:
            return (self.segment(setup, state, min(self._needs.every, left), frozenset()),)
        first = self.opening(setup, state) if state.period == 0 else ()
        if first:
            return first
        steps = self.length(setup, state)
        if left <= steps:  # nothing is learnt after the end
            return (self.segment(setup, state, left, frozenset()),)
        return self.segments(setup, state, steps)

    def update(self, setup: Setup, state: State, measured: Sequence[Measured]) -> State:
        """See `Mixer.update`."""
        plan = self.plan(setup, state)
        if len(plan) != len(measured):
            raise InputError(
                f"period {state.period} has {len(plan)} segments and {len(measured)} reports; give "
                "one for each, in order"
            )
        after = replace(state, period=state.period + 1)
        for segment, seen in zip(plan, measured, strict=True):
            after = self._record(setup, after, segment, seen)
        if state.frozen:
            return self._leave(setup, after, Learned(np.array(state.weights), state.memory))
        if not any(segment.measure for segment in plan):
            return self._leave(setup, after, self.unmeasured(setup, after))
        if trouble := broken(plan, measured):
            return self._skip(setup, after, trouble)
        pairs = zip(plan, measured, strict=True)
        learned = self.learn(setup, after, [Seen.of(segment, got) for segment, got in pairs])
        if not np.isfinite(learned.weights).all():
            return self._skip(setup, after, f"{self.name} gives weights that are no numbers")
        if after.failing:
            after = replace(after, failing=0)
        return self._leave(setup, after, learned)

    # -- parts of it -----------------------------------------------------------------------------

    @cached_property
    def _needs(self) -> Needs:
        return self.needs()  # which every step asks for

    def segment(
        self,
        setup: Setup,
        state: State,
        steps: int,
        measure: frozenset[str] | None = None,
        *,
        weights: ArrayLike | None = None,
        branch: bool = False,
    ) -> Segment:
        """A segment by the present weights, or by others; measures all signals by default.

        Others go through the gate as well: a probe draws nothing that a run may not.
        """
        sampling = state.sampling
        if weights is not None:
            allowed = gate(setup.space, weights, setup.tokens, state.used)
            sampling = tuple(allowed.weights.tolist())
        loss = (1.0,) * len(sampling)
        if self.acts_on == "loss":
            loss = loss_weights(state.weights, sampling)
        wanted = self._needs.signals if measure is None else measure
        return Segment(steps, sampling, loss, wanted, branch)

    def _check(self, setup: Setup, state: State) -> None:
        if state.mixer != self.name or state.domains != setup.space.names:
            raise InputError(
                f"the state is of mixer {state.mixer!r} over {', '.join(state.domains)}, and the "
                f"run has {self.name!r} over {', '.join(setup.space.names)}; start the run anew"
            )

    def _record(self, setup: Setup, state: State, segment: Segment, seen: Measured) -> State:
        """The state with one more segment behind it."""
        work = dict(state.work)
        key = "branch_steps" if segment.branch else "steps"
        work[key] = work.get(key, 0) + segment.steps
        for signal in segment.measure:
            # a mean over the segment costs by its steps, a look at the model costs once
            times = segment.steps if SIGNALS[signal].over else 1
            work[signal] = work.get(signal, 0) + times
        if segment.branch or not segment.steps:
            return replace(state, work=work)
        w = np.array(state.weights if self.acts_on == "loss" else segment.sampling)
        used = np.array(state.used) + np.asarray(seen.tokens, dtype=float)
        step = state.step + segment.steps
        before_tail = max(state.step, 2 * setup.steps // 3)
        tail = np.array(state.tail)
        if step > before_tail:
            tail = tail + (step - before_tail) * np.r_[1.0, w]
        return replace(
            state,
            work=work,
            step=step,
            used=tuple(used.tolist()),
            tail=tuple(tail.tolist()),
            trace=_traced(state, setup.steps, step, float(used.sum()), w),
        )

    def _skip(self, setup: Setup, state: State, trouble: str) -> State:
        failing = state.failing + 1
        state = replace(state, skipped=state.skipped + 1, failing=failing)
        notes: tuple[tuple[str, float], ...] = ((f"{trouble}: the weights stay", 0.0),)
        if failing >= FAILURES:
            state = replace(state, frozen=True)
            notes += ((f"{FAILURES} updates in a row had no usable signal: frozen", 0.0),)
        return self._leave(setup, state, Learned(np.array(state.weights), state.memory, notes))

    def _leave(self, setup: Setup, state: State, learned: Learned) -> State:
        """The state with new weights, through the gate."""
        said = learned.weights if self.acts_on == "sampling" else self.fixed_sampling(setup)
        drawn = gate(setup.space, said, setup.tokens, state.used)
        weights = drawn.weights
        if self.acts_on == "loss":  # losses use no tokens: bounds, groups and ties alone
            free = gate(setup.space, learned.weights, setup.tokens, state.used, caps=False)
            weights = free.weights
        notes = list(learned.notes)
        if drawn.raised > 1.0:
            text = "epoch caps raised, since what is left could not fill the run (factor)"
            notes.append((text, drawn.raised))
        return replace(
            state,
            weights=tuple(weights.tolist()),
            sampling=tuple(drawn.weights.tolist()),
            memory=dict(learned.memory),
            notes=_noted(state.notes, state.step, notes),
        )


def check_own_targets(setup: Setup, name: str) -> None:
    """See that every domain has its own target, at the same place.

    Raises:
        InputError: there are more or fewer.
    """
    m, n = setup.space.dim, len(setup.targets)
    if n != m:
        raise InputError(
            f"mixer {name!r} as it is set steers by one target for each domain, and has {n} targets"
            f" for {m} domains; leave the targets out, or name one for each of "
            f"{', '.join(setup.space.names)}, in this order"
        )


def importance(setup: Setup) -> Array:
    """(n,) how much each target counts; 1 where all count alike."""
    return np.array(setup.target_weights) * len(setup.targets)


def loss_weights(weights: ArrayLike, sampling: ArrayLike) -> tuple[float, ...]:
    """(m,) multipliers w / p under which tokens drawn by p count as if they were drawn by w.

    Their mean over what is drawn is 1; a domain that is not drawn has none.
    """
    w, p = np.asarray(weights, dtype=float), np.asarray(sampling, dtype=float)
    ratio = np.divide(w, p, out=np.zeros_like(w), where=p > 0)
    total = float(p @ ratio)
    return tuple((ratio / total).tolist()) if total > 0 else (1.0,) * len(w)


def broken(plan: Sequence[Segment], measured: Sequence[Measured]) -> str:
    """Why signals cannot be used, in words; empty where they can.

    A domain of which a segment drew nothing may be missing (NaN), by each method's own rule.
    """
    for segment, seen in zip(plan, measured, strict=True):
        for name in sorted(segment.measure):
            if name not in seen.values:
                return f"signal {name!r} was not reported"
            values = np.asarray(seen.values[name], dtype=float)
            finite = np.isfinite(values)
            if values.size and finite.all():
                continue
            missing = np.isnan(values)
            if not finite.any() or (finite | missing).sum() < values.size:
                return f"signal {name!r} is no number"
            if _unexplained(missing, SIGNALS[name].axes, seen.tokens):
                return f"signal {name!r} is no number"
    return ""


def _unexplained(missing: Array, axes: tuple[str, ...], tokens: Sequence[float]) -> bool:
    """Whether a number is missing that no domain without tokens explains."""
    absent = np.asarray(tokens) <= 0
    explained = np.zeros(missing.shape, dtype=bool)
    for axis, kind in enumerate(axes):
        if kind == "m":
            shape = [1] * missing.ndim
            shape[axis] = len(absent)
            explained = explained | absent.reshape(shape)
    return bool((missing & ~explained).any())


def _traced(
    state: State, steps: int, until: int, tokens: float, w: Array
) -> tuple[tuple[int, float, tuple[float, ...]], ...]:
    """The trace with one more segment: pieces of about one length, each with its mean weights."""
    trace = state.trace
    if trace:
        end, _, mean = trace[-1]
        began = trace[-2][0] if len(trace) > 1 else 0
        same_piece = state.step * PIECES // steps == began * PIECES // steps
        if same_piece or mean == tuple(w.tolist()):
            share = (until - end) / (until - began)
            merged = (1.0 - share) * np.array(mean) + share * w
            if mean == tuple(w.tolist()):
                merged = w
            return (*trace[:-1], (until, tokens, tuple(merged.tolist())))
    return (*trace, (until, tokens, tuple(w.tolist())))


def _noted(
    notes: tuple[Note, ...], step: int, more: Sequence[tuple[str, float]]
) -> tuple[Note, ...]:
    if not more:
        return notes
    known = {note.text: note for note in notes}
    for text, size in more:
        seen = known.get(text, Note(text, step, 0))
        known[text] = replace(seen, times=seen.times + 1, largest=max(seen.largest, size))
    return tuple(known.values())
