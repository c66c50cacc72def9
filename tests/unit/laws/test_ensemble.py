import numpy as np

from mixopt.laws import law
from mixopt.laws.base import Prediction, check_runs
from mixopt.laws.ensemble import Ensemble
from mixopt.laws.folds import group_folds
from mixopt.laws.held_out import refit_folds, sd_factors, stacking_weights


def generator(seed=0):
    return np.random.default_rng(seed)


def test_replicates_are_never_split_between_folds():
    groups = np.repeat(np.arange(20), 3)
    fold = group_folds(groups, 4, generator())
    for g in range(20):
        assert len(set(fold[groups == g])) == 1
    assert np.bincount(fold).tolist() == [15, 15, 15, 15]


def test_a_law_that_memorises_is_not_believed():
    """Pure noise with replicates: held-out predictions must not know the run's own value."""
    rng = generator(5)
    W = np.repeat(rng.dirichlet(np.ones(3), size=15), 2, axis=0)
    Y = np.repeat(rng.standard_normal((15, 1)), 2, axis=0)
    found = refit_folds(law("gp"), check_runs(W, Y), folds=5, rng=rng)
    assert np.corrcoef(found.mean[:, 0], Y[:, 0])[0, 1] < 0.4


def test_stacking_drops_poor_laws_and_shares_between_equals():
    rng = generator(6)
    good = rng.standard_normal((2, 200, 1)) * 0.1
    errors = np.concatenate([good, rng.standard_normal((1, 200, 1)) * 3.0])
    weights = stacking_weights(errors, 0.1, np.zeros(1))[:, 0]
    assert weights[2] < 0.02
    assert abs(weights[0] - weights[1]) < 0.2
    np.testing.assert_allclose(weights.sum(), 1.0)


def test_a_floor_keeps_the_simpler_law_in():
    rng = generator(7)
    errors = rng.standard_normal((2, 300, 1)) * np.array([0.02, 0.05])[:, None, None]
    sharp = stacking_weights(errors, 0.0, np.zeros(1))[1, 0]
    calm = stacking_weights(errors, 0.0, np.full(1, 0.01))[1, 0]
    assert sharp < 0.2
    assert calm > 0.4


def test_intervals_are_scaled_to_what_was_held_out():
    rng = generator(8)
    truth = rng.standard_normal((300, 1))
    told = Prediction(np.zeros((300, 1)), np.full((300, 1), 0.3), np.full(1, 0.4))
    factor = sd_factors(truth, told)[0]
    assert 1.7 < factor < 2.2  # total sd .5 where 1 is right


def test_auto_is_close_to_its_best_law_and_covers():
    rng = generator(9)
    W = rng.dirichlet(np.ones(4), size=120)
    a = rng.uniform(-2, 0.5, size=(4, 2))
    Y = 1.0 + np.exp(W @ a) + 0.02 * rng.standard_normal((120, 2))
    told = Ensemble(folds=3).fit(W[:60], Y[:60], rng=generator()).predict(W[60:])
    error = np.sqrt(((told.mean - Y[60:]) ** 2).mean(axis=0))
    assert (error < 0.035).all()
    assert 0.8 <= (np.abs(told.mean - Y[60:]) <= 1.645 * told.total_sd).mean() <= 1.0
