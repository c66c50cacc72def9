"""What domains are worth: differences of pairs, their noise, and what shrinking leaves."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mixopt import InputError, Objective
from mixopt.diagnostics import domain_values
from mixopt.diagnostics.domain_values import DomainValues

BOTH = Objective.of("loss", "accuracy")


def values(controls: object, tails: object, objective: Objective = BOTH) -> DomainValues:
    names = ("loss", "accuracy") if np.shape(controls)[1] == 2 else ("loss",)
    domains = [f"d{i}" for i in range(np.shape(tails)[0])]
    return domain_values(
        domains, names, objective, controls=np.array(controls), tails=np.array(tails), share=0.3
    )


def test_a_value_is_how_much_better_than_the_control_of_its_seed() -> None:
    told = values([[2.0, 0.5], [2.2, 0.4]], [[[1.9, 0.6]], [[2.3, 0.5]]])
    assert told.measured == pytest.approx(np.array([[0.1, 0.1], [-0.3, 0.0]]))
    assert told.objective == pytest.approx(np.array([0.1, -0.15]))
    assert told.control == pytest.approx([2.1, 0.45])
    assert told.change(BOTH)[1, 0] > 0  # a loss that rises is a value below zero


def test_golden_shrinkage_by_the_noise_of_the_control() -> None:
    """V / (V + v): v = .01, mean square .08, so V = .07 and 7/8 of every value is kept."""
    controls = [[1.0], [1.1 + 0.1 / 3], [0.9 - 0.1 / 3]]
    v = np.var([c[0] for c in controls], ddof=1)
    scale = 0.1 / np.sqrt(v)
    controls = [[1.0 + scale * (c[0] - 1.0)] for c in controls]  # sd .1
    told = values(controls, [[[0.6]], [[1.0]]], Objective.of("loss"))
    assert told.sd == pytest.approx(0.1)
    assert told.freedom == 2
    assert told.shrunk[:, 0] == pytest.approx([0.4 * 7 / 8, 0.0])
    assert told.objective_shrunk == pytest.approx(told.shrunk[:, 0])
    assert told.half_width == pytest.approx(stats.t.ppf(0.95, 2) * 0.1)
    assert told.told == ("better", "within noise")
    assert told.order == [0, 1]


def test_two_seeds_of_the_domains_tell_the_noise_themselves() -> None:
    """What a seed does to control and tail alike is no noise of their difference."""
    controls = [[1.0], [3.0]]
    told = values(controls, [[[0.8], [2.8]], [[1.1], [3.3]]], Objective.of("loss"))
    assert told.measured[:, 0] == pytest.approx([0.2, -0.2])
    assert told.freedom == 2
    pooled = ((-0.1 + 0.2) ** 2 + (-0.3 + 0.2) ** 2) / 2  # the second domain's pairs differ
    assert told.sd == pytest.approx(np.sqrt(pooled / 2))
    assert told.half_width == pytest.approx(2.92 * np.sqrt(pooled / 2), rel=1e-3)
    assert told.told == ("within noise", "within noise")


def test_all_noise_leaves_nothing_and_no_noise_leaves_all() -> None:
    noisy = values([[1.0], [2.0]], [[[0.9]], [[1.1]]], Objective.of("loss"))
    assert noisy.shrunk == pytest.approx(0.0)
    exact = values([[1.0], [1.0]], [[[0.9]], [[1.2]]], Objective.of("loss"))
    assert exact.shrunk == pytest.approx(exact.measured)


def test_failed_runs_are_missing_values_and_one_control_leaves_noise_unknown() -> None:
    nan = [np.nan, np.nan]
    told = values([[2.0, 0.5], nan], [[[1.9, 0.6]], [nan]])
    assert np.isnan(told.measured[1]).all()
    assert np.isnan(told.sd).all()
    assert told.shrunk[0] == pytest.approx(told.measured[0])
    assert told.told == ("unknown", "unknown")
    assert told.order == [0, 1]
    with pytest.raises(InputError, match="no run of a domain has succeeded"):
        values([nan], [[[1.0, 1.0]]])
    with pytest.raises(InputError, match="give \\(C, k\\) and \\(m, S, k\\)"):
        values([[1.0, 1.0]], [[[1.0, 1.0], [1.0, 1.0]]])


def test_lines_and_json_say_who_helps() -> None:
    told = values([[2.0, 0.5], [2.001, 0.5]], [[[1.5, 0.6]], [[2.5, 0.5]]])
    assert told.lines() == [
        "a domain as 30 % of the mixture in the last 100 % of a run helps: d0 (+0.3)",
        "a domain as 30 % of the mixture in the last 100 % of a run hurts: d1 (-0.25)",
    ]
    shown = json.loads(json.dumps(told.to_dict(), allow_nan=False))
    assert shown["domains"]["d0"]["metrics"]["accuracy"]["measured"] == pytest.approx(0.1)
    assert shown["domains"]["d1"]["objective"]["told"] == "worse"


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.floats(-5, 5))
def test_shrinking_changes_no_sign_and_grows_nothing(seed: int, S: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    controls = rng.normal(size=(3, 2))
    tails = controls[None, :S] + rng.normal(size=(4, S, 2))
    told = values(controls, tails)
    assert (np.abs(told.shrunk) <= np.abs(told.measured) + 1e-12).all()
    assert (told.shrunk * told.measured >= 0).all()
    moved = values(controls + shift, tails + shift)  # a shift of all runs is worth nothing
    assert moved.measured == pytest.approx(told.measured, abs=1e-9)
    assert moved.shrunk == pytest.approx(told.shrunk, abs=1e-7)
