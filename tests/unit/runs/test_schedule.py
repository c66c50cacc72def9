"""Schedules: one form each, their mean, beginnings, JSON, bad input."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import InputError, MixerSpec, Mixture, Schedule
from mixopt.runs.schedule import phase_arrays, plan_identity

WEB, CODE = Mixture.of({"web": 1.0}), Mixture.of({"code": 1.0})
BOTH = Mixture.of({"code": 0.25, "web": 0.75})


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    lengths = draw(st.lists(st.integers(1, 10**9), min_size=1, max_size=5))
    rows = draw(
        st.lists(
            st.lists(st.integers(0, 8), min_size=3, max_size=3).filter(any),
            min_size=len(lengths),
            max_size=len(lengths),
        )
    )
    mixtures = [Mixture.of(dict(zip("abc", row, strict=True)), renormalize=True) for row in rows]
    return Schedule(tuple(zip(np.cumsum(lengths).tolist(), mixtures, strict=True)))


@given(schedules())
def test_a_schedule_survives_json(schedule: Schedule) -> None:
    assert Schedule.from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule
    assert Schedule(schedule.phases) == schedule


@given(schedules())
def test_the_mean_is_what_is_drawn_in_total(schedule: Schedule) -> None:
    lengths = np.diff(schedule.ends, prepend=0)
    expected = (lengths[:, None] * schedule.weights).sum(axis=0) / schedule.tokens
    np.testing.assert_allclose(schedule.mean.array, expected, atol=1e-12)
    assert schedule.mean.domains == schedule.domains


@given(schedules(), st.data())
def test_a_beginning_draws_the_same_and_ends_where_it_is_cut(
    schedule: Schedule, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, schedule.tokens))
    beginning = schedule.until(cut)
    assert beginning.tokens == cut
    for tokens in {0, cut // 2, cut - 1}:
        assert beginning.at(tokens) == schedule.at(tokens)
    assert schedule.until(schedule.tokens) == schedule


def test_a_boundary_belongs_to_what_follows() -> None:
    schedule = Schedule(((600, WEB), (1000, CODE)))
    assert schedule.at(0).to_dict() == {"web": 1.0, "code": 0.0}
    assert schedule.at(599)["web"] == 1.0
    assert schedule.at(600)["code"] == 1.0
    assert schedule.at(999)["code"] == 1.0
    assert schedule.until(600) == Schedule.constant(schedule.at(0), 600)


def test_each_schedule_has_one_form() -> None:
    mixed = Schedule(((10, BOTH), (20, Mixture.of({"web": 0.75, "code": 0.25})), (30, WEB)))
    assert mixed.phases == ((20, BOTH), (30, Mixture.of({"code": 0.0, "web": 1.0})))
    barely = Mixture.of({"code": 0.25 + 1e-11, "web": 0.75 - 1e-11})
    assert Schedule(((10, BOTH), (20, barely))) == Schedule.constant(BOTH, 20)
    with_more = Mixture.of({"code": 0.25, "web": 0.75, "new": 0.0})
    assert len(Schedule(((10, BOTH), (20, with_more))).phases) == 1
    assert Schedule.constant(BOTH, 5).mean is BOTH


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule(()), "no phases; give at least one"),
        (lambda: Schedule(((0, WEB),)), "phase 1 of a schedule ends at 0 tokens and begins at 0"),
        (lambda: Schedule(((9, WEB), (9, CODE))), "phase 2 .* ends at 9 tokens and begins at 9"),
        (lambda: Schedule(((0.5, WEB),)), "ends at 0.5; give a whole number of tokens"),  # type: ignore[arg-type]
        (lambda: Schedule(((float("nan"), WEB),)), "ends at nan; give a whole"),  # type: ignore[arg-type]
        (lambda: Schedule(((True, WEB),)), "ends at True; give a whole"),
        (lambda: Schedule(((9, {"web": 1.0}),)), "holds {'web': 1.0}; give a Mixture"),  # type: ignore[arg-type]
        (lambda: Schedule.constant(WEB, 9).at(9), "says nothing at 9; ask from 0 to 8"),
        (lambda: Schedule.constant(WEB, 9).until(10), "no beginning of 10; give 1 to 9"),
        (lambda: Schedule.from_dict({"phases": [{"end": 3}]}), "cannot read a schedule"),
        (lambda: MixerSpec(""), "a mixer has no name"),
        (lambda: MixerSpec("odm", {"eps": WEB}), "'odm' are no JSON values"),
        (lambda: MixerSpec("odm", {"eps": float("nan")}), "'odm' are no JSON values"),
        (lambda: phase_arrays([((9, WEB),)], ["code"]), "phase 1 of run 0 gives weight to 'web'"),
    ],
)
def test_bad_schedules_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_schedule_stretches_to_runs_of_other_lengths() -> None:
    schedule = Schedule(((600, WEB), (1000, CODE)))
    assert schedule.stretched(5000) == Schedule(((3000, WEB), (5000, CODE)))
    assert schedule.stretched(1000) == schedule
    assert schedule.stretched(2) == Schedule(((1, WEB), (2, CODE)))
    early = Schedule(((1, WEB), (1000, CODE)))
    assert early.stretched(10).ends.tolist() == [1, 10]  # no phase is lost to rounding
    late = Schedule(((999, WEB), (1000, CODE)))
    assert late.stretched(10).ends.tolist() == [9, 10]
    with pytest.raises(InputError, match="a run of 1 tokens cannot hold 2 phases"):
        schedule.stretched(1)


def test_phases_as_arrays_repeat_the_last_one() -> None:
    runs = [Schedule(((600, WEB), (1000, BOTH))).phases, ((500, CODE),)]
    weights, ends = phase_arrays(runs, ("web", "code", "math"))
    np.testing.assert_array_equal(ends, [[600, 1000], [500, 500]])
    np.testing.assert_array_equal(weights[0], [[1, 0, 0], [0.75, 0.25, 0]])
    np.testing.assert_array_equal(weights[1], [[0, 1, 0], [0, 1, 0]])
    lengths = np.diff(ends, axis=1, prepend=0)
    mean = (weights * lengths[..., None]).sum(axis=1) / ends[:, -1:]
    np.testing.assert_allclose(mean, [[0.9, 0.1, 0], [0, 1, 0]])


def test_the_end_of_a_lone_phase_is_no_part_of_a_plan() -> None:
    assert plan_identity(((9, WEB),)) == plan_identity(((None, WEB),))
    assert plan_identity(((5, WEB), (9, CODE))) != plan_identity(((5, WEB), (None, CODE)))
    assert plan_identity(((9, WEB),), MixerSpec("odm")) != plan_identity(((9, WEB),))


def test_a_coarse_schedule_has_the_mean_of_every_part() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(3), size=30)
    ends = np.sort(np.random.default_rng(1).choice(np.arange(1, 1000), 29, replace=False))
    mixtures = [Mixture(("a", "b", "c"), tuple(w)) for w in weights.tolist()]
    fine = Schedule(tuple(zip([*ends.tolist(), 1000], mixtures, strict=True)))
    coarse = fine.coarsened(4)
    assert [until for until, _ in coarse.phases] == [250, 500, 750, 1000]
    np.testing.assert_allclose(coarse.mean.array, fine.mean.array, atol=1e-12)
    np.testing.assert_allclose(coarse.until(500).mean.array, fine.until(500).mean.array, atol=1e-12)
    assert coarse.coarsened(4) is coarse
    assert len(fine.coarsened(1).phases) == 1
