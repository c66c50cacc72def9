"""The conversation of a mixer with a trainer in any language."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.mixers import Session, mixer
from mixopt.mixers.protocol import answers, measured_line
from mixopt.space import MixtureSpace
from mixopt.testing.mixing import setup_of

SPACE = MixtureSpace(["web", "code"])


def talk(session: Session, lines: list[Any]) -> list[dict[str, Any]]:
    texts: Iterator[str] = iter([x if isinstance(x, str) else json.dumps(x) for x in lines])
    told = [line for _, line in answers(session, texts)]
    json.dumps(told, allow_nan=False)
    return told


def test_what_is_said_is_what_a_session_does() -> None:
    setup = setup_of(SPACE, steps=30, tokens=300)
    session = Session.begin(mixer("softmax-loss", every=10), setup)
    first = {"step": 10, "tokens": {"code": 60, "web": 40}, "values": {"train_loss": [1.0, 2.0]}}
    second = {"step": 20, "tokens": [10, 90], "values": {"train_loss": {"web": 1.0, "code": 1.0}}}
    told = talk(session, [first, "", second, {"step": 30, "tokens": [50, 50]}, "after the end"])
    assert [line["type"] for line in told] == ["needs", *["segment"] * 3, "end"]
    assert told[0]["domains"] == ["web", "code"]
    assert list(told[0]["signals"]) == ["train_loss"]
    assert told[1]["sampling"] == {"web": 0.5, "code": 0.5}
    assert told[1]["loss_weight"] is None
    assert told[2]["sampling"]["code"] == pytest.approx(np.e / (1 + np.e))
    assert told[3]["sampling"] == {"web": 0.5, "code": 0.5}
    assert told[3]["measure"] == []
    assert told[4]["record"]["work"] == {"steps": 30, "train_loss": 20}
    assert told[4]["record"]["schedule"]["phases"][-1]["until"] == 300


def test_weights_of_losses_references_and_branches_are_said() -> None:
    setup = setup_of(SPACE, steps=30, start=(0.25, 0.75))
    needs, segment = talk(Session.begin(mixer("doremi"), setup), [])
    assert needs["reference"] == {"web": 0.25, "code": 0.75}
    assert needs["loss_weights"]
    assert segment["sampling"] == {"web": 0.25, "code": 0.75}
    needs, look = talk(Session.begin(mixer("skill-it", every=10), setup), [])
    assert needs["branches"]
    assert (look["steps"], look["keep"], look["branch"]) == (0, True, False)
    needs, segment = talk(Session.begin(mixer("doge"), setup), [])
    assert (needs["scope"], needs["clip"]) == ("full", 5.0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ({"step": 1}, "KeyError: 'tokens'"),
        ({"step": 1, "tokens": [1]}, "1 entries; give 2, one for each of web, code"),
        ({"step": 1, "tokens": {"wbe": 1}}, "'wbe', which is none of web, code"),
        ({"step": 1, "tokens": [1, 2], "values": [3]}, "values is no object"),
        ({"step": 1, "tokens": [1, 2], "values": {"train_loss": 3}}, "give an object by name"),
        ({"step": 1, "tokens": [1, 2], "values": {"train_loss": ["x", 1]}}, "ValueError"),
    ],
)
def test_a_line_that_cannot_be_used_costs_nothing(line: Any, message: str) -> None:
    session = Session.begin(mixer("softmax-loss", every=10), setup_of(SPACE, steps=30))
    told = talk(session, [line])
    assert told[-2]["type"] == "error"
    assert message in told[-2]["message"]
    assert told[-1] == told[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 10}, "the segment from step 10 ends at 20"),  # the first line sent again
        ({"step": 15}, "ends at 20; report each segment once"),
        ({"tokens": {"web": -1, "code": 101}}, "tokens of 'web' are -1.0"),
        ({"values": {"train_los": [1.0, 2.0]}}, "did you mean 'train_loss'?"),
        ({"values": {}}, "asks for train_loss"),
    ],
)
def test_a_report_of_another_segment_or_without_its_signal_does_not_count(
    change: dict[str, Any], message: str
) -> None:
    setup = setup_of(SPACE, steps=30, tokens=300)
    session = Session.begin(mixer("softmax-loss", every=10), setup)
    first = {"step": 10, "tokens": [40, 60], "values": {"train_loss": [1.0, 2.0]}}
    second = {"step": 20, "tokens": [10, 90], "values": {"train_loss": [2.0, None]}}
    told = talk(session, [first, {**second, **change}, second, {"step": 30, "tokens": [50, 50]}])
    assert [x["type"] for x in told] == [
        *("needs", "segment", "segment", "error", "segment", "segment", "end")
    ]
    assert message in told[3]["message"]
    assert told[4] == told[2]
    assert told[6] == talk(session, [first, second, {"step": 30, "tokens": [50, 50]}])[-1]


def test_targets_are_told_by_their_own_names() -> None:
    setup = setup_of(SPACE, targets=["loss/x", "loss/y", "loss/z"])
    line = {"step": 0, "tokens": [0, 0], "values": {"heldout": {"loss/z": 3.0, "loss/x": 1.0}}}
    seen = measured_line(setup, json.dumps(line))
    np.testing.assert_array_equal(seen.values["heldout"], [1.0, np.nan, 3.0])
    with pytest.raises(InputError, match="none of loss/x, loss/y, loss/z"):
        measured_line(setup, '{"step": 0, "tokens": [0, 0], "values": {"heldout": {"web": 1}}}')
