"""Feature maps: their values, their standardisation, and the offset of the log."""

import json

import numpy as np
import pytest

from mixopt import InputError
from mixopt.laws.features import EPSILON, FeatureMap, features

W = np.array([[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]])


def test_values() -> None:
    np.testing.assert_allclose(features(W, "weights"), W)
    np.testing.assert_allclose(features(W, "sqrt"), [[0.5, np.sqrt(0.75), 0], [1, 0, 0]])
    np.testing.assert_allclose(features(W, "log"), np.log(W + 0.003))
    np.testing.assert_allclose(features(W, "log", 0.1), np.log(W + 0.1))
    everything = features(W, "all", 0.1)
    assert everything.shape == (2, 9)
    np.testing.assert_allclose(everything[:, :3], W)
    np.testing.assert_allclose(everything[:, 3:6], np.sqrt(W))
    np.testing.assert_allclose(everything[:, 6:], np.log(W + 0.1))
    assert EPSILON == 0.003  # METHODS 11.2
    np.testing.assert_array_equal(features(-W, "sqrt"), 0 * W)  # below zero by rounding
    with pytest.raises(InputError, match=r"unknown features 'sqr'.*'sqrt'"):
        features(W, "sqr")


def test_what_was_learned_from_has_mean_0_and_sd_1_and_constants_stay_finite() -> None:
    seen = np.random.default_rng(0).dirichlet(np.ones(3), 20) * [1, 1, 0]
    made = FeatureMap.learn(seen, "log", 0.01)
    Z = made(seen)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.std(axis=0), [1, 1, 0], atol=1e-12)
    assert made.spread[2] == np.median(made.spread[:2]), "as far apart as the others"
    assert (FeatureMap.learn(W[[0, 0]], "all").spread == 1.0).all()
    again = FeatureMap.read(json.loads(json.dumps(made.to_dict())))
    np.testing.assert_array_equal(again(W), made(W))
    np.testing.assert_allclose(made(W), (np.log(W + 0.01) - made.center) / made.spread)
