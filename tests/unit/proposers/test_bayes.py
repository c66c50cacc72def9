"""Acquisitions against closed forms and known answers; batches, guards, the worst of metrics."""

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace, Objective, laws
from mixopt.laws.base import joint_of
from mixopt.laws.processes.cokriging import CoKriging, FittedCoKriging
from mixopt.laws.processes.scale_runs import ScaleRuns
from mixopt.proposers import Surrogate
from mixopt.proposers.bayes import (
    ACQUISITIONS,
    Acquisition,
    _View,
    choose,
    information,
    knowledge_gradient,
    lowest_values,
    propose,
)
from mixopt.runs.objective import Guard
from mixopt.space.simplex import Array
from mixopt.testing.worlds import make_world

WORLD = make_world(5, 3)
RNG = np.random.default_rng(0)
RUNS = RNG.dirichlet(np.ones(5), size=25)


def surrogate(objective: Objective | None = None, space: MixtureSpace | None = None) -> Surrogate:
    fitted = laws.law("gp").fit(RUNS, WORLD.truth(RUNS), rng=np.random.default_rng(0))
    return Surrogate.of(fitted, objective or WORLD.objective, WORLD.metrics, space or WORLD.space)


def test_the_joint_posterior_agrees_with_the_law_and_is_one_for_the_same_point() -> None:
    look = surrogate()
    X = RNG.dirichlet(np.ones(5), size=6)
    covs = look.joint(X, X)
    np.testing.assert_allclose(
        np.sqrt(covs.diagonal(axis1=1, axis2=2)).T, look.predict(X).sd, rtol=1e-5, atol=1e-8
    )
    assert np.linalg.eigvalsh(covs).min() > -1e-9


def test_a_law_without_a_joint_posterior_is_refused() -> None:
    fitted = laws.law("log-linear").fit(RUNS, WORLD.truth(RUNS), rng=RNG)
    with pytest.raises(InputError, match="gives no joint posterior; use the law 'gp'"):
        joint_of(fitted, RUNS, RUNS)


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_every_acquisition_prefers_the_optimum_to_random_mixtures(
    acquisition: Acquisition,
) -> None:
    X = np.vstack([RNG.dirichlet(np.ones(5), size=60), WORLD.optimum])
    picked = choose(
        surrogate(), X, 6, runs=RUNS, rng=np.random.default_rng(1), acquisition=acquisition
    )
    assert len(set(picked)) == 6
    truth = WORLD.value(X)
    assert truth[picked].min() <= np.quantile(truth, 0.05)


def test_an_unknown_acquisition_is_refused() -> None:
    with pytest.raises(InputError, match="unknown acquisition 'ei'"):
        choose(surrogate(), RUNS, 1, runs=RUNS, rng=RNG, acquisition="ei")  # type: ignore[arg-type]


def test_a_batch_spreads_out_and_keeps_away_from_what_is_pending() -> None:
    pending = propose(surrogate(), WORLD.space, 1, runs=RUNS, rng=np.random.default_rng(2))
    batch = propose(
        surrogate(), WORLD.space, 4, runs=RUNS, rng=np.random.default_rng(2), pending=pending
    )
    both = np.sqrt(np.vstack([pending, batch]))
    apart = np.sqrt(((both[:, None] - both[None]) ** 2).sum(-1) / 2)
    assert apart[np.triu_indices(5, 1)].min() >= 0.02 - 1e-9


def test_proposals_repeat_and_keep_the_constraints() -> None:
    space = MixtureSpace(WORLD.space.names, bounds={"d0": (0.3, 1.0), "d1": (0.0, 0.1)})
    look = surrogate(space=space)
    one, two = (propose(look, space, 3, runs=RUNS, rng=np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert space.contains(one, 1e-7).all()


def test_sequential_proposals_close_in_on_the_known_optimum() -> None:
    W = RUNS[:10]
    for step in range(8):
        rng = np.random.default_rng(step)
        fitted = laws.law("gp").fit(W, WORLD.truth(W), rng=rng)
        look = Surrogate.of(fitted, WORLD.objective, WORLD.metrics, WORLD.space)
        W = np.vstack([W, propose(look, WORLD.space, 2, runs=W, rng=rng)])
    assert (WORLD.value(W).min() - WORLD.best) / WORLD.spread < 0.05


@pytest.mark.parametrize(
    "objective",
    [
        Objective({m: 1.0 for m in WORLD.metrics}, reduce="worst"),
        Objective(dict(WORLD.objective.weights), guards=(Guard(WORLD.metrics[0], 0.01),)),
    ],
    ids=["worst", "guard"],
)
def test_objectives_that_are_no_weighted_mean_are_sampled(objective: Objective) -> None:
    look = surrogate(objective)
    batch = propose(look, WORLD.space, 2, runs=RUNS, rng=np.random.default_rng(0))
    if objective.guards:
        limit = look.limits[WORLD.metrics[0]]
        assert (WORLD.truth(batch)[:, 0] <= limit * 1.02).all()
    else:
        truth = objective.value(WORLD.truth(np.vstack([batch, RUNS])), WORLD.metrics)
        assert truth[:2].min() <= np.quantile(truth[2:], 0.1)


def test_the_knowledge_gradient_is_that_of_two_alternatives() -> None:
    # Frazier et al. 2009: with means 0 and 0 and one of them moved by s, KG = s / sqrt(2 pi).
    found = knowledge_gradient(np.zeros(2), np.array([[1.0, 0.0]]), np.array([1.0]))
    assert float(np.exp(found[0])) == pytest.approx(1 / np.sqrt(2 * np.pi), rel=0.03)


def test_information_falls_with_correlation_and_distance_from_the_optimum() -> None:
    mean, sd, lowest = np.array([0.0, 2.0]), np.ones(2), np.array([-1.0, -0.5])
    near, far = information(mean, sd, lowest, np.array([1.0, 1.0]))
    assert near > far
    assert information(mean, sd, lowest, np.array([0.3, 1.0]))[0] < near


def test_the_lowest_of_normals_has_the_right_median() -> None:
    rng = np.random.default_rng(0)
    mean, sd = rng.normal(size=30), np.full(30, 0.5)
    truth = (mean + sd * rng.standard_normal((4000, 30))).min(axis=1)
    assert abs(np.median(lowest_values(mean, sd)) - np.median(truth)) < 0.1


def over_scales(runs: list[tuple[Array, Array]]) -> FittedCoKriging:
    given = [ScaleRuns(W, Y, (10.0**i, 1e3)) for i, (W, Y) in enumerate(runs)]
    return CoKriging().fit_scales(given, rng=np.random.default_rng(0))


def scales(kind: str, low: int, high: int) -> tuple[list[tuple[Array, Array]], Array]:
    world = make_world(5, 3, kind=kind, seed=2)
    rng = np.random.default_rng(0)
    W, V = rng.dirichlet(np.ones(5), size=low), rng.dirichlet(np.ones(5), size=high)
    test = rng.dirichlet(np.ones(5), size=80)
    runs = [(W, world.truth(W, world.scales[0])), (V, world.truth(V))]
    return runs, np.column_stack([test, world.value(test)])


def correlation(runs: list[tuple[Array, Array]], test: Array, kind: str) -> float:
    world = make_world(5, 3, kind=kind, seed=2)
    model = over_scales(runs)
    predicted = world.objective.value(model.predict(test[:, :-1]).mean, world.metrics)
    return float(np.corrcoef(predicted, test[:, -1])[0, 1])


def test_a_proxy_that_follows_helps_and_one_that_misleads_is_let_go() -> None:
    runs, test = scales("two-scales", 60, 5)
    alone = correlation([runs[1]], test, "two-scales")
    assert correlation(runs, test, "two-scales") > max(alone, 0.9)
    runs, test = scales("misleading", 60, 14)
    model = over_scales(runs)
    assert np.abs(model.slopes()).mean() < 0.5
    alone = correlation([runs[1]], test, "misleading")
    assert correlation(runs, test, "misleading") > alone - 0.15


def test_the_target_may_have_no_runs_yet() -> None:
    runs, test = scales("two-scales", 60, 2)
    empty = (np.empty((0, 5)), np.empty((0, 3)))
    model = over_scales([runs[0], empty])
    np.testing.assert_allclose(model.slopes(), 1.0)
    X = test[:4, :-1]
    seen = model.predict(X)
    base = model.base.predict(X)
    np.testing.assert_allclose(seen.mean, base.mean)
    assert (seen.sd > base.sd).all()
    both = model.joint(X, X, scale_B=np.array([1.0, 1e3]))
    np.testing.assert_allclose(both, model.base.joint(X, X), atol=1e-10)


def test_the_surrogate_asks_at_its_own_scale() -> None:
    runs, test = scales("two-scales", 20, 4)
    X, names = test[:3, :-1], WORLD.metrics
    model = over_scales(runs)
    for scale in ((1.0, 1e3), (10.0, 1e3)):
        look = Surrogate.of(model, WORLD.objective, names, WORLD.space, scale)
        np.testing.assert_allclose(
            look.joint(X, X).diagonal(axis1=1, axis2=2).T, look.predict(X).sd ** 2, rtol=1e-4
        )


def test_the_default_mixes_three_improvements_with_one_draw() -> None:
    """Turn by turn the scores are those of noisy improvement; every fourth is a Thompson draw."""
    look, X = surrogate(), RNG.dirichlet(np.ones(5), size=20)
    view = _View.of(look, X, RUNS, None, np.random.default_rng(2))
    improvement = view.score("nei", 0)
    for turn in range(8):
        mixed = view.score("mixed", turn)
        if turn % 4 == 3:
            np.testing.assert_array_equal(mixed, view.score("ts", turn))
            assert np.abs(mixed - improvement).max() > 1e-6
        else:
            np.testing.assert_array_equal(mixed, improvement)


def test_a_run_taken_is_not_chosen_again_nor_are_its_neighbours() -> None:
    X = RNG.dirichlet(np.ones(5), size=20)
    X[7] = 0.9999 * X[3] + 0.0001 * X[7]
    view = _View.of(surrogate(), X, RUNS, X[[11]], np.random.default_rng(2))
    assert not view.free[11]  # under way
    free = view.free.copy()
    view.take(3)
    assert view.taken.tolist() == [i == 3 for i in range(20)]
    assert not view.free[[3, 7]].any()
    assert (view.free <= free).all()
    assert view.references[-1] == 3
