"""What a run drew and saw over time: bounded, kept over a resume, and true on average."""

import json

import numpy as np
import pytest

from mixopt.mixers import Measured, Segment, Session, Told, mixer
from mixopt.mixers.history import MOST_POINTS, History
from mixopt.space import MixtureSpace
from mixopt.testing.mixing import Anything, drive, setup_of

SPACE = MixtureSpace(["a", "b", "c"])


def segment(*measure: str, steps: int = 1, branch: bool = False) -> Segment:
    return Segment(steps, (0.2, 0.3, 0.5), (1.0,) * 3, frozenset(measure), branch)


def test_points_are_bounded_and_their_means_are_those_of_all_steps() -> None:
    rng, history, losses, drawn = np.random.default_rng(0), History(), [], []
    for step in range(3000):
        losses.append(rng.random(3))
        losses[-1][rng.random(3) < 0.2] = np.nan
        drawn.append(rng.integers(0, 50, 3).astype(float))
        told = Measured(step + 1, tuple(drawn[-1]), {"train_loss": losses[-1]})
        history = history.after(segment("train_loss"), told)
    assert MOST_POINTS // 2 <= len(history.points) <= MOST_POINTS
    lengths = [point.steps for point in history.points[:-1]]
    assert max(lengths) <= 2 * min(lengths)  # the start is not coarser than the end
    assert sum(p.steps for p in history.points) == 3000
    told = Told.of(history, setup_of(SPACE, steps=3000))
    assert told.tokens[-1] == sum(map(sum, drawn))
    first = history.points[0].steps
    assert told.signals["train_loss"]["b"][0] == pytest.approx(
        np.nanmean([row[1] for row in losses[:first]])
    )
    total = np.sum(drawn[:first])
    assert told.drawn["c"][0] == pytest.approx(np.sum([row[2] for row in drawn[:first]]) / total)


def test_branches_are_thrown_away_and_what_was_not_asked_is_not_kept() -> None:
    told = Measured(1, (1.0, 1.0, 2.0), {"train_loss": np.ones(3), "gram": np.eye(3)})
    history = History().after(segment("train_loss", branch=True), told)
    assert not history.points
    history = history.after(segment("gram"), told)
    kept = Told.of(history, setup_of(SPACE, steps=3))
    assert kept.signals == {"gram": {"a": (1 / 3,), "b": (1 / 3,), "c": (1 / 3,)}}
    assert kept.drawn == {"a": (0.25,), "b": (0.25,), "c": (0.5,)}


def test_what_is_no_number_is_a_gap_and_a_look_without_steps_draws_nothing() -> None:
    gram = np.array([[1.0, np.nan, 3.0], [np.nan] * 3, [3.0, np.nan, np.inf]])
    history = History().after(segment("gram", steps=0), Measured(0, (0.0,) * 3, {"gram": gram}))
    kept = Told.from_dict(json.loads(json.dumps(Told.of(history, setup_of(SPACE)).to_dict())))
    assert kept.tokens == (0,)
    assert np.isnan(kept.drawn["a"][0])
    columns = kept.signals["gram"]
    assert (columns["a"], columns["c"]) == ((2.0,), (3.0,))
    assert np.isnan(columns["b"][0])


def test_a_resumed_run_keeps_its_history_to_the_bit() -> None:
    setup = setup_of(SPACE, steps=400)

    def through_json(session: Session) -> Session:
        saved = json.loads(json.dumps(session.to_dict(), allow_nan=False))
        return Session.resume(session.mixer, setup, saved)

    begin = Session.begin(mixer("odm", every=1), setup)
    whole = drive(begin, Anything(setup))
    again = drive(begin, Anything(setup), after=through_json)
    assert again.history.to_dict() == whole.history.to_dict()
    assert len(whole.history.points) > 20


def test_many_domains_have_fewer_points() -> None:
    wide = MixtureSpace([f"d{i}" for i in range(400)])
    history = History()
    for step in range(100):
        told = Measured(step + 1, (1.0,) * 400, {"train_loss": np.ones(400)})
        history = history.after(segment("train_loss"), told)
    kept = Told.of(history, setup_of(wide, steps=100))
    assert len(kept.tokens) * 800 <= 20_000
    assert kept.tokens[-1] == 40_000
