import json
from dataclasses import replace

import numpy as np
import pytest

from mixopt.laws import fitted_law, law
from mixopt.laws.base import Prediction, check_runs
from mixopt.laws.ensemble import Ensemble
from mixopt.laws.epoch_shape import Shape, epochs
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


# -- defaults: what the ensemble is when nobody sets anything --------------------------------------


def runs_of(n=30, m=4, noise=0.02):
    rng = generator(9)
    W = rng.dirichlet(np.ones(m), size=n)
    a = rng.uniform(-2, 0.5, size=(m, 1))
    return W, 1.0 + np.exp(W @ a) + noise * rng.standard_normal((n, 1))


def test_five_laws_are_weighed_by_default():
    """docs/log/ensemble-members.md: each of the five helps somewhere, six others nowhere."""
    W, Y = runs_of(20)
    named = [part["law"] for part in law("auto").fit(W, Y, rng=generator()).to_dict()["parts"]]
    assert len(named) == 5
    assert sorted(n.split("-")[0] for n in named) == ["bimix", "gp", "gp", "log", "shukor"]
    # The two processes differ in what they see: sqrt w and log w.
    told = [law(n).fit(W, Y, rng=generator()).predict(W).mean for n in ("gp", "gp-log")]
    parts = law("auto").fit(W, Y, rng=generator()).parts
    for mine, theirs in zip(parts[:2], told, strict=True):
        np.testing.assert_allclose(mine.predict(W).mean, theirs, rtol=1e-6)


def test_beyond_64_domains_formulas_with_many_parameters_are_left_out():
    """docs/log/law-speed.md: they cost minutes there and tell little."""
    rng = generator(2)
    for m, few in ((64, True), (65, False)):
        W = rng.dirichlet(np.ones(m), size=8)
        made = law("auto").fit(W, W[:, :1], rng=generator())
        names = {part.to_dict()["law"] for part in made.parts}
        assert ("shukor-additive" in names) is few
        assert ("bimix" in names) is few


def weights_of(errors_like, **settings):
    """Weights of two stand-in laws whose held-out errors are known."""
    W, Y = runs_of(60)
    laws = [_Off(sd) for sd in errors_like]
    return law("auto", laws=laws, **settings).fit(W, Y, rng=generator()).weights[:, 0]


class _Off:
    """A law that predicts the truth of `runs_of` and an error of its own."""

    takes_scales = False

    def __init__(self, sd):
        self.sd = sd

    def fit(self, W, Y, scale=None, *, rng):
        return self

    def predict(self, W, scale=None):
        rng = np.random.default_rng(int(1e6 * self.sd))
        a = generator(9)
        a.dirichlet(np.ones(4), size=60)
        truth = 1.0 + np.exp(W @ a.uniform(-2, 0.5, size=(4, 1)))
        mean = truth + self.sd * np.sin(40 * W @ rng.standard_normal((4, 1)))
        return Prediction(mean, np.full(mean.shape, 0.05), np.full(1, 0.02))

    def to_dict(self):
        return {}


def test_weights_are_drawn_to_equal_by_a_tenth_of_the_best_error_and_the_floor():
    """docs/log/ensemble-weights.md: a floor of (.1 sd)^2 keeps simpler laws in at no cost.

    Two laws of independent errors e and 3 e: least squares gives the better .9. The floor and the
    tenth draw that to what is pinned here; with neither, and with four times either, it is another.
    """
    _, Y = runs_of(60)
    sd = float(Y.std())
    default = weights_of((0.1 * sd, 0.3 * sd))[0]
    free = weights_of((0.1 * sd, 0.3 * sd), shrink=0.0, transfer=0.0)[0]
    tenth = weights_of((0.1 * sd, 0.3 * sd), shrink=0.1, transfer=0.1)[0]
    assert default == tenth
    assert default < free - 0.05
    for other in ({"shrink": 0.4}, {"shrink": 0.0}, {"transfer": 0.2}, {"transfer": 0.0}):
        assert abs(weights_of((0.1 * sd, 0.3 * sd), **other)[0] - default) > 0.005


def test_errors_below_the_floor_are_as_good_as_none():
    _, Y = runs_of(60)
    sd = float(Y.std())
    same = weights_of((0.005 * sd, 0.02 * sd))
    assert 0.4 < same[0] < 0.62
    apart = weights_of((0.05 * sd, 0.6 * sd))
    assert apart[0] > 0.9


class _Counting(_Off):
    """Counts how many runs it is fitted to, every time."""

    def __init__(self):
        super().__init__(0.05)
        self.sizes = []

    def fit(self, W, Y, scale=None, *, rng):
        self.sizes.append(len(W))
        return self


@pytest.mark.parametrize(("n", "sizes"), [(60, [48] * 5), (50, [40] * 5)])
def test_a_fifth_of_the_runs_is_held_out_at_a_time(n, sizes):
    W, Y = runs_of(n)
    counting = _Counting()
    law("auto", laws=[counting, _Off(0.1)]).fit(W, Y, rng=generator())
    assert counting.sizes == [n, *sizes]


def test_so_few_runs_that_none_can_be_held_out_weigh_all_laws_alike():
    W, Y = runs_of(3)
    made = law("auto", laws=["gp", "gp-log"]).fit(W[:2], Y[:2], rng=generator())
    np.testing.assert_allclose(made.weights, 0.5)
    np.testing.assert_allclose(made.factors, 1.0)


def test_every_metric_has_weights_of_its_own():
    W, Y = runs_of(60)
    both = np.hstack([Y, generator(3).standard_normal((60, 1))])
    made = law("auto").fit(W, both, rng=generator())
    np.testing.assert_allclose(made.weights.sum(axis=0), 1.0)
    assert np.abs(made.weights[:, 0] - made.weights[:, 1]).max() > 0.05
    parts = np.stack([p.predict(W).mean for p in made.parts])
    expected = (made.weights[:, None, :] * parts).sum(axis=0)
    np.testing.assert_allclose(made.predict(W).mean, expected)
    np.testing.assert_allclose(made.mean(W), expected)


def test_factors_scale_intervals_and_noise():
    W, Y = runs_of(40)
    made = law("auto").fit(W, Y, rng=generator())
    wider = replace(made, factors=2 * made.factors)
    np.testing.assert_allclose(wider.predict(W).sd, 2 * made.predict(W).sd)
    np.testing.assert_allclose(wider.predict(W).noise, 2 * made.predict(W).noise)


def test_thirty_runs_of_belief_hold_intervals_back():
    """Of n held-out runs the measured factor counts n / (n + 30), and stays within .5 and 4."""
    truth = np.ones((30, 1))
    told = Prediction(np.zeros((30, 1)), np.full((30, 1), 0.5), np.zeros(1))
    exact = (1 / 0.5) / 1.645
    assert sd_factors(truth, told)[0] == pytest.approx(exact**0.5)
    assert sd_factors(truth[:4], Prediction(told.mean[:4], told.sd[:4], told.noise))[0] == 1.0
    huge = np.full((3000, 1), 1e3)
    wide = Prediction(np.zeros((3000, 1)), np.full((3000, 1), 0.5), np.zeros(1))
    assert sd_factors(huge, wide)[0] == 4.0
    assert sd_factors(huge * 1e-9, wide)[0] == 0.5


def scarce(repeats: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(60, 4) mixtures, two metrics that know epochs alone, and the domains' sizes."""
    rng = np.random.default_rng(seed)
    sizes = np.array([1.0 / repeats, 0.2, 0.6, 1.0])
    W = rng.dirichlet(np.full(4, 0.7), 60)
    X = Shape(1.0, 0.7).columns(epochs(W, sizes, 1.0))
    Y = 0.9 + np.exp(X @ np.array([[0.6] * 4 + [0.2] * 4, [0.9] * 4 + [0.1] * 4]).T)
    return W, Y + 0.01 * Y.std(axis=0) * rng.standard_normal(Y.shape), sizes


def test_the_law_of_epochs_stands_beside_the_others_where_held_out_runs_say_so() -> None:
    W, Y, sizes = scarce(50.0)
    fits = [
        made.fit(W[:40], Y[:40], rng=np.random.default_rng(0))
        for made in (Ensemble(), Ensemble().sized(sizes, 1.0))
    ]
    assert "epochs" not in fits[0].members
    assert fits[1].members["epochs"].min() > 0.2
    errors = [np.abs(f.predict(W[40:]).mean - Y[40:]).mean() for f in fits]
    assert errors[1] < 0.8 * errors[0]
    again = fitted_law(json.loads(json.dumps(fits[1].to_dict())))
    np.testing.assert_allclose(again.predict(W).mean, fits[1].predict(W).mean)


def test_where_sizes_mean_nothing_or_are_not_known_nothing_changes() -> None:
    W, _, sizes = scarce(50.0)
    Y = 2.0 + 3.0 * ((W - 0.25) ** 2).sum(axis=1, keepdims=True)
    plain = Ensemble().fit(W, Y, rng=np.random.default_rng(0)).predict(W)
    unknown = np.array([np.nan, *sizes[1:]])
    for told, budget in ((sizes, 1.0), (sizes, None), (unknown, 1.0)):
        fitted = Ensemble().sized(told, budget).fit(W, Y, rng=np.random.default_rng(0))
        assert "epochs" not in fitted.members
        np.testing.assert_array_equal(fitted.predict(W).mean, plain.mean)
        np.testing.assert_array_equal(fitted.predict(W).sd, plain.sd)
