"""Knobs and the joint space: round trips, coverage, nested keys, bad input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import InputError, MixtureSpace
from mixopt.runs.knobs import Choice, Continuous, SearchSpace, read_knobs, set_knobs
from mixopt.testing.strategies import generators, mixtures

KNOBS = (
    Continuous("lr", 1e-4, 1e-1, log=True),
    Continuous("quality", -1.0, 3.0),
    Choice("act", ("relu", "silu", "gelu")),
)
SPACE = MixtureSpace(["a", "b", "c"])


@given(u=st.floats(0.0, 1.0))
@pytest.mark.parametrize("knob", KNOBS, ids=lambda k: k.name)
def test_values_come_back_and_stay_in_range(knob: Any, u: float) -> None:
    block = np.full(knob.width, (1 - u) / max(knob.width - 1, 1))
    block[0] = u
    value = knob.decode(block)
    again = knob.decode(knob.encode(value))
    assert again == value
    assert knob.encode(value).sum() == pytest.approx(1.0)


@given(W=mixtures(3, rows=5), rng=generators())
def test_points_of_the_joint_space_are_mixtures_and_come_apart_again(
    W: np.ndarray, rng: np.random.Generator
) -> None:
    joint = SearchSpace(SPACE, KNOBS)
    values = joint.spread(5, rng)
    P = joint.join(W, values)
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    assert P.shape[1] == joint.simplex.dim
    back, found = joint.split(P)
    np.testing.assert_allclose(back, W, atol=1e-12)
    assert found == values


def test_a_spread_covers_every_part_of_every_range() -> None:
    values = SearchSpace(SPACE, KNOBS).spread(9, np.random.default_rng(0))
    shares = sorted(KNOBS[0].encode(v["lr"])[0] for v in values)
    assert [int(s * 9 + 1e-3) for s in shares] == pytest.approx(range(9), abs=1)
    assert sorted(v["act"] for v in values) == sorted(["relu", "silu", "gelu"] * 3)


def test_the_middle_of_a_log_range_is_geometric() -> None:
    assert KNOBS[0].middle == pytest.approx(10**-2.5, rel=5e-3)
    assert KNOBS[1].middle == 1.0


def test_dots_lead_into_nested_keys_and_nothing_is_changed_in_place() -> None:
    config = {"optimizer": {"name": "muon"}, "batch": 8}
    made = set_knobs(config, {"optimizer.lr": 0.1, "seed": 3})
    assert made == {"optimizer": {"name": "muon", "lr": 0.1}, "batch": 8, "seed": 3}
    assert config == {"optimizer": {"name": "muon"}, "batch": 8}
    knob = Continuous("optimizer.lr", 0.0, 1.0)
    assert read_knobs(made, [knob]) == {"optimizer.lr": 0.1}
    assert read_knobs(config, [knob]) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Continuous("lr", 1.0, 1.0), "goes from 1.0 to 1.0; give low < high"),
        (lambda: Continuous("lr", 0.0, 1.0, log=True), "give a low above 0"),
        (lambda: Choice("act", ("relu",)), "give two or more"),
        (lambda: Choice("act", ("relu", "relu")), "each once"),
        (lambda: KNOBS[0].encode(1.0), "give a number from 0.0001 to 0.1"),
        (lambda: KNOBS[2].encode("relo"), "did you mean 'relu'"),
        (lambda: SearchSpace(SPACE, (KNOBS[0], KNOBS[0])), "'lr' is there twice"),
    ],
)
def test_bad_knobs_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_knob_twice_is_named_and_no_other() -> None:
    with pytest.raises(InputError, match="knob 'act' is there twice"):
        SearchSpace(SPACE, (KNOBS[0], KNOBS[2], KNOBS[1], KNOBS[2]))
