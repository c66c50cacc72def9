"""A mixer at work in one run: what a trainer holds, asks for the next segment, and saves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mixopt.errors import InputError
from mixopt.mixers.base import Measured, Mixer, Segment, Setup, State
from mixopt.mixers.history import History


@dataclass(frozen=True, eq=False)
class Session:
    """Where a run is: the mixer's state, and what of the present period is done.

    >>> from mixopt.mixers import mixer
    >>> from mixopt.space import MixtureSpace
    >>> space = MixtureSpace(["web", "code"])
    >>> setup = Setup(space, (0.5, 0.5), ("code",), (1.0,), tokens=1000, steps=10)
    >>> session = Session.begin(mixer("fixed"), setup)
    >>> while session.segment is not None:
    ...     segment = session.segment  # train segment.steps by segment.sampling here
    ...     drawn = tuple(100.0 * segment.steps * share for share in segment.sampling)
    ...     session = session.after(Measured(session.step + segment.steps, drawn))
    >>> session.state.step
    10

    Attributes:
        mixer, setup: of the run; they are not saved.
        state: at the start of the period.
        plan: segments of the period. done: what came of the first of them.
        history: what was drawn and seen so far, for the record; no method looks at it.
    """

    mixer: Mixer
    setup: Setup
    state: State
    plan: tuple[Segment, ...]
    done: tuple[Measured, ...] = ()
    history: History = field(default_factory=History)

    @classmethod
    def begin(cls, mixer: Mixer, setup: Setup) -> "Session":
        """Before the first step.

        Raises:
            InputError: the mixer cannot work in this setup.
        """
        state = mixer.start(setup)
        return cls(mixer, setup, state, mixer.plan(setup, state))

    @classmethod
    def resume(cls, mixer: Mixer, setup: Setup, saved: Mapping[str, Any]) -> "Session":
        """Where `to_dict` left off, to the bit.

        Raises:
            InputError: the record is of another version, mixer or set of domains.
        """
        if not {"state", "done", "history"} <= set(saved):
            raise InputError(
                f"a saved session has {', '.join(map(repr, saved)) or 'nothing'}; give what "
                "Session.to_dict wrote, with 'state', 'done' and 'history'"
            )
        state = State.from_dict(saved["state"])
        done = tuple(Measured.from_dict(m) for m in saved["done"])
        history = History.from_dict(saved["history"])
        return cls(mixer, setup, state, mixer.plan(setup, state), done, history)

    @property
    def segment(self) -> Segment | None:
        """What to do now; None: the run is at its end."""
        return self.plan[len(self.done)] if len(self.done) < len(self.plan) else None

    @property
    def step(self) -> int:
        """Steps of the run that are behind, branches left out, whole segments alone."""
        ahead = zip(self.plan, self.done, strict=False)
        return self.state.step + sum(s.steps for s, _ in ahead if not s.branch)

    @property
    def at_period_start(self) -> bool:
        """Whether a period begins here: branches of it come back to this point."""
        return not self.done

    @property
    def branches_ahead(self) -> bool:
        """Whether a branch of the period is still to come, so that its start must be kept."""
        return any(segment.branch for segment in self.plan[len(self.done) :])

    def after(self, measured: Measured) -> "Session":
        """The session with the present segment done.

        Raises:
            InputError: the run is at its end, or tokens of another number of domains.
        """
        if self.segment is None:
            raise InputError("the run is at its end, and has no segment to report on")
        if len(measured.tokens) != self.setup.space.dim:
            raise InputError(
                f"{len(measured.tokens)} numbers of tokens for {self.setup.space.dim} domains; "
                f"give one for each of {', '.join(self.setup.space.names)}, in this order"
            )
        done = (*self.done, measured)
        history = self.history.after(self.segment, measured)
        if len(done) < len(self.plan):
            return replace(self, done=done, history=history)
        state = self.mixer.update(self.setup, self.state, done)
        plan = self.mixer.plan(self.setup, state)
        return replace(self, state=state, plan=plan, done=(), history=history)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values for a checkpoint."""
        return {
            "state": self.state.to_dict(),
            "done": [m.to_dict() for m in self.done],
            "history": self.history.to_dict(),
        }
