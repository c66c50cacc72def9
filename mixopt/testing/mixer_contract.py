"""What every mixer must do; authors of their own run these checks on it.

    import pytest
    from mixopt.testing import mixer_contract

    @pytest.mark.parametrize("check", mixer_contract.CHECKS, ids=mixer_contract.name)
    def test_contract(check):
        check(MyMixer())

Each check takes a mixer (its settings) and raises AssertionError with what it expected. Mixers are
tried over three domains `a`, `b`, `c` with a target for each, in a run of 240 steps; settings whose
periods are longer than a fifth of that are to be made shorter for the purpose.
"""

import json
from collections.abc import Callable

import numpy as np

from mixopt.mixers import Measured, Mixer, Session, Setup, course
from mixopt.runs.signals import SIGNALS
from mixopt.space import Domain, Group, Mixture, MixtureSpace, Tie
from mixopt.space.simplex import Array
from mixopt.testing.mixing import Anything, Work, drive

Check = Callable[[Mixer], None]

STEPS, TOKENS = 240, 2400
NAMES = ("a", "b", "c")
FREE = MixtureSpace([Domain(name, prior=p) for name, p in zip(NAMES, (5, 3, 2), strict=True)])
BOUND = MixtureSpace(
    [Domain("a", 2000.0), Domain("b", 600.0), Domain("c", 360.0), Domain("d", 440.0)],
    {"a": (0.1, 0.6), "b": (0.05, 1.0)},
    groups=[Group("few", ("b", "c"), 0.15, 0.5)],
    ties=[Tie("pair", {"c": 1.0, "d": 2.0})],
    budget=TOKENS,
    epochs=2.0,
)


def setup(space: MixtureSpace = FREE, *, seed: int = 0, order: tuple[int, ...] = ()) -> Setup:
    """A run over a space, from its natural mixture; domains in another order where one is given."""
    if order:
        space = MixtureSpace([space.domains[i] for i in order])
    names, n = space.names, space.dim
    return Setup(space, space.natural.weights, names, (1.0 / n,) * n, TOKENS, STEPS, seed)


def stays_allowed(mixer: Mixer) -> None:
    """Under random, zero, huge and missing signals every segment keeps every constraint."""
    given = setup(BOUND)
    allowed = BOUND.replace(budget=None)
    inventory = 2.0 * np.array([2000.0, 600.0, 360.0, 440.0])
    for kind in ("random", "zero", "huge", "nan"):
        session = Session.begin(mixer, given)
        drawn: list[Array] = []

        def watch(now: Session, drawn: list[Array] = drawn) -> Session:
            if now.segment is not None:
                drawn.append(np.array(now.segment.sampling))
            return now

        watch(session)
        session = drive(session, Anything(given, kind), after=watch)
        W = np.array(drawn)
        assert np.isfinite(W).all(), f"{kind} signals: a share is no number"
        assert allowed.contains(W, 1e-7).all(), f"{kind} signals: a segment breaks a constraint"
        over = np.array(session.state.used) - inventory
        assert (over <= 1e-6 * TOKENS).all(), f"{kind} signals: epochs are passed by {over.max()}"
        assert session.state.step == STEPS, f"{kind} signals: the run ends at {session.state.step}"


def resumes(mixer: Mixer) -> None:
    """Through JSON after every segment, the run is the same to the last bit."""
    given = setup()

    def through_json(now: Session) -> Session:
        saved = json.loads(json.dumps(now.to_dict(), allow_nan=False))
        return Session.resume(mixer, given, saved)

    whole = drive(Session.begin(mixer, given), Anything(given))
    again = drive(Session.begin(mixer, given), Anything(given), after=through_json)
    assert again.state.to_dict() == whole.state.to_dict(), "a resumed run differs"


def repeats(mixer: Mixer) -> None:
    """The same seed and signals give the same run."""
    runs = [drive(Session.begin(mixer, setup()), Anything(setup())) for _ in range(2)]
    first, second = (run.state.to_dict() for run in runs)
    assert first == second, "the same seed gives another run"


def knows_no_order_of_domains(mixer: Mixer) -> None:
    """Domains in another order: the same weights, each with its domain."""
    order = (2, 0, 1)
    first = drive(Session.begin(mixer, setup()), Anything(setup()))
    turned = setup(order=order)
    second = drive(Session.begin(mixer, turned), _Turned(Anything(setup()), order))
    ours = dict(zip(NAMES, first.state.weights, strict=True))
    theirs = dict(zip(turned.space.names, second.state.weights, strict=True))
    for name in NAMES:
        assert abs(ours[name] - theirs[name]) < 1e-6, f"{name} has {ours[name]} and {theirs[name]}"


def reads_what_it_declares(mixer: Mixer) -> None:
    """Segments measure signals that are declared, and all that are declared at some time."""
    needs = mixer.needs()
    asked: set[str] = set()
    session = Session.begin(mixer, setup())

    def watch(now: Session) -> Session:
        if now.segment is not None:
            asked.update(now.segment.measure)
            assert needs.branches or not now.segment.branch, "branches are not declared"
            weighed = any(weight != 1.0 for weight in now.segment.loss_weight)
            assert needs.loss_weights or not weighed, "loss weights are not declared"
        return now

    drive(watch(session), Anything(setup()), after=watch)
    assert asked == needs.signals, f"declared {sorted(needs.signals)}, asked for {sorted(asked)}"


def divides_its_periods(mixer: Mixer) -> None:
    """Steps of a period, branches left out, are no more than declared; all add up to the run."""
    every, total = mixer.needs().every, 0
    session = Session.begin(mixer, setup())
    world = Anything(setup())
    while session.plan:
        steps = sum(s.steps for s in session.plan if not s.branch)
        total += steps
        if session.state.period and mixer.needs().signals:
            assert steps <= every, f"period {session.state.period} has {steps} of {every} steps"
        session = drive(session, world, until=len(session.plan))
    assert total == STEPS, f"the run has {total} of {STEPS} steps"


def stands_missing_domains(mixer: Mixer) -> None:
    """A domain of which nothing is drawn now and then may be missing from every signal."""
    given = setup()
    session = drive(Session.begin(mixer, given), Anything(given))
    gaps = _with_gaps(Session.begin(mixer, given), Anything(given))
    assert gaps.state.step == session.state.step
    assert gaps.state.skipped == 0, f"{gaps.state.skipped} updates were left out"
    assert np.isfinite(gaps.state.weights).all(), "a weight is no number"


def counts_its_cost(mixer: Mixer) -> None:
    """Steps, branch steps and looks that it reports are those that were done."""
    given, work = setup(), Work()
    session = drive(Session.begin(mixer, given), Anything(given), work=work)
    assert dict(session.state.work) == work.counts, f"{dict(session.state.work)} != {work.counts}"


def answers(mixer: Mixer) -> None:
    """The course ends at the run's tokens, and its averages are mixtures."""
    given = setup()
    session = drive(Session.begin(mixer, given), Anything(given))
    path = course(given, session.state)
    assert path.schedule.tokens == TOKENS
    for mixture in (path.current, path.time_average, path.tail_average):
        assert isinstance(mixture, Mixture)
        assert mixture.domains == NAMES


CHECKS: tuple[Check, ...] = (
    stays_allowed,
    resumes,
    repeats,
    knows_no_order_of_domains,
    reads_what_it_declares,
    divides_its_periods,
    stands_missing_domains,
    counts_its_cost,
    answers,
)


def name(check: Check) -> str:
    """For test ids."""
    return check.__name__


class _Turned:
    """A world over the same domains and targets in another order."""

    def __init__(self, world: Anything, order: tuple[int, ...]) -> None:
        self.world, self.order = world, list(order)

    def train(self, sampling: Array, loss_weight: Array, steps: int) -> None:
        self.world.train(sampling, loss_weight, steps)

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        values = self.world.signals(wanted)
        for signal, array in values.items():
            for axis, kind in enumerate(SIGNALS[signal].axes):
                if kind in "mn":
                    array = np.take(array, self.order, axis=axis)  # noqa: PLW2901
            values[signal] = array
        return values


def _with_gaps(session: Session, world: Anything) -> Session:
    """A run in which every third segment draws nothing of one domain, and does not measure it."""
    count = 0
    while (segment := session.segment) is not None:
        world.train(np.array(segment.sampling), np.ones(3), segment.steps)
        values, count = world.signals(segment.measure), count + 1
        tokens = np.array(segment.sampling) * segment.steps * TOKENS / STEPS
        if count % 3 == 0 and segment.steps:
            gone = count // 3 % 3
            tokens[gone] = 0.0
            values = {name: _without(name, array, gone) for name, array in values.items()}
        session = session.after(Measured(0, tuple(tokens.tolist()), values))
    return session


def _without(signal: str, array: Array, gone: int) -> Array:
    values = array.copy()
    for axis, kind in enumerate(SIGNALS[signal].axes):
        if kind == "m":
            np.moveaxis(values, axis, 0)[gone] = np.nan
    return values
