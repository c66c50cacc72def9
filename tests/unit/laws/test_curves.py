"""Learning curves: recovered exponents, and their doubt."""

import numpy as np
import pytest

from mixopt import InputError
from mixopt.laws.curves import LearningCurveFit, fit_curve

D = np.geomspace(1e8, 1e9, 10)
Y = 2.0 + 0.5 * (D / 1e9) ** -0.5


def test_a_curve_of_the_priors_exponent_is_recovered() -> None:
    fit = fit_curve(D, Y)
    assert fit.exponent == pytest.approx(0.5, rel=0.05)
    assert fit.floor == pytest.approx(2.0, abs=0.03)
    assert fit.amplitude == pytest.approx(0.5, abs=0.03)
    assert fit.reference == 1e9
    assert fit.noise < 3e-3  # exponents are tried in steps of 4 %
    mean, sd = fit.predict([1e9, 4e9])
    np.testing.assert_allclose(mean, [2.5, 2.25], atol=0.01)
    assert sd[0] == pytest.approx(fit.noise)
    assert sd[1] > sd[0]


def test_missing_points_are_left_out_and_four_are_enough() -> None:
    with_gaps = np.where(np.arange(10) % 2 == 1, np.nan, Y)
    fit = fit_curve(D, with_gaps)
    assert fit.reference == D[8]
    assert fit.predict(1e9)[0] == pytest.approx(2.5, abs=0.01)
    assert np.isfinite(fit_curve(D[:4], Y[:4]).noise)


@pytest.mark.parametrize("tokens", [[0, 1, 2, 3], [1, 2, 2, 3], [1, 3, 2, 4], [-1, 1, 2, 3]])
def test_tokens_must_increase_from_above_0(tokens: list[float]) -> None:
    with pytest.raises(InputError, match="do not increase from above 0"):
        fit_curve(tokens, [4, 3, 2, 1])


def test_a_noisy_curve_is_doubted_more() -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(10)
    exact, noisy = fit_curve(D, Y), fit_curve(D, Y + noise)
    assert noisy.noise > 10 * exact.noise
    assert exact.doubt < noisy.doubt <= 0.7  # the prior's sd: no data can raise it
    assert noisy.predict(8e9)[1] > noisy.predict(2e9)[1] > noisy.predict(1e9)[1]


def test_the_sd_is_noise_and_another_exponent_together() -> None:
    fit = LearningCurveFit(2.0, 1.0, 0.5, 100.0, 0.3, np.log(2.0))
    mean, sd = fit.predict(400.0)
    assert mean == pytest.approx(2.5)
    # Exponent 1, with the same level and slope at the reference: 3 - .5 (1 - 1 / 4) = 2.625.
    assert sd == pytest.approx(np.hypot(0.3, 0.125))
