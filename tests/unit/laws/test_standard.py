"""Metrics in standard units: center, spread, missing values, and metrics that never vary."""

import json

import numpy as np

from mixopt.laws.standard import Standard

Y = np.array([[1.0, 5.0, 10.0], [3.0, 5.0, np.nan], [5.0, 5.0, 30.0]])


def test_center_and_spread_are_of_the_runs_that_have_the_metric() -> None:
    standard = Standard.learn(Y)
    np.testing.assert_allclose(standard.center, [3.0, 5.0, 20.0])
    np.testing.assert_allclose(standard.spread, [np.sqrt(8 / 3), 0.0, 10.0])
    assert standard.flat.tolist() == [False, True, False]


def test_forward_is_z_scores_and_0_where_missing_or_flat() -> None:
    unit = np.sqrt(8 / 3)
    np.testing.assert_allclose(
        Standard.learn(Y).forward(Y), [[-2 / unit, 0, -1], [0, 0, 0], [2 / unit, 0, 1]]
    )


def test_a_spread_of_rounding_errors_is_flat() -> None:
    nearly = np.array([[1e6], [1e6 * (1 + 1e-15)]])
    assert Standard.learn(nearly).flat.all()
    assert not Standard.learn(np.array([[1e6], [1e6 * (1 + 1e-9)]])).flat.any()
    assert Standard.learn(np.zeros((3, 1))).flat.all()


def test_predictions_come_back_in_the_units_of_the_metrics() -> None:
    standard = Standard(np.array([3.0, 5.0]), np.array([2.0, 10.0]))
    told = standard.prediction(
        np.array([[1.0, -1.0]]), np.array([[0.5, 0.1]]), np.array([0.25, 0.2])
    )
    np.testing.assert_allclose(told.mean, [[5.0, -5.0]])
    np.testing.assert_allclose(told.sd, [[1.0, 1.0]])
    np.testing.assert_allclose(told.noise, [0.5, 2.0])
    np.testing.assert_allclose(standard.residual(np.array([[1.0, -1.0]])), [[2.0, -10.0]])


def test_it_survives_json() -> None:
    before = Standard.learn(Y)
    after = Standard.read(json.loads(json.dumps(before.to_dict())))
    np.testing.assert_array_equal(after.center, before.center)
    np.testing.assert_array_equal(after.spread, before.spread)
