"""Working level and prediction level: golden numbers, curves that settle, turn, or never do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import InputError
from mixopt.diagnostics.curve_levels import curve_levels, fit_trend

X = np.array([100.0, 200.0, 400.0, 800.0])
PI = 90.0 - 300.0 * X**-0.8
D = np.linspace(0.05, 1.0, 20) * 1e9
LOSS = 2.0 + 0.5 * (D / 1e9) ** -0.5


def test_golden_every_prefix_gives_the_asymptote_and_the_exponent() -> None:
    """METHODS-ONLINE, D: pi = 90 - 300 x^-.8 (2402.02515)."""
    assert pytest.approx([82.464341, 85.671900, 87.514159, 88.572260]) == PI
    for n in (3, 4):
        trend = fit_trend(X[:n], PI[:n], rises=True)
        assert trend.asymptote == pytest.approx(90.0, abs=1e-4)
        assert trend.exponent == pytest.approx(0.8, abs=1e-5)
        assert trend.amplitude == pytest.approx(300.0, rel=1e-3)
        assert trend.at(X) == pytest.approx(PI, abs=1e-4)


@given(st.floats(0.05, 3.0), st.floats(0.01, 5.0), st.floats(-5, 5), st.integers(3, 12))
def test_exact_curves_come_back(b: float, a: float, c: float, n: int) -> None:
    x = np.geomspace(10, 1000, n)
    y = c + a * (x / 1000) ** -b
    trend = fit_trend(x, y)
    assert trend.at(x) == pytest.approx(y, abs=1e-5 * max(1.0, np.ptp(y)))
    assert trend.exponent == pytest.approx(b, rel=0.02)


def test_a_curve_that_goes_the_wrong_way_has_no_asymptote() -> None:
    assert np.isnan(fit_trend(X, PI).asymptote)  # a loss that rises
    assert np.isnan(fit_trend(X, -PI, rises=True).asymptote)


def test_an_exact_curve_is_at_work_at_once() -> None:
    told = curve_levels(D, LOSS, slope=1e-3, tolerance=1e-3)
    assert (told.working, told.prediction, told.foretold) == (3, 3, 3)
    assert told.share(told.foretold) == pytest.approx(0.15)
    assert told.error < 1e-3
    assert told.asymptotes == pytest.approx(2.0, abs=1e-3)
    assert np.isnan(told.share(None))


def test_what_is_not_possible_is_not_predicted() -> None:
    """The asymptote of c + a x^-b with c = -1 is no loss; with a bound of -2 it is one."""
    odd = LOSS - 3.0
    told = curve_levels(D, odd, slope=1e-2, tolerance=1e-2)
    assert told.working == 3
    assert told.prediction is None
    assert curve_levels(D, odd, slope=1e-2, tolerance=1e-2, bound=-2.0).prediction == 3
    accuracy = 101.0 - 30.0 * (D / 1e9) ** -0.5
    kept = curve_levels(D, accuracy, slope=1.0, tolerance=1.0, rises=True, bound=100.0)
    assert (kept.working, kept.prediction) == (3, None)


def test_a_decay_at_the_end_is_not_foretold_before_it() -> None:
    """Rates that fall from 70 % on: the curve drops below its trend, and early forecasts miss."""
    share = D / D[-1]
    dropped = LOSS - 0.6 * np.maximum(share - 0.7, 0.0)
    told = curve_levels(D, dropped, slope=0.02, tolerance=0.02)
    assert told.working == 3  # what came before the decay was a perfect trend
    assert told.prediction == 3
    assert told.error == pytest.approx(0.18, abs=0.02)  # and said nothing of the end
    assert told.foretold is None or told.share(told.foretold) > 0.8


def test_levels_need_points_after_them() -> None:
    assert curve_levels(D[:8], LOSS[:8], slope=1.0, tolerance=1.0).working == 3
    short = curve_levels(D[:7], LOSS[:7], slope=1.0, tolerance=1.0)
    assert short.working is None
    assert short.foretold == 3
    assert curve_levels(D[:7], LOSS[:7], slope=1.0, tolerance=1.0, following=4).working == 3


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="2 points of the curve; give 3 or more"):
        fit_trend([1, 2], [1, 2])
    with pytest.raises(InputError, match="do not increase"):
        fit_trend([1, 3, 2], [1, 2, 3])
    with pytest.raises(InputError, match="slope is 0"):
        curve_levels(D, LOSS, slope=0.0, tolerance=1.0)
    gaps = np.where(np.arange(20) % 3 == 1, np.nan, LOSS)
    assert curve_levels(D, gaps, slope=1e-3, tolerance=1e-3).foretold == 3
