"""The dependence test: calibration and power in worlds with a known answer, Holm, refusals."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mixopt.diagnostics.dependence import UNSEEN, Dependence, dependence, holm, two_sided
from mixopt.errors import InputError

DRAWS = 1000


def world(rng: np.random.Generator, n: int, s: int = 3, planted: float = 0.0) -> Dependence:
    """Own effects of 10 sigma, sigma 1; the second changes the first's outcome by `planted`."""
    at = rng.normal(size=n)
    effect = np.diag(np.full(n, -10.0))
    effect[0, 1] = planted
    base = at + rng.normal(size=(s, n))
    alone = at[:, None] + effect + rng.normal(size=(n, n))
    joint = at + effect.sum(axis=1) + rng.normal(size=n)
    return dependence([f"e{i}" for i in range(n)], base=base, alone=alone, joint=joint)


@pytest.mark.parametrize("n", [3, 10])
def test_an_additive_world_is_flagged_no_more_often_than_said(n: int) -> None:
    rng = np.random.default_rng(n)
    quiet = [not world(rng, n).flagged.any() for _ in range(DRAWS)]
    assert np.mean(quiet) >= 0.93


@pytest.mark.parametrize("n", [3, 10])
def test_an_interaction_of_eight_sd_is_found(n: int) -> None:
    rng = np.random.default_rng(n)
    found = [world(rng, n, planted=8.0) for _ in range(DRAWS)]
    assert np.mean([told.flagged[0, 1] for told in found]) >= 0.97
    assert np.mean([told.flagged.sum() > 1 for told in found]) <= 0.07
    # where a pair interferes the joint run is off what the experiment shows alone
    assert np.mean([told.joint_flagged[0] for told in found]) >= 0.8
    assert np.mean([told.joint_flagged[1:].any() for told in found]) <= 0.07


@pytest.mark.parametrize(("n", "s"), [(4, 6)])
def test_the_detectable_effect_is_found_as_often_as_said(n: int, s: int) -> None:
    """By the strictest step of Holm: of the first of all pairs, hence at least as often."""
    rng = np.random.default_rng(n)
    sizes = [float(world(rng, n, s).detectable[0]) for _ in range(100)]
    # in units of the true sigma, which the estimate scatters around
    size = np.median(sizes)
    hits = [world(rng, n, s, planted=size).flagged[0, 1] for _ in range(400)]
    assert 0.7 <= np.mean(hits) <= 0.92


def test_golden_a_matrix_by_hand() -> None:
    base = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])  # squares 2 and 0: sigma^2 = 2 / 4
    alone = np.array([[-2.0, 2.5], [5.0, 1.0]])
    told = dependence(["a", "b"], base=base, alone=alone, joint=np.array([-1.5, 1.0]))
    sigma = np.sqrt(0.5)
    assert told.base == pytest.approx([2.0, 5.0])
    assert told.sd == pytest.approx([sigma] * 2)
    assert told.own_sd == pytest.approx([1.0, 0.0])
    assert told.freedom == 4
    assert told.z[0, 1] == pytest.approx(0.5 / (sigma * np.sqrt(4 / 3)))
    assert told.joint_z == pytest.approx([0.5 / (sigma * np.sqrt(2)), 0.0])
    assert told.independent
    assert told.effect == pytest.approx(np.array([[-4.0, 0.5], [0.0, -4.0]]))
    edge = stats.t.ppf(1 - 0.05 / 4, 4)
    nc = told.detectable[0] / (sigma * np.sqrt(4 / 3))
    assert stats.nct.sf(edge, 4, nc) == pytest.approx(0.8, abs=1e-3)


def test_a_known_noise_is_normal() -> None:
    base = np.array([[1.0, 5.0]])
    alone = np.array([[-2.0, 4.0], [5.0, 1.0]])
    told = dependence(["a", "b"], base=base, alone=alone, joint=np.array([1.0, 1.0]), sd=0.5)
    assert told.z[0, 1] == pytest.approx(3 / (0.5 * np.sqrt(2)))
    assert two_sided(told.z, told.freedom) == pytest.approx(2 * stats.norm.sf(np.abs(told.z)))
    assert told.pairs == [(0, 1)]
    assert told.joint_flagged.tolist() == [True, False]
    assert not told.independent
    lines = told.lines()
    assert lines[0].startswith("b changes what a shows by +3 (z 4.2")
    assert lines[1].startswith("a is +3 off what it shows alone where all are together")
    assert lines[-1] == UNSEEN


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_holm_rejects_the_smallest_ones_between_bonferroni_and_no_correction(p, level) -> None:
    values = np.array([*p, np.nan])
    told = holm(values, level)
    assert not told[-1]
    assert (told[:-1] >= (values[:-1] <= level / len(p))).all()
    assert (told <= (values <= level)).all()
    assert (
        told.sum() in {0, len(p)} or values[:-1][told[:-1]].max() <= values[:-1][~told[:-1]].min()
    )


def test_golden_holm() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])  # .005 < .0125, .01 < .0167, .03 > .025
    assert holm(p, 0.05).tolist() == [True, False, False, True]


def test_failed_runs_are_named_and_leave_the_rest() -> None:
    rng = np.random.default_rng(0)
    told = world(rng, 4)
    alone = told.alone.copy()
    alone[:, 2] = np.nan
    base = np.vstack([rng.normal(size=(3, 4)), np.full(4, np.nan)])
    part = dependence(told.names, base=base, alone=alone, joint=np.full(4, np.nan))
    assert part.seeds == 3
    assert not part.flagged[:, 2].any()
    assert any("runs with e2 failed" in line for line in part.lines())
    shown = json.loads(json.dumps(part.to_dict(), allow_nan=False))
    assert shown["experiments"]["e0"]["under"]["e2"]["z"] is None
    assert shown["unseen"] == UNSEEN


def test_what_moves_nothing_and_what_is_loud_is_said() -> None:
    rng = np.random.default_rng(1)
    told = world(rng, 3)
    alone = told.alone + np.diag([0, 0, 10.0])
    base = told.base + np.array([[5, 0.01, 0], [-5, 0, 0.01], [0, -0.01, -0.01]])
    part = dependence(told.names, base=base, alone=alone, joint=told.joint)
    lines = " ".join(part.lines())
    assert "e2 by itself moves its own outcome by less" in lines.replace("e0, e1, e2", "e2")
    quiet = dependence(told.names, base=base, alone=alone, joint=told.joint, sd=1.0)
    assert any(line.startswith("e0 is noisier") for line in quiet.lines())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"alone": np.zeros((2, 3))}, "give \\(s, n\\)"),
        ({"base": np.zeros((3, 2))}, "agree to the last digit"),
        ({"base": np.ones((1, 2))}, "give more seeds"),
        ({"sd": np.array([1.0, 0.0])}, "no number above 0"),
        ({"level": 0.0}, "level is 0"),
    ],
)
def test_what_cannot_be_tested_is_refused(change, why) -> None:
    given = {
        "base": np.arange(6.0).reshape(3, 2),
        "alone": np.zeros((2, 2)),
        "joint": np.zeros(2),
    }
    with pytest.raises(InputError, match=why):
        dependence(["a", "b"], **(given | change))
    with pytest.raises(InputError, match="two experiments"):
        dependence(["a"], base=np.ones((3, 1)), alone=np.ones((1, 1)), joint=np.ones(1))
