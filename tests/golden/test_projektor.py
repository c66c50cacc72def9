"""Projektor's projection over two scales (2307.02460)."""

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.laws.curves import project


def test_the_published_formula():
    a, b = 3.7, 3.2
    expected = (np.log(10) * b - np.log(10000 / 1500) * a) / np.log(1.5)
    np.testing.assert_allclose(project(10000, (1000, a), (1500, b)), expected, rtol=1e-12)


def test_it_goes_through_both_points():
    assert project(1000, (1000, 3.7), (1500, 3.2)) == pytest.approx(3.7)
    assert project(1500, (1000, 3.7), (1500, 3.2)) == pytest.approx(3.2)


@pytest.mark.parametrize("tokens", [0.0, -5.0])
def test_counts_are_above_zero(tokens):
    with pytest.raises(InputError, match="above 0"):
        project(tokens, (1000, 3.7), (1500, 3.2))


def test_two_runs_of_one_size_tell_nothing():
    with pytest.raises(InputError, match="different"):
        project(1e4, (1000, 3.7), (1000, 3.2))
