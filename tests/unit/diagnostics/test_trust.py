"""The verdict at both sides of every threshold.

METHODS 8 chose them: targets with a reliability below .5 are dropped, a campaign is gated at the
lower end of the proxies' rho at .5 (DataDecide and Signal-and-Noise call 80 % of decisions good).
"""

import numpy as np
import pytest

from mixopt.diagnostics import (
    CrossValidation,
    Extrapolation,
    Noise,
    Transfer,
    epoch_mismatch,
    extrapolation,
    trust,
)
from mixopt.laws.base import Prediction


def validation(rho: float = 0.95, coverage: float = 0.9) -> CrossValidation:
    one = np.ones((1, 1))
    return CrossValidation(
        40, 5, ("loss",), np.array([rho]), np.array([0.1]), np.array([coverage]), rho, coverage,
        one, Prediction(one, one, np.ones(1)),
    )  # fmt: skip


def noise(*reliability: float) -> Noise:
    values = np.array(reliability)
    names = tuple(f"m{i}" for i in range(len(values)))
    return Noise(names, np.full(len(values), 0.1), values, np.full(len(values), 3.0))


def transfer(rho: float, low: float) -> Transfer:
    some = np.array([rho])
    return Transfer(
        (1e6, 1e9), (1e9, 1e10), 20, True, ("loss",), some, some, some, rho, low, 1.0, 0.9
    )


@pytest.mark.parametrize(
    ("rho", "level"),
    [(0.81, "yes"), (0.79, "with care"), (0.51, "with care"), (0.49, "no"), (np.nan, "no")],
)
def test_how_held_out_runs_are_ranked(rho: float, level: str) -> None:
    verdict = trust(validation(rho))
    assert verdict.level == level
    assert bool(verdict.reasons) is (level != "yes")


@pytest.mark.parametrize(("coverage", "level"), [(0.76, "yes"), (0.74, "with care")])
def test_intervals_that_hold_too_few_runs(coverage: float, level: str) -> None:
    assert trust(validation(coverage=coverage)).level == level


@pytest.mark.parametrize(
    ("reliability", "level"),
    [
        ((0.81,), "yes"),
        ((0.79,), "with care"),
        ((0.49,), "no"),
        ((0.1, 0.9, 0.9), "yes"),  # the typical metric decides
        ((0.9, 0.1, 0.1), "no"),
        ((np.nan, 0.9), "yes"),
        ((np.nan,), "yes"),
    ],
)
def test_metrics_that_are_noise(reliability: tuple[float, ...], level: str) -> None:
    assert trust(validation(), noise=noise(*reliability)).level == level


@pytest.mark.parametrize(
    ("rho", "low", "level"),
    [(0.9, 0.51, "yes"), (0.9, 0.49, "with care"), (0.51, 0.2, "with care"), (0.49, 0.2, "no")],
)
def test_proxies_that_rank_otherwise(rho: float, low: float, level: str) -> None:
    found = transfer(rho, low)
    assert found.ok is (level == "yes")
    assert trust(validation(), transfer=found).level == level


def test_a_mixture_far_from_every_run() -> None:
    near = Extrapolation(np.array([0.10]), 0.05, 0.11, np.zeros(1))
    far = Extrapolation(np.array([0.12]), 0.05, 0.11, np.zeros(1))
    assert trust(validation(), extrapolation=near).level == "yes"
    verdict = trust(validation(), extrapolation=far)
    assert verdict.level == "with care"
    assert "far from every run" in verdict.line


def test_far_is_beyond_the_95_percent_point_of_the_spacing_of_runs() -> None:
    """Of twenty runs on a line, the last two stand four times as far apart as the others."""
    angles = np.cumsum(np.r_[0.0, np.full(17, 0.03), 0.12, 0.12])
    W = np.column_stack([np.cos(angles) ** 2, np.sin(angles) ** 2])
    ends = angles[-1] + np.array([0.06, 0.11, 0.13])
    found = extrapolation(np.column_stack([np.cos(ends) ** 2, np.sin(ends) ** 2]), W)
    assert found.wide == pytest.approx(4 * found.typical, rel=0.01)
    assert found.far.tolist() == [False, False, True]


def test_an_answer_whose_law_was_never_tried_is_not_trusted() -> None:
    near = Extrapolation(np.array([0.10]), 0.05, 0.11, np.zeros(1))
    verdict = trust(None, extrapolation=near, noise=noise(0.9))
    assert verdict.level == "no"
    assert "no run was held out" in verdict.line


@pytest.mark.parametrize(("target", "off"), [(1.26, True), (1.24, False)])
def test_epochs_differ_beyond_a_quarter(target: float, off: bool) -> None:
    """METHODS 3.7: warn when the proxy's epochs are more than 25 % from the target's."""
    found = epoch_mismatch(
        ("web", "math"), [0.5, 0.5], [1e12, 1e9], proxy_budget=4e9 * target, target_budget=4e9,
    )  # fmt: skip
    assert found.mismatched == (("math",) if off else ())
    assert trust(validation(), epochs=found).level == ("with care" if off else "yes")


@pytest.mark.parametrize(("weight", "counts"), [(0.011, True), (0.009, False)])
def test_domains_of_less_than_a_percent_do_not_count(weight: float, counts: bool) -> None:
    """METHODS 3.7: for any domain with a share above 1 %."""
    found = epoch_mismatch(
        ("web", "math"), [1 - weight, weight], [1e15, 1e6], proxy_budget=1e9, target_budget=1e11
    )
    assert found.mismatched == (("math",) if counts else ())


def test_the_gravest_reason_decides_and_all_are_given() -> None:
    verdict = trust(validation(0.4, 0.5), noise=noise(0.6), transfer=transfer(0.9, 0.4))
    assert verdict.level == "no"
    assert len(verdict.reasons) == 4
    assert "rho 0.40" in verdict.reasons[0]  # the grave one first


def test_what_was_not_measured_is_listed() -> None:
    assert trust().level == "no"
    assert "nothing was checked" in trust().line
    verdict = trust(validation())
    assert verdict.checked == ("held-out ranking and intervals",)
    assert len(verdict.missing) == 4
    assert "not measured: distance to the runs" in verdict.lines()[1]
