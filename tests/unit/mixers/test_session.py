"""The port: refusals, records, resume and what a run's mixture was on average."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.mixers import Measured, Needs, Session, Setup, State, course, mixer, refused
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen, loss_weights
from mixopt.ports import Mixing
from mixopt.runs import MixerSpec, RunSpec, Scale
from mixopt.space import Domain, Group, Mixture, MixtureSpace, Tie, plain
from mixopt.testing.mixing import Anything, Work, drive, scripted, setup_of

SPACE = MixtureSpace(["a", "b", "c"])


@dataclass(frozen=True)
class Losses(Periodic):
    """The larger a loss, the more of its domain; branches measure it, to try them too."""

    every: int = 10
    acts_on: ClassVar[str] = "sampling"  # type: ignore[assignment]
    name: ClassVar[str] = "losses"

    def needs(self) -> Needs:
        return Needs(frozenset({"train_loss"}), self.every)

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        loss = seen[-1].values["train_loss"]
        return Learned(multiplicative(state.weights, 0.1 * np.nan_to_num(loss)), {"loss": loss})


@dataclass(frozen=True)
class Weighing(Losses):
    """The same on losses."""

    acts_on: ClassVar[str] = "loss"  # type: ignore[assignment]


def test_the_same_to_the_bit_after_a_resume_at_any_segment() -> None:
    setup = setup_of(SPACE, steps=95, start=(0.2, 0.3, 0.5))
    whole = drive(Session.begin(Losses(), setup), Anything(setup))

    def through_json(session: Session) -> Session:
        saved = json.loads(json.dumps(session.to_dict(), allow_nan=False))
        return Session.resume(Losses(), setup, saved)

    again = drive(Session.begin(Losses(), setup), Anything(setup), after=through_json)
    assert again.state.to_dict() == whole.state.to_dict()
    assert whole.state.step == 95
    assert whole.state.period == 10


def test_a_run_is_measured_but_for_its_last_period() -> None:
    setup = setup_of(SPACE, steps=95)
    work = Work()
    session = drive(Session.begin(Losses(), setup), Anything(setup), work=work)
    assert work.counts == session.state.work == {"steps": 95, "train_loss": 90}


def test_signals_that_are_no_numbers_keep_the_weights_and_three_in_a_row_freeze() -> None:
    setup = setup_of(SPACE, steps=100)
    broken = np.full(3, np.nan)
    looks = [np.ones(3), broken, np.arange(3.0), *[broken] * 3, np.arange(3.0)]
    world = scripted({})
    world.looks = {"train_loss": looks}
    weights = []
    session = Session.begin(Losses(), setup)

    def note(now: Session) -> Session:
        weights.append(now.state.weights)
        return now

    session = drive(session, world, after=note)
    state = session.state
    assert weights[1] == weights[0]
    assert weights[2] != weights[1]
    assert weights[3] == weights[4] == weights[-1] == weights[2]
    assert (state.skipped, state.frozen, state.step) == (4, True, 100)
    assert [note.text for note in state.notes] == [
        "signal 'train_loss' is no number: the weights stay",
        "3 updates in a row had no usable signal: frozen",
    ]
    assert state.notes[0].times == 4
    assert state.notes[0].step == 20


@pytest.mark.parametrize(
    ("values", "tokens", "good"),
    [
        ([1.0, np.nan, 2.0], (5.0, 0.0, 5.0), True),  # nothing of b was drawn
        ([1.0, np.nan, 2.0], (5.0, 1.0, 5.0), False),
        ([1.0, np.inf, 2.0], (5.0, 0.0, 5.0), False),
    ],
)
def test_a_domain_may_be_missing_where_nothing_of_it_was_drawn(
    values: list[float], tokens: tuple[float, ...], good: bool
) -> None:
    setup = setup_of(SPACE, steps=100)
    session = Session.begin(Losses(), setup)
    after = session.after(Measured(10, tokens, {"train_loss": np.array(values)}))
    assert after.state.skipped == (not good)


def test_what_a_trainer_cannot_give_is_refused_by_name() -> None:
    needs = Needs(frozenset({"gram", "heldout"}), 10, scope="last", loss_weights=True)
    offered = Mixing(frozenset({"heldout"}), frozenset({"full"}), branches=True)
    text = refused(needs, offered, "doge")
    assert "the signal 'gram', gradients of scope 'last', loss weights" in text
    assert "heldout" not in text.partition("(its signals")[0]
    assert refused(Needs(frozenset({"heldout"}), 10, branches=True), offered) == ""
    assert "runs no mixers" in refused(needs, None)
    more = Needs(frozenset({"heldout"}), 1, reference="start")
    assert "a frozen reference" in refused(more, offered)
    with pytest.raises(InputError, match="did you mean 'gram'"):
        Needs(frozenset({"grams"}), 1)


def test_states_of_another_version_or_run_are_refused() -> None:
    setup = setup_of(SPACE)
    session = Session.begin(Losses(), setup)
    saved = session.to_dict()
    other = {**saved, "state": {**saved["state"], "format": 99}}
    with pytest.raises(InputError, match="format 99, this mixopt reads 1"):
        Session.resume(Losses(), setup, other)
    with pytest.raises(InputError, match="mixer 'losses' over a, b, c, and the run has 'fixed'"):
        Session.resume(mixer("fixed"), setup, saved)
    renamed = setup_of(MixtureSpace(["a", "b", "x"]))
    with pytest.raises(InputError, match="over a, b, x"):
        Session.resume(Losses(), renamed, saved)
    with pytest.raises(InputError, match="'state', 'done' and 'history'"):
        Session.resume(Losses(), setup, {"state": {}})
    with pytest.raises(InputError, match="2 numbers of tokens for 3 domains"):
        session.after(Measured(10, (1.0, 2.0)))


def test_averages_and_schedule_are_of_the_weights_that_were_used() -> None:
    setup = setup_of(SPACE, steps=3000, tokens=30_000)
    used: list[tuple[float, ...]] = []

    def note(now: Session) -> Session:
        if now.segment is not None:
            used.extend([now.segment.sampling] * now.segment.steps)
        return now

    start = Session.begin(Losses(every=2), setup)
    note(start)
    end = drive(start, Anything(setup), after=note)
    answer = course(setup, end.state)
    W = np.array(used)
    assert len(W) == 3000
    np.testing.assert_allclose(answer.time_average.array, W.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(answer.tail_average.array, W[2000:].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(answer.current.array, end.state.weights)
    assert len(answer.schedule.phases) <= 256
    assert answer.schedule.tokens == 30_000
    np.testing.assert_allclose(answer.schedule.mean.array, W.mean(axis=0), atol=1e-4)


def test_weighed_losses_act_as_the_weights_would() -> None:
    np.testing.assert_allclose(loss_weights([0.6, 0.4, 0.0], [0.2, 0.3, 0.5]), [3, 4 / 3, 0])
    setup = setup_of(SPACE, steps=100, start=(0.2, 0.3, 0.5))
    session = drive(Session.begin(Weighing(), setup), Anything(setup), until=4)
    segment = session.segment
    assert segment is not None
    assert segment.sampling == pytest.approx((0.2, 0.3, 0.5))
    acting = np.array(segment.sampling) * segment.loss_weight
    np.testing.assert_allclose(acting, session.state.weights)
    assert acting.sum() == pytest.approx(1.0)


def test_the_setup_of_a_run_has_the_constraints_of_its_mixer() -> None:
    space = MixtureSpace(
        [Domain("a", 100.0, prior=2.0), Domain("b", 300.0), Domain("c", 50.0)],
        {"a": (0.1, 0.5)},
        groups=[Group("g", ("a", "b"), 0.2, 0.9)],
        ties=[Tie("t", {"b": 1.0, "c": 2.0})],
        budget=150.0,
        epochs={"c": 3.0},
    )
    again = plain.from_dict(json.loads(json.dumps(plain.to_dict(space))))
    assert again.names == space.names
    for what in ("lower", "upper", "prior", "tokens"):
        np.testing.assert_array_equal(getattr(again, what), getattr(space, what))
    assert [plain.to_dict(again)[k] for k in ("groups", "ties")] == [
        plain.to_dict(space)[k] for k in ("groups", "ties")
    ]
    chosen = MixerSpec("fixed", space=plain.to_dict(space), targets={"loss/x": 3.0, "loss/y": 1.0})
    spec = RunSpec(Mixture.of({"b": 0.75, "a": 0.25}), Scale(10, 200), seed=7, mixer=chosen)
    setup = Setup.of(spec, 20, ["loss/a"])
    assert setup.start == (0.25, 0.75, 0.0)
    assert (setup.targets, setup.target_weights) == (("loss/x", "loss/y"), (0.75, 0.25))
    assert (setup.tokens, setup.steps, setup.seed) == (200, 20, 7)
    free = Setup.of(replace(spec, mixer=MixerSpec("fixed")), 20, ["loss/a", "loss/b"])
    assert (free.space.names, free.target_weights) == (("b", "a"), (0.5, 0.5))
    other = replace(spec, mixture=Mixture.of({"z": 1.0}))
    with pytest.raises(InputError, match="unknown domain 'z'"):
        Setup.of(other, 20, [])


def test_what_a_mixer_is_told_is_part_of_what_a_run_is() -> None:
    spec = RunSpec(Mixture.of({"a": 0.5, "b": 0.5}), Scale(10, 200))
    given = [
        None,
        MixerSpec("fixed"),
        MixerSpec("fixed", {"every": 5}),
        MixerSpec("fixed", space=plain.to_dict(MixtureSpace(["a", "b"], {"a": (0, 0.6)}))),
        MixerSpec("fixed", targets={"loss/x": 1.0}),
    ]
    runs = [replace(spec, mixer=m) for m in given]
    assert len({r.run_id for r in runs}) == len(runs)
    for run in runs:
        again = RunSpec.from_dict(json.loads(json.dumps(run.to_dict())))
        assert again.run_id == run.run_id
        assert again.mixer == run.mixer


def test_random_numbers_depend_on_seed_name_and_period_alone() -> None:
    def draw(seed: int, name: str, period: int) -> float:
        return setup_of(SPACE, seed=seed).rng(name, period).random()

    assert draw(1, "aioli", 3) == draw(1, "aioli", 3)
    keys = [(1, "aioli", 3), (2, "aioli", 3), (1, "odm", 3), (1, "odm", 4)]
    assert len({draw(*key) for key in keys}) == 4


def test_the_kernel_stands_scores_of_any_size() -> None:
    w = multiplicative([0.5, 0.3, 0.2, 0.0], [1e6, -1e6, 0.0, 1e6], floor=0.1)
    assert np.isfinite(w).all()
    assert w[0] == pytest.approx(0.9 + 0.025)
    assert w[3] == pytest.approx(0.025)  # out of the floor alone
    np.testing.assert_allclose(multiplicative([0.5, 0.3, 0.2], [7.0] * 3), [0.5, 0.3, 0.2])
    back = multiplicative(multiplicative([0.5, 0.5], [800.0, 0.0]), [0.0, 30.0])
    assert back[1] > 0.5  # what was driven to nothing comes back
