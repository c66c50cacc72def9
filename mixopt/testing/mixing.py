"""Worlds in which a mixer can work without a trainer, and the loop that lets it.

A world is a model that can be trained for some steps and looked at. `drive` runs a session in it
the way a trainer must: branches start from where the period began, and are thrown away.

Notation:
    m domains, n targets; w: (m,) weights that act: what is drawn times how its loss is weighed
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from mixopt.mixers import Measured, Mixer, Segment, Session, Setup
from mixopt.runs.signals import SIGNALS
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array


class MixingWorld(Protocol):
    """What `drive` needs of a model."""

    def train(self, sampling: Array, loss_weight: Array, steps: int) -> None:
        """Change the model."""
        ...

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        """Measure it; of signals over a segment, the last one."""
        ...


@dataclass
class Work:
    """What a world was asked to do, counted by the loop: to hold against what a mixer says."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, segment: Segment) -> None:
        """Count a segment."""
        key = "branch_steps" if segment.branch else "steps"
        self.counts[key] = self.counts.get(key, 0) + segment.steps
        for signal in segment.measure:
            times = segment.steps if SIGNALS[signal].over else 1
            self.counts[signal] = self.counts.get(signal, 0) + times


def drive(
    session: Session,
    world: MixingWorld,
    *,
    until: int | None = None,
    work: Work | None = None,
    after: Callable[[Session], Session] | None = None,
) -> Session:
    """Run a session to its end, or until so many segments are done.

    Args:
        session: where the run is.
        world: the model, changed in place.
        until: segments.
        work: counts what is done, if given.
        after: what becomes of the session after each segment, to save and resume it say.
    """
    setup, count, kept = session.setup, 0, copy.deepcopy(world)
    while (segment := session.segment) is not None and (until is None or count < until):
        if session.at_period_start and session.branches_ahead:
            kept = copy.deepcopy(world)
        here = copy.deepcopy(kept) if segment.branch else world
        here.train(np.array(segment.sampling), np.array(segment.loss_weight), segment.steps)
        share = setup.tokens / setup.steps * segment.steps
        drawn = tuple((share * np.array(segment.sampling)).tolist())
        if work is not None:
            work.add(segment)
        seen = Measured(session.step + segment.steps, drawn, here.signals(segment.measure))
        session = session.after(seen)
        session = session if after is None else after(session)
        count += 1
    return session


def setup_of(
    space: MixtureSpace,
    *,
    start: Sequence[float] | None = None,
    targets: Sequence[str] | None = None,
    steps: int = 1000,
    tokens: int = 1_000_000,
    seed: int = 0,
) -> Setup:
    """A setup over a space: from its uniform mixture, its domains as targets, by default."""
    first = space.uniform.weights if start is None else tuple(start)
    named = tuple(space.names if targets is None else targets)
    return Setup(space, first, named, (1.0 / len(named),) * len(named), tokens, steps, seed)


def run(mixer: Mixer, world: MixingWorld, setup: Setup) -> Session:
    """A whole run of a mixer in a world."""
    return drive(Session.begin(mixer, setup), world)


@dataclass
class Anything:
    """A world without a model: signals are random, zero, huge or missing, as told.

    Args:
        setup: gives the shapes.
        kind: `"random"`, `"zero"`, `"equal"`, `"huge"` (1e6 times random) or `"nan"` (now and then
            an update has nothing but NaN).
        seed: of the signals.
        gates: entries of `gate_load` per domain.
    """

    setup: Setup
    kind: str = "random"
    seed: int = 0
    gates: int = 4
    step: int = 0

    def train(self, sampling: Array, loss_weight: Array, steps: int) -> None:
        """Only time passes."""
        del sampling, loss_weight
        self.step += steps

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        """Arrays of the right shapes; those of losses and norms are not negative."""
        sizes = {"m": self.setup.space.dim, "n": len(self.setup.targets), "e": self.gates}
        values: dict[str, Array] = {}
        for name in sorted(wanted):
            shape = tuple(sizes[axis] for axis in SIGNALS[name].axes)
            rng = np.random.default_rng([self.seed, self.step, list(SIGNALS).index(name)])
            values[name] = self._values(name, shape, rng)
        return values

    def _values(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if self.kind == "zero":
            return np.zeros(shape)
        if self.kind == "equal":
            return np.ones(shape)
        if self.kind == "nan" and rng.random() < 0.3:
            return np.full(shape, np.nan)
        values = rng.standard_normal(shape)
        if name == "gram":
            factor = rng.standard_normal((shape[0], 6))
            values = factor @ factor.T
        elif name != "gram_target":
            values = np.abs(values)
        return values * (1e6 if self.kind == "huge" else 1.0)


def scripted(values: Mapping[str, Any]) -> "Script":
    """A world that always measures the same: signal to its array."""
    return Script({name: [np.asarray(array, dtype=float)] for name, array in values.items()})


@dataclass
class Script:
    """A world that measures what is written down, one look after the other, the last one for ever.

    Args:
        looks: signal to the arrays of its looks.
    """

    looks: Mapping[str, Sequence[Array]]
    at: dict[str, int] = field(default_factory=dict)

    def train(self, sampling: Array, loss_weight: Array, steps: int) -> None:
        """Nothing happens."""

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        """The next look of each."""
        values = {}
        for name in wanted:
            place = self.at.get(name, 0)
            self.at[name] = place + 1
            listed = self.looks[name]
            values[name] = np.asarray(listed[min(place, len(listed) - 1)], dtype=float)
        return values
