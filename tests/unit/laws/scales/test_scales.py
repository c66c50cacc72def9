import numpy as np
import pytest
from scipy.stats import spearmanr

from mixopt.errors import InputError
from mixopt.laws import law, law_for
from mixopt.laws.base import Prediction
from mixopt.laws.scales.affine import fit_affine
from mixopt.laws.scales.correction import Correction


def generator(seed=0):
    return np.random.default_rng(seed)


SMALL, LARGE = (1e6, 1e9), (1e9, 2.5e10)


def two_scales(large=8, seed=0):
    """Three metrics that rank alike at both scales and have other slopes."""
    rng = generator(seed)
    W = rng.dirichlet(np.ones(5), size=160)
    g = np.column_stack([np.exp(-3 * W[:, i]) for i in range(3)]) * np.array([3.0, 1.0, 1.0])
    small = 3.0 + g + 0.01 * rng.standard_normal(g.shape)
    big = 2.0 + g * np.array([0.1, 0.9, 0.8]) + 0.01 * rng.standard_normal(g.shape)
    at = np.vstack([np.tile(SMALL, (60, 1)), np.tile(LARGE, (large, 1))])
    rows = np.r_[0:60, 60 : 60 + large]
    Y = np.vstack([small[:60], big[60 : 60 + large]])
    return W[rows], Y, at, W[80:], big[80:]


def test_few_larger_runs_correct_the_average():
    W, Y, at, new, truth = two_scales()
    told = Correction().fit(W, Y, at, rng=generator()).predict(new, np.array(LARGE))
    alone = law("gp").fit(W[:60], Y[:60], rng=generator()).predict(new)
    with_them = spearmanr(told.mean.mean(axis=1), truth.mean(axis=1)).statistic
    without = spearmanr(alone.mean.mean(axis=1), truth.mean(axis=1)).statistic
    assert with_them > max(0.95, without + 0.05)
    assert np.abs(told.mean - truth).mean() < 0.05
    assert (np.abs(told.mean - truth) <= 1.645 * told.total_sd).mean() > 0.8


def test_the_small_scale_is_still_predicted():
    W, Y, at, _, _ = two_scales()
    told = Correction().fit(W, Y, at, rng=generator()).predict(W[:60], np.array(SMALL))
    assert np.abs(told.mean - Y[:60]).mean() < 0.03


def test_without_a_scale_the_largest_is_meant():
    W, Y, at, new, _ = two_scales()
    fitted = Correction().fit(W, Y, at, rng=generator())
    np.testing.assert_array_equal(
        fitted.predict(new).mean, fitted.predict(new, np.array(LARGE)).mean
    )


def test_one_scale_is_the_base_law():
    W, Y, at, new, _ = two_scales()
    ours = Correction().fit(W[:60], Y[:60], at[:60], rng=generator()).predict(new)
    theirs = law("gp").fit(W[:60], Y[:60], rng=generator()).predict(new)
    np.testing.assert_allclose(ours.mean, theirs.mean)


def grid(seed=0, mixtures=24):
    """A joint law on a grid of sizes, and a larger model to predict."""
    rng = generator(seed)
    W = rng.dirichlet(np.ones(3), size=mixtures)
    scales = np.array([(n, 20 * n * x) for n in (1e7, 3e7, 1e8) for x in (1, 4)])
    by_n, by_d = np.array([0.4, 1.0, 1.8]), np.array([1.5, 0.7, 0.5])

    def loss(w, s):
        small = (s[:, 0] / 3e7) ** -0.3 * (w @ by_n) + (s[:, 1] / 1e9) ** -0.3 * (w @ by_d)
        return (1.5 + small)[:, None]

    at = np.tile(scales, (mixtures, 1))
    Wg = np.repeat(W, len(scales), axis=0)
    Y = loss(Wg, at) + 0.005 * rng.standard_normal((len(Wg), 1))
    new = rng.dirichlet(np.ones(3), size=40)
    target = np.tile([1e9, 2e10], (40, 1))
    return Wg, Y, at, new, target, loss(new, target)


@pytest.mark.parametrize("name", ["shukor-joint", "stacking"])
def test_a_larger_model_is_foreseen(name):
    W, Y, at, new, target, truth = grid()
    told = law(name).fit(W, Y, at, rng=generator()).predict(new, target)
    assert spearmanr(told.mean[:, 0], truth[:, 0]).statistic > 0.95
    assert np.abs(told.mean - truth).mean() < 0.15


def test_laws_without_a_scale_are_wrapped():
    W, Y, at, new, target, truth = grid()
    told = law_for("log-linear", at).fit(W, Y, at, rng=generator()).predict(new, target)
    assert spearmanr(told.mean[:, 0], truth[:, 0]).statistic > 0.8


def test_bad_scales_are_named():
    W, Y, at, _, _ = two_scales()
    for broken, words in (((0, -1.0), "above 0"), ((1, np.nan), "missing")):
        bad = at.copy()
        bad[3, broken[0]] = broken[1]
        with pytest.raises(InputError, match=words):
            Correction().fit(W, Y, bad, rng=generator())


def test_a_metric_that_does_not_follow_leaves_the_noise_of_the_other_alone() -> None:
    rng = np.random.default_rng(0)
    g = rng.standard_normal((24, 2))
    Y = np.vstack([g, np.column_stack([0.5 + 0.9 * g[:, 0], rng.standard_normal(24)])])
    at = np.repeat([0, 1], 24)
    predicted = Prediction(np.vstack([g, g]), np.zeros((48, 2)), np.zeros(2))
    maps = fit_affine(predicted, Y, at, source=0)
    assert maps.b[1, 0] == pytest.approx(0.9, abs=0.01)
    assert maps.noise[1, 0] < 0.05
    assert maps.noise[1, 1] > 0.5
