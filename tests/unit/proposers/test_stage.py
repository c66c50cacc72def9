"""The guarded linear programme over last stages: corners, guards, constraints, the base."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import Group, MixtureSpace, Tie
from mixopt.proposers.stage import Stage

SPACE = MixtureSpace({"web": 6.0, "code": 3.0, "math": 1.0})
BASE = np.array([0.6, 0.3, 0.1])
NONE = np.zeros((0, 3)), np.zeros(0)


def stage(space: MixtureSpace = SPACE, share: float = 0.5, tail: float = 0.2) -> Stage:
    return Stage(space, BASE, share, tail, np.ones(3, dtype=bool))


def solved(
    made: Stage, slope: object, held: object = NONE[0], room: object = NONE[1]
) -> np.ndarray:
    rows = np.atleast_2d(np.array(slope, dtype=float))
    level = np.zeros(len(rows))
    return made.best(level, rows, np.array(held, dtype=float), np.array(room, dtype=float))


def test_without_guards_the_best_domain_takes_what_was_tried() -> None:
    q = solved(stage(), [-0.1, -0.3, -0.2])
    assert q == pytest.approx([0, 1, 0])
    assert stage().mixture(q) == pytest.approx([0.3, 0.65, 0.05])


def test_where_everything_hurts_the_base_stays() -> None:
    q = solved(stage(), [0.1, 0.3, 0.2])
    assert q == pytest.approx(0.0)
    assert stage().mixture(q) == pytest.approx(BASE)


def test_a_guard_is_paid_for_with_base_or_with_what_helps_it() -> None:
    """Code lowers the objective by 3 and raises the guard by 2; room .5 allows a quarter."""
    assert solved(stage(), [0, -3, 0], [[0, 2, 0]], [0.5]) == pytest.approx([0, 0.25, 0])
    # math lowers the guard by 2: half and half raises nothing, and is worth 1.5
    q = solved(stage(), [0, -3, -0.0], [[0, 2, -2]], [0.0])
    assert q == pytest.approx([0, 0.5, 0.5])


def test_the_worst_of_several_metrics_is_a_linear_programme_too() -> None:
    """Each domain helps one metric by 1: a third each, if three are level."""
    q = solved(stage(share=1.0), -np.eye(3))
    assert q == pytest.approx(np.full(3, 1 / 3))


def test_only_what_was_tried_is_proposed() -> None:
    made = Stage(SPACE, BASE, 0.5, 0.2, np.array([True, False, True]))
    assert solved(made, [-0.1, -0.3, -0.2]) == pytest.approx([0, 0, 1])


def test_bounds_groups_and_ties_hold_in_the_stage_and_caps_over_the_run() -> None:
    bounded = SPACE.replace(bounds={"code": (0.0, 0.4)})
    v = stage(bounded).mixture(solved(stage(bounded), [1, -1, 1]))
    assert v == pytest.approx([0.6 * 6 / 7, 0.4, 0.1 * 6 / 7], abs=2e-4)
    grouped = SPACE.replace(groups=(Group("hard", ("code", "math"), 0.0, 0.5),))
    v = stage(grouped).mixture(solved(stage(grouped), [1, -1, -2]))
    assert v[1] + v[2] <= 0.5 + 1e-9
    assert v[2] > 0.15
    tied = SPACE.replace(ties=(Tie("pair", {"code": 0.75, "math": 0.25}),))
    v = stage(tied).mixture(solved(stage(tied), [0, -1, 0]))
    assert v[1] == pytest.approx(3 * v[2])
    capped = MixtureSpace({"web": 6.0, "code": 3.0, "math": 1.2}, budget=10.0, epochs=1)
    v = stage(capped).mixture(solved(stage(capped), [0, 0, -1]))
    assert 0.8 * BASE[2] + 0.2 * v[2] == pytest.approx(0.12, abs=2e-4)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))
def test_what_is_proposed_is_allowed_and_near_the_base(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    space = SPACE.replace(bounds={"code": (0.1, float(rng.uniform(0.3, 0.9)))})
    made = stage(space, share)
    held = rng.normal(size=(2, 3))
    q = solved(made, rng.normal(size=3), held, np.full(2, 0.01))
    v = made.mixture(q)
    assert space.contains(v)[0]
    assert (v >= (1 - share) * BASE - 3e-4).all()
    assert (held @ q <= 0.01 + 1e-7).all()
