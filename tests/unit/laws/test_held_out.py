"""Runs that a law was not shown: folds, weights, refusals."""

import numpy as np
import pytest

from mixopt import InputError
from mixopt.laws import law
from mixopt.laws.base import Prediction, check_runs
from mixopt.laws.folds import group_folds
from mixopt.laws.held_out import CLOSED_FORM, held_out, refit_folds, sd_factors, stacking_weights
from mixopt.laws.processes.gp import SHARED


def generator(seed=0):
    return np.random.default_rng(seed)


class Remembering:
    """Predicts 1 for mixtures that it was fitted to, 0 for others."""

    takes_scales = False

    def fit(self, W, Y, scale=None, *, rng):
        self.known = {tuple(w) for w in W}
        self.metrics = Y.shape[1]
        return self

    def predict(self, W, scale=None):
        seen = np.array([[float(tuple(w) in self.known)] * self.metrics for w in W])
        return Prediction(seen, np.ones_like(seen), np.ones(self.metrics))


def test_no_run_is_predicted_by_a_law_that_knows_its_mixture():
    W = np.repeat(generator(1).dirichlet(np.ones(3), size=12), 2, axis=0)
    Y = generator(2).standard_normal((24, 2))
    told = refit_folds(Remembering(), check_runs(W, Y), folds=4, rng=generator())
    assert (told.mean == 0).all()


def test_a_metric_that_the_rest_lacks_is_not_predicted_and_does_not_stop_the_others():
    W = generator(1).dirichlet(np.ones(3), size=12)
    Y = generator(2).standard_normal((12, 2))
    Y[1:, 1] = np.nan
    told = refit_folds(Remembering(), check_runs(W, Y), folds=12, rng=generator())
    assert np.isfinite(told.mean[:, 0]).all()
    assert np.isnan(told.mean[0, 1])
    assert np.isfinite(told.mean[1:, 1]).all()


@pytest.mark.parametrize(("n", "m", "closed"), [(201, 3, True), (200, 3, False)])
def test_closed_forms_are_believed_from_200_runs(n, m, closed):
    """docs/log/ensemble-weights.md: at few runs closed-form leave-one-out is too kind."""
    assert CLOSED_FORM == 200
    W = generator(1).dirichlet(np.ones(m), size=n)
    Y = np.exp(-W[:, [0]])
    fitted = law("linear").fit(W, Y, rng=generator())
    told = held_out(Remembering(), fitted, check_runs(W, Y), folds=2, rng=generator())
    assert bool((told.mean != 0).any()) is closed


def test_stacking_is_least_squares_on_the_simplex():
    errors = np.array([[[3.0], [-1.0]], [[-1.0], [3.0]], [[9.0], [9.0]]])
    weights = stacking_weights(errors, 0.0, np.zeros(1))[:, 0]
    np.testing.assert_allclose(weights, [0.5, 0.5, 0.0], atol=1e-3)


def test_metrics_without_a_held_out_run_share_the_weight():
    errors = np.full((2, 5, 2), np.nan)
    errors[:, :, 0] = np.array([[0.1], [1.0]]) * np.ones((2, 5))
    weights = stacking_weights(errors, 0.0, np.zeros(2))
    np.testing.assert_allclose(weights[:, 1], 0.5)
    assert weights[0, 0] > 0.95


def test_a_perfect_law_does_not_divide_by_zero():
    errors = np.zeros((2, 5, 1))
    errors[1] = 1.0
    np.testing.assert_allclose(stacking_weights(errors, 0.1, np.zeros(1)).sum(axis=0), 1.0)
    told = Prediction(np.zeros((6, 1)), np.zeros((6, 1)), np.zeros(1))
    assert sd_factors(np.zeros((6, 1)), told)[0] == 1.0


@pytest.mark.parametrize("folds", [2, 3, 5, 100])
def test_folds_are_even_and_never_more_than_groups(folds):
    groups = np.repeat(np.arange(11), 2)
    fold = group_folds(groups, folds, generator())
    counts = np.bincount(fold) // 2
    assert len(counts) == min(folds, 11)
    assert counts.max() - counts.min() <= 1
    assert (fold[::2] == fold[1::2]).all()


def test_too_few_runs_to_hold_any_out_are_refused():
    W = generator(1).dirichlet(np.ones(3), size=2)
    with pytest.raises(InputError):
        refit_folds(law("gp"), check_runs(W, W[:, :1]), folds=2, rng=generator())


def test_laws_of_many_metrics_are_weighed_by_all_of_them():
    """Ten held-out runs of one metric are noise; the same law is best in forty metrics."""
    rng = generator(3)
    errors = rng.standard_normal((2, 10, 40)) * np.array([1.0, 1.4])[:, None, None]
    alone = stacking_weights(errors, 0.0, np.zeros(40), pool=0.0)
    together = stacking_weights(errors, 0.0, np.zeros(40))
    best = 1.4**2 / (1.0 + 1.4**2)  # the weight of least squared error
    assert np.abs(together[0] - best).mean() < 0.5 * np.abs(alone[0] - best).mean()


def test_a_metric_with_many_runs_keeps_weights_of_its_own():
    rng = generator(4)
    errors = rng.standard_normal((2, 2000, 20)) * np.array([0.5, 2.0])[:, None, None]
    errors[:, :, 7] = errors[::-1, :, 7]
    weights = stacking_weights(errors, 0.0, np.zeros(20))
    assert weights[0, 0] > 0.85
    assert weights[1, 7] > 0.85


@pytest.mark.parametrize("name", ["gp", "shukor-additive", "bimix"])
def test_a_refit_is_a_quick_fit_that_forgets_the_runs_left_out(name):
    W = generator(5).dirichlet(np.ones(4), size=40)
    Y = np.exp(-2.0 * np.sqrt(W[:, :2])) + 0.02 * generator(6).standard_normal((40, 2))
    made = law(name)
    whole = made.fit(W, Y, rng=generator())
    fitted = made.fit(W[:30], Y[:30], rng=generator()).predict(W[30:])
    refitted = made.refit(whole, W[:30], Y[:30], rng=generator()).predict(W[30:])
    np.testing.assert_allclose(refitted.mean, fitted.mean, atol=0.15 * Y.std())
    moved = Y[:30] + 5.0
    told = made.refit(whole, W[:30], moved, rng=generator()).predict(W[30:])
    np.testing.assert_allclose(told.mean, refitted.mean + 5.0, atol=0.02 * Y.std())


def test_a_process_of_many_metrics_starts_from_what_they_share():
    W = generator(7).dirichlet(np.ones(4), size=40)
    slopes = generator(8).uniform(0.5, 2.0, size=(4, SHARED))
    Y = np.exp(-np.sqrt(W) @ slopes)
    together = law("gp").fit(W, Y, rng=generator())
    alone = law("gp").fit(W, Y[:, :1], rng=generator())
    at = generator(9).dirichlet(np.ones(4), size=50)
    gap = together.predict(at).mean[:, 0] - alone.predict(at).mean[:, 0]
    assert np.abs(gap).max() < 0.05 * Y[:, 0].std()
