"""RegMix's regressor: constant in pieces, honest about what it was not shown."""

import numpy as np

from mixopt.laws import fitted_law, law


def generator(seed=0):
    return np.random.default_rng(seed)


def runs(n=80, m=3):
    W = generator(1).dirichlet(np.ones(m), size=n)
    step = 1.0 - 0.5 * (W[:, [0]] > 0.5)
    return W, np.hstack([step, W[:, [1]]])


def test_a_step_is_learned_as_a_step():
    W, Y = runs()
    made = law("lightgbm").fit(W, Y, rng=generator())
    low, high = np.array([[0.3, 0.4, 0.3]]), np.array([[0.8, 0.1, 0.1]])
    assert abs(made.predict(low).mean[0, 0] - 1.0) < 0.05
    assert abs(made.predict(high).mean[0, 0] - 0.5) < 0.05


def test_predictions_never_leave_the_range_of_the_runs():
    W, Y = runs()
    inside = W[:, 0] < 0.7
    made = law("lightgbm").fit(W[inside], Y[inside], rng=generator())
    told = made.predict(np.eye(3)).mean
    assert (told >= Y[inside].min(axis=0) - 1e-6).all()
    assert (told <= Y[inside].max(axis=0) + 1e-6).all()


def test_the_sd_is_the_error_on_runs_that_were_held_out():
    W, _ = runs()
    noise = generator(2).standard_normal((80, 1))
    told = law("lightgbm").fit(W, noise, rng=generator()).predict(W)
    assert 0.8 < np.sqrt(told.sd[0, 0] ** 2 + told.noise[0] ** 2) / noise.std() < 1.8


def test_leaves_adapt_to_few_runs():
    """A tenth of the runs, 2 to 20: with LightGBM's own 20, a dozen runs are one leaf."""
    W, Y = runs(12)
    told = law("lightgbm").fit(W, Y, rng=generator()).predict(W).mean
    assert np.corrcoef(told[:, 1], Y[:, 1])[0, 1] > 0.8
    coarse = law("lightgbm", min_data=20).fit(W, Y, rng=generator()).predict(W).mean
    assert np.ptp(coarse[:, 1]) < 1e-9


def test_metrics_do_not_know_each_other_and_missing_values_are_left_out():
    W, Y = runs()
    alone = law("lightgbm").fit(W, Y[:, [1]], rng=generator()).predict(W).mean[:, 0]
    holes = Y.copy()
    holes[::3, 0] = np.nan
    both = law("lightgbm").fit(W, holes, rng=generator()).predict(W).mean
    np.testing.assert_allclose(both[:, 1], alone, atol=1e-9)
    assert np.isfinite(both).all()


def test_the_same_seed_gives_the_same_trees_and_text_brings_them_back():
    W, Y = runs(40)
    one, two = (law("lightgbm").fit(W, Y, rng=generator(3)) for _ in range(2))
    np.testing.assert_array_equal(one.predict(W).mean, two.predict(W).mean)
    again = fitted_law(one.to_dict())
    np.testing.assert_allclose(again.predict(W).mean, one.predict(W).mean)
