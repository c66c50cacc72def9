"""The epoch-coordinate law: golden numbers, known optimum, amplitudes recovered, sizes needed."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mixopt import InputError, MixtureSpace, RunSpec, Scale, Study
from mixopt.laws import law, law_for
from mixopt.laws.base import check_runs
from mixopt.laws.epoch_shape import Folds, Shape, _floor, amplitudes, epochs
from mixopt.laws.epochs import Epochs
from mixopt.laws.folds import group_folds
from mixopt.laws.standard import Standard

SIZES = np.array([0.03, 0.2, 0.6])


def world(rows: int, seed: int = 0, noise: float = 0.0):
    """(rows, 3) mixtures and (rows, 2) losses: benefit of all domains, harm of the small one."""
    rng = np.random.default_rng(seed)
    W = rng.dirichlet(np.ones(3), rows)
    true = np.array([[0.5, 1.0, 0.7, 0.25, 0.0, 0.0], [1.0, 0.2, 0.9, 0.15, 0.0, 0.0]]).T
    Y = 0.9 + np.exp(-0.5 + Shape(1.0, 0.7, 2.0).columns(epochs(W, SIZES, 1.0)) @ true)
    return W, Y + noise * Y.std(axis=0) * rng.standard_normal(Y.shape)


def error(made, W, Y, train: int) -> np.ndarray:
    """(2,) held-out rmse, as a share of a metric's sd."""
    fitted = made.fit(W[:train], Y[:train], rng=np.random.default_rng(0))
    gap = fitted.predict(W[train:]).mean - Y[train:]
    return np.sqrt((gap**2).mean(axis=0)) / Y.std(axis=0)


def test_golden_values():
    shape, E = Shape(0.5, 0.7, 2.0), np.array([0.1, 1, 4, 16])
    assert shape.benefit(E) == pytest.approx([0.115580, 0.459668, 0.802991, 0.986255], abs=1e-6)
    assert shape.harm(E) == pytest.approx([0.019259, 0.057382, 0.267096, 1.425957], abs=1e-6)
    eta = -1 + shape.columns(np.array([[2.0, 8.0]])) @ [1, 0.5, 0.1, 0.1]
    assert eta[0] == pytest.approx(-2.021334, abs=1e-6)
    assert 0.9 + np.exp(eta[0]) == pytest.approx(1.032479, abs=1e-6)


def test_the_known_optimum():
    shape, N = Shape(1.0, 1.0), np.array([0.2, 0.4, 0.8])
    best = minimize(
        lambda w: -shape.benefit(epochs(w, N, 1.0)).sum(),
        np.full(3, 1 / 3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    assert best.x == pytest.approx([0.340899, 0.404540, 0.254561], abs=1e-4)
    assert -best.fun == pytest.approx(1.726952, abs=1e-6)


def test_amplitudes_of_a_noiseless_world_are_recovered():
    rng = np.random.default_rng(0)
    E = epochs(rng.dirichlet(np.ones(2), 40), [0.05, 0.5], 1.0)
    X, true = Shape().columns(E), np.array([1.0, 0.5, 0.1, 0.0])
    c, fitted = amplitudes(X, 0.9 + np.exp(-1 + X @ true), floor=0.9)
    assert c == pytest.approx(-1, abs=1e-6)
    assert fitted == pytest.approx(true, abs=1e-6)


@pytest.mark.parametrize(
    ("sizes", "budget", "rule"),
    [([1.0], 1.0, "1 sizes"), ([1.0, np.nan], 1.0, "domain 1 is nan"), ([1, 1], 0.0, "budget")],
)
def test_without_sizes_or_budget_it_says_what_to_give(sizes, budget, rule):
    with pytest.raises(InputError, match=rule):
        epochs([[0.5, 0.5]], sizes, budget)


def test_a_world_of_epochs_is_learned_far_better_than_by_shares():
    W, Y = world(100)
    told = Epochs(SIZES, 1.0)
    ours = error(told, W, Y, 40)
    assert (ours < 0.1).all(), ours
    # Which domain is small matters: the same sizes in another order do not do.
    assert (error(Epochs(SIZES[::-1], 1.0), W, Y, 40) > 2.0 * ours).all()
    assert (error(law("log-linear"), W, Y, 40) > 2.0 * ours).all()


def test_upside_down_it_is_the_same_law_and_says_which_way_is_up():
    W, Y = world(60)
    at = world(20, seed=1)[0]
    fitted = [Epochs(SIZES, 1.0).fit(W, sign * Y, rng=np.random.default_rng(0)) for sign in (1, -1)]
    assert [f.signs.tolist() for f in fitted] == [[1, 1], [-1, -1]]
    np.testing.assert_allclose(fitted[0].mean(at), -fitted[1].mean(at), rtol=1e-9)


def test_new_runs_lie_in_the_intervals():
    W, Y = world(400, noise=0.2)
    told = Epochs(SIZES, 1.0).fit(W[:100], Y[:100], rng=np.random.default_rng(0)).predict(W[100:])
    inside = np.abs(told.mean - Y[100:]) <= 1.645 * told.total_sd
    assert 0.84 < inside.mean() < 0.96
    assert told.noise == pytest.approx(0.2 * Y.std(axis=0), rel=0.2)


def test_the_floor_is_measured_from_the_proportional_mixture():
    y, natural = np.array([0.0, 1.0, 3.0, 5.0]), np.array([False, True, True, False])
    assert _floor(y, natural, 2.5) == pytest.approx(2 - 2.5 * 2)  # 2.5 times what is gained on it
    assert _floor(y, natural, 1.5) == pytest.approx(2 - 3 * np.sqrt(2))  # its noise is more
    assert _floor(y, np.zeros(4, bool), 2.0) == pytest.approx(2.25 - 2 * 2.25)  # from the mean
    best = np.array([True, False, False, False])
    assert _floor(y, best, 2.5) < y.min()


def test_replicates_are_held_out_together_and_the_proportional_mixture_never():
    W = np.repeat(np.vstack([world(6)[0], SIZES / SIZES.sum()]), 2, axis=0)
    runs = check_runs(W, np.arange(14.0))
    fold = group_folds(runs.groups, 3, np.random.default_rng(0))
    splits = list(Folds.of(runs, Standard.learn(runs.Y), SIZES, fold)._splits(0))
    assert len(splits) == 3
    for rest, out in splits:
        assert rest[-2:].all()
        assert (rest ^ out).all()
        assert not set(runs.groups[rest]) & set(runs.groups[out])


@pytest.mark.parametrize(
    ("given", "rule"),
    [({}, "no unique tokens"), ({"tokens": SIZES}, "no budget"), ({"budget": 1.0}, "tokens=")],
)
def test_bare_it_can_be_named_and_a_fit_says_what_it_lacks(given, rule):
    W, Y = world(20)
    with pytest.raises(InputError, match=rule):
        law("epochs", **given).fit(W, Y, rng=np.random.default_rng(0))


def test_a_space_tells_laws_that_count_epochs_its_sizes():
    space = MixtureSpace(dict(zip("abc", SIZES.tolist(), strict=True)), budget=1.0)
    sized = law_for("epochs", None, space)
    assert (sized.tokens, sized.budget) == (tuple(SIZES), 1.0)
    own = law_for(law("epochs", tokens=(1.0, 1.0, 1.0), budget=9.0), None, space)
    assert (own.tokens, own.budget) == ((1.0, 1.0, 1.0), 9.0)
    repeated = law_for("repeated", None, space)
    assert (repeated.tokens, repeated.budget) == (tuple(SIZES), 1.0)
    # Without a budget nothing is known to be repeated; without tokens nothing is told.
    open_ended = MixtureSpace(dict(zip("abc", SIZES.tolist(), strict=True)))
    assert law_for("repeated", None, open_ended) == law("repeated")
    assert law_for("epochs", None, MixtureSpace(["a", "b", "c"], budget=1.0)).tokens is None


def test_a_study_of_a_space_with_a_budget_fits_it_by_name():
    space = MixtureSpace(dict(zip("abc", SIZES.tolist(), strict=True)), budget=1.0)
    study = Study(space, minimize="loss", law="epochs")
    W, Y = world(40)
    for w, y in zip(W, Y[:, 0], strict=True):
        study.tell(RunSpec(space.mixture(w), Scale(1_000_000, 1_000_000)), {"loss": float(y)})
    at = world(20, seed=1)
    np.testing.assert_allclose(study.fit().predict(at[0]).mean[:, 0], at[1][:, 0], atol=0.05)


def test_a_refit_to_the_same_runs_is_the_fit_and_keeps_the_shape():
    rng = np.random.default_rng(0)
    W, sizes = rng.dirichlet(np.ones(3), 30), np.array([0.05, 0.4, 1.0])
    X = Shape(1.0, 0.7).columns(epochs(W, sizes, 1.0))
    Y = (0.9 + np.exp(X @ np.array([0.6] * 3 + [0.2] * 3)))[:, None]
    law = Epochs(tuple(sizes), 1.0)
    fitted = law.fit(W, Y, rng=np.random.default_rng(0))
    again = law.refit(fitted, W, Y, rng=np.random.default_rng(1))
    np.testing.assert_allclose(again.predict(W).mean, fitted.predict(W).mean, atol=1e-9)
    np.testing.assert_allclose(again.predict(W).sd, fitted.predict(W).sd, rtol=1e-6)
    part = law.refit(fitted, W[:20], Y[:20], rng=np.random.default_rng(1))
    assert part.shape == fitted.shape
    assert np.abs(part.predict(W[20:]).mean - Y[20:]).max() < 0.2 * Y.std()
