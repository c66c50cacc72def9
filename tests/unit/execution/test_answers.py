"""Whatever a trainer gives for a run, it can be kept, and no other run suffers."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import MixtureSpace, Observation, Point, RunSpec, Scale
from mixopt.execution.answers import HUGE, LEFT_OUT, matched, sound
from mixopt.runs import Place

SPACE = MixtureSpace(["web", "code"])
SPECS = [RunSpec(SPACE.natural, Scale(1000, 4000), seed=i, trainer="lab:T") for i in range(3)]


def seen(i: int = 0, **fields: Any) -> Observation:
    return Observation(SPECS[i], **{"metrics": {"loss": 2.0 + i}, "flops": 5.0, **fields})


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({}, "no metric"),
        (None, "give a dict"),
        ([2.0], "give a dict"),
        ({"loss": "2.0"}, "'2.0' (str), which is no number"),
        ({"loss": None}, "None (NoneType)"),
        ({"loss": True}, "True (bool)"),
        ({"loss": np.bool_(True)}, "no number"),
        ({"loss": {"web": 2.0}}, "no number"),
        ({"loss": [2.0]}, "no number"),
        ({"loss": np.array([2.0])}, "no number"),
        ({"loss": 2j}, "no number"),
        ({"loss": float("nan")}, "nan: the run diverged"),
        ({"loss": float("-inf")}, "-inf: the run diverged"),
        ({"loss": 1e300}, "beyond 1e+30"),
        ({"loss": 10**400}, "inf: the run diverged"),
        ({3: 2.0}, "named 3 (int)"),
        ({"": 2.0}, "named ''"),
        ({"loss": 2.0, "other": "x" * 10_000}, "..."),
    ],
)
def test_a_run_whose_metrics_are_none_has_failed_with_the_reason(metrics: Any, reason: str) -> None:
    kept = sound(seen(metrics=metrics))
    assert not kept.ok
    assert reason in kept.error
    assert len(kept.error) < 300
    assert kept.metrics == {}
    assert kept.flops == 5.0


@pytest.mark.parametrize("value", [2, np.float32(2), np.float64(2), np.int64(2), HUGE / 10])
def test_any_real_number_is_a_metric(value: Any) -> None:
    kept = sound(seen(metrics={"loss": value}))
    assert kept.ok
    assert type(kept.metrics["loss"]) is float


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"flops": float("nan")}, "flops is nan"),
        ({"flops": None}, "flops is None"),
        ({"seconds": -1.0}, "seconds is -1.0"),
        ({"seconds": "3 h"}, "seconds is '3 h'"),
        ({"info": {"grad": object(), "ok": 1}}, "info 'grad'"),
        ({"info": {"sd": float("nan")}}, "info 'sd'"),
        ({"info": [1]}, "info is [1]"),
        ({"info": {"set": {1, 2}}}, "info 'set'"),
        ({"curve": (Point(10, {"loss": float("nan")}),)}, "1 of 1 points"),
        ({"curve": (Point(10, {"loss": 3.0, "x": "y"}), (1, 2))}, "2 of 2 points"),
        ({"curve": 7}, "the curve is 7"),
        ({"realised": {"web": 3}}, "realised is"),
    ],
)
def test_what_cannot_be_kept_beside_good_metrics_is_left_out_and_named(
    fields: dict[str, Any], told: str
) -> None:
    kept = sound(seen(**fields))
    assert kept.ok
    assert kept.metrics == {"loss": 2.0}
    assert any(told in line for line in kept.info[LEFT_OUT])
    assert Observation.from_dict(json.loads(json.dumps(kept.to_dict(), allow_nan=False))) == kept


def test_a_sound_run_stays_as_it_is() -> None:
    plain = seen(curve=(Point(10, {"loss": 3.0}),), info={"precision": "float32"}, seconds=1.0)
    assert sound(plain) == plain
    assert sound(plain).info == plain.info
    failed = Observation.failure(SPECS[0], "died", flops=1.0)
    assert sound(failed) == failed
    assert sound(replace(failed, error="")).error == "the trainer gave no reason"
    assert "status 'done'" in sound(replace(plain, status="done")).error  # type: ignore[arg-type]


STRANGER = RunSpec(SPACE.natural, Scale(1000, 4000), seed=99, trainer="lab:T")


@pytest.mark.parametrize(
    ("answers", "good", "reason"),
    [
        (lambda a: a[::-1], [True, True, True], ""),
        (lambda a: a[:-1], [True, True, False], "gave none for run"),
        (lambda a: [*a, a[0]], [False, True, True], "gave 2 for run"),
        (lambda a: [a[0], a[1], Observation(STRANGER, metrics={"loss": 1.0})],
         [True, True, False], f"run {STRANGER.run_id}"),
        (lambda a: [a[0], None, a[2]], [True, False, True], "None (NoneType)"),
        (tuple, [True, True, True], ""),
        (lambda a: None, [False] * 3, "returned None"),
        (lambda a: {"loss": 2.0}, [False] * 3, "returned {'loss': 2.0}"),
        (lambda a: "done", [False] * 3, "returned 'done'"),
    ],
)  # fmt: skip
def test_every_run_gets_its_own_answer_and_the_others_do_not_suffer(
    answers: Callable[[list[Observation]], Any], good: list[bool], reason: str
) -> None:
    kept = matched(SPECS, answers([seen(i) for i in range(3)]))
    assert [o.run_id for o in kept] == [s.run_id for s in SPECS]
    assert [o.ok for o in kept] == good
    assert all(o.metrics["loss"] == 2.0 + i for i, o in enumerate(kept) if o.ok)
    assert all(reason in o.error for o in kept if not o.ok)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(metrics=ANY, curve=ANY, flops=ANY, seconds=ANY, error=ANY, info=ANY, status=ANY)
def test_anything_at_all_becomes_an_observation_that_can_be_written(**fields: Any) -> None:
    kept = sound(Observation(SPECS[0], **fields))
    text = json.dumps(kept.to_dict(), allow_nan=False)
    assert Observation.from_dict(json.loads(text)).run_id == SPECS[0].run_id
    assert kept.ok == (kept.error == "" or fields["status"] == "ok")
    assert all(abs(v) <= HUGE for v in kept.metrics.values())


@pytest.mark.parametrize("place", ["node-1", Place(7), Place("a", float("nan"), -1.0)])  # type: ignore[arg-type]
def test_a_place_that_is_none_is_left_out_and_named(place: Any) -> None:
    kept = sound(seen(place=place))
    assert kept.ok
    assert kept.place in {None, Place("a")}
    assert "place" in " ".join(kept.info[LEFT_OUT])
    assert sound(seen(place=Place("b", 2.0, 0.5))).place == Place("b", 2.0, 0.5)
