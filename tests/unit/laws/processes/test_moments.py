"""The mean without the sd: same numbers, and what a search over mixtures asks for."""

import numpy as np
import pytest

from mixopt.laws import law
from mixopt.laws.base import Expects, Prediction, mean_of
from mixopt.laws.processes.moments import MANY


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def process():
    W = generator().dirichlet(np.ones(5), size=60)
    Y = np.exp(-2.0 * W[:, :2]) + 0.02 * generator(1).standard_normal((60, 2))
    Y[::4, 1] = np.nan
    return law("gp").fit(W, Y, rng=generator())


@pytest.mark.parametrize("rows", [1, 300, MANY + 1])
def test_it_is_the_mean_of_predict(process, rows):
    new = generator(2).dirichlet(np.ones(5), size=rows)
    np.testing.assert_allclose(process.mean(new), process.predict(new).mean, rtol=1e-9)


def test_very_many_points_are_rounded_by_less_than_a_thousandth_of_a_spread(process):
    new = generator(3).dirichlet(np.ones(5), size=MANY + 1)
    exact = np.vstack([process.mean(new[:MANY]), process.mean(new[MANY:])])
    spread = np.nanstd(process.Y, axis=0)
    assert (np.abs(process.mean(new) - exact) / spread).max() < 1e-3


def test_a_law_without_one_is_asked_for_its_prediction():
    class Plain:
        def predict(self, W, scale=None):
            return Prediction(W[:, :1] * 2.0, np.ones((len(W), 1)), np.ones(1))

        def to_dict(self):
            return {"law": "tests:plain"}

    assert not isinstance(Plain(), Expects)
    np.testing.assert_array_equal(mean_of(Plain(), np.array([[0.25, 0.75]])), [[0.5]])


def test_scales_reach_the_laws_inside():
    rng = generator(4)
    W = np.tile(rng.dirichlet(np.ones(3), size=30), (3, 1))
    at = np.repeat([[1e7, 2e8], [3e7, 6e8], [1e8, 2e9]], 30, axis=0)
    Y = np.exp(-W[:, :1]) + (at[:, :1] / 1e7) ** -0.3 + 0.01 * rng.standard_normal((90, 1))
    new = rng.dirichlet(np.ones(3), size=10)
    for name in ("auto", "stacking", "correction", "shukor-joint"):
        fitted = law(name).fit(W, Y, at, rng=generator())
        for scale in (None, np.array([3e7, 6e8]), np.array([1e9, 2e10])):
            np.testing.assert_allclose(
                mean_of(fitted, new, scale), fitted.predict(new, scale).mean, rtol=1e-9
            )
