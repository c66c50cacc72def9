"""The worlds in which online methods are compared have the zero and the one that they claim."""

import numpy as np
import pytest

from analysis.online_worlds import powers, quadratics


def test_no_method_is_uniform_and_the_right_gradients_are_the_optimum() -> None:
    world = quadratics(0)
    assert world("fixed", {}) == pytest.approx((1.0, 1.0))
    settings = {"rate": 0.1, "mu": 0.05, "targets": "heldout"}
    np.testing.assert_allclose(world("doge", settings), 0.0, atol=0.02)


def test_totals_alone_count_among_powers() -> None:
    world = powers(0)
    assert world("fixed", {}) == pytest.approx((1.0, 1.0))
    run, average = world("odm", {"every": 20})
    assert run == pytest.approx(average, abs=1e-6)
    assert 0.0 < run < 1.0
