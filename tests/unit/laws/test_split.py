"""A law over two phases and their mean, seen over mixtures."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.laws import fitted_law, law
from mixopt.laws.split import FittedSplit
from mixopt.testing.strategies import mixtures


@given(mixtures(4, rows=3), mixtures(4))
def test_points_have_the_given_mean_and_the_given_split(W, other):
    """first = a w / s and last = (1 - a) w / (1 - s) draw w in total, whatever a is."""
    early = np.clip(other * 3, 0.0, 1.0)
    first, last, mean = np.split(3.0 * FittedSplit(None, early).points(W), 3, axis=1)
    s = (W @ early)[:, None]
    np.testing.assert_allclose(mean, W, atol=1e-12)
    np.testing.assert_allclose(s * first + (1 - s) * last, W, atol=1e-9)
    np.testing.assert_allclose(first.sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_allclose(s * first, early * W, atol=1e-9)


@given(mixtures(3, rows=2), st.floats(0.05, 0.95))
def test_an_even_split_is_a_run_that_does_not_change(W, share):
    points = FittedSplit(None, np.full(3, share)).points(W)
    np.testing.assert_allclose(points, np.hstack([W, W, W]) / 3.0, atol=1e-9)


def test_it_predicts_what_its_base_does_and_survives_json():
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(6), size=20)
    base = law("gp").fit(P, P[:, :2] ** 2, rng=rng)
    split = FittedSplit(base, np.array([0.2, 0.9]))
    W = rng.dirichlet(np.ones(2), size=4)
    seen, direct = split.predict(W), base.predict(split.points(W))
    np.testing.assert_array_equal(seen.mean, direct.mean)
    np.testing.assert_array_equal(split.mean(W), base.mean(split.points(W)))
    cov = split.joint(W, W)
    np.testing.assert_allclose(np.sqrt(cov[0].diagonal()), seen.sd[:, 0], rtol=1e-5)
    again = fitted_law(json.loads(json.dumps(split.to_dict())))
    np.testing.assert_allclose(again.predict(W).mean, seen.mean)
    assert again.early == pytest.approx(split.early)
