"""Search, exact solve, recommendation and batches on problems whose optimum is known."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt import Group, Guard, InputError, MixtureSpace, Objective
from mixopt.designs import design
from mixopt.proposers import Surrogate, minimize, propose_batch, recommend, simulate
from mixopt.proposers.batch import log_expected_improvement
from mixopt.proposers.search import finite_differences
from mixopt.proposers.sensitivity import intervals
from mixopt.space.simplex import Array, hellinger_distance
from mixopt.testing.convex import LogLinearObjective, solve
from mixopt.testing.problems import (
    KnownOptimum,
    convex_objective,
    interacting,
    log_linear,
    sparse,
)

PROBLEMS = {"log-linear": log_linear(7), "sparse": sparse(17), "interacting": interacting(9)}
problems = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=list(PROBLEMS))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def surrogate(
    problem: KnownOptimum, space: MixtureSpace | None = None, **objective: object
) -> Surrogate:
    wanted = replace(problem.objective, **objective)
    return Surrogate.of(problem.truth, wanted, problem.metrics, space or problem.space)


@problems
def test_minimize_finds_the_known_optimum(problem: KnownOptimum) -> None:
    found = minimize(problem.value, problem.space, rng=rng())
    assert problem.regret(found[0]) < 1e-8
    np.testing.assert_allclose(found[0], problem.optimum, atol=2e-3)
    np.testing.assert_array_equal(found, minimize(problem.value, problem.space, rng=rng()))


@pytest.mark.parametrize("name", ["log-linear", "sparse"])
def test_the_exact_solve_proves_its_gap(name: str) -> None:
    problem = PROBLEMS[name]
    found = solve(convex_objective(problem), problem.space)
    assert found.gap < 1e-8
    assert -1e-12 <= found.value - problem.best <= found.gap
    np.testing.assert_allclose(found.w, problem.optimum, atol=1e-3)


def test_the_exact_solve_within_constraints_matches_the_search() -> None:
    problem = log_linear(12, seed=3)
    space = MixtureSpace(
        problem.space.names,
        {"d0": (0.05, 0.2)},
        groups=[Group("g", ("d1", "d2", "d3"), 0.0, 0.1), Group("h", ("d3", "d4"), 0.3, 0.3)],
    )
    objective = replace(convex_objective(problem), kl=0.05, prior=space.prior)
    found = solve(objective, space)
    assert space.contains(found.w, 1e-8).all()
    searched = minimize(objective.value, space, rng=rng(), gradient=objective.gradient)[0]
    assert abs(objective.value(searched[None])[0] - found.value) < 1e-7
    one = MixtureSpace(problem.space.names, {"d0": (1, 1)})
    assert solve(objective, one).w[0] == pytest.approx(1)


def test_gradients_agree() -> None:
    problem = log_linear(6)
    objective = replace(convex_objective(problem), kl=0.1, prior=np.full(6, 1 / 6))
    W = rng().dirichlet(np.full(6, 5.0), 5)
    exact = objective.gradient(W)
    along = exact - (exact * W).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(finite_differences(objective.value)(W), along, atol=1e-3)


def test_an_objective_that_is_not_convex_is_refused() -> None:
    with pytest.raises(InputError, match="not convex"):
        LogLinearObjective(np.array([-1.0]), np.zeros(1), np.zeros((1, 2)))


def test_simulation_averages_the_best() -> None:
    problem = log_linear(5)
    w = simulate(problem.value, problem.space, rng=rng(), candidates=20_000, strength=(1, 20))
    assert problem.regret(w) < 0.02
    capped = problem.space.replace(bounds={"d0": (0.0, 0.05)})
    assert capped.contains(simulate(problem.value, capped, rng=rng(), candidates=2000), 1e-8).all()


# -- recommendations -------------------------------------------------------------------------------


@problems
def test_a_law_that_knows_the_truth_recommends_the_optimum(problem: KnownOptimum) -> None:
    W = design("regmix", problem.space, 20, rng=rng())
    found = recommend(surrogate(problem), problem.space, W=W, rng=rng())
    assert problem.regret(found.mixture.array) < 1e-5
    assert found.value == pytest.approx(problem.best, abs=1e-5)
    assert found.gains["natural"].raw == pytest.approx(
        float(problem.value(problem.space.prior)[0]) - problem.best, abs=1e-5
    )
    again = recommend(surrogate(problem), problem.space, W=W, rng=rng())
    assert again.mixture == found.mixture


def test_intervals_hold_the_profile_within_the_noise() -> None:
    """Each end is allowed by the noise; the full profile is not much wider."""
    problem = log_linear(4, seed=2)
    room = 0.01
    found = intervals(problem.value, problem.space, problem.optimum, room)
    fine = design("lattice", problem.space, 10**6, rng=rng(), degree=47)
    near = fine[problem.value(fine) <= problem.best + room]
    for i, name in enumerate(problem.space.names):
        low, high = found[name]
        assert low <= problem.optimum[i] <= high
        width = near[:, i].max() - near[:, i].min()
        assert 0.6 * width < high - low < width + 2 / 47


def test_prices_are_what_loosening_gains() -> None:
    problem = log_linear(6, seed=5)
    top = int(problem.optimum.argmax())
    name = problem.space.names[top]
    cap = float(problem.optimum[top]) * 0.6
    values = []
    for extra in (0.0, 0.01):
        space = problem.space.replace(bounds={name: (0.0, cap + extra)})
        found = recommend(surrogate(problem, space), space, W=space.prior[None], rng=rng())
        values.append(found.value)
        if not extra:
            assert found.active[0].name == f"{name} <= {cap:.4g}"
            price = found.active[0].price
    assert price == pytest.approx((values[0] - values[1]) / 0.01, rel=0.15)
    free = recommend(surrogate(problem), problem.space, W=problem.space.prior[None], rng=rng())
    assert free.active == ()


def test_guards_are_kept_at_the_least_cost() -> None:
    problem = log_linear(6, seed=1)
    free = recommend(surrogate(problem), problem.space, W=problem.space.prior[None], rng=rng())
    natural = problem.truth.predict(problem.space.prior[None]).mean[0]
    optimum = problem.truth.predict(problem.optimum[None]).mean[0]
    hurt = int((optimum / natural).argmax())
    assert optimum[hurt] > natural[hurt]
    guard = Guard(problem.metrics[hurt], tolerance=0.0)
    guarded = surrogate(problem, guards=(guard,))
    found = recommend(guarded, problem.space, W=problem.space.prior[None], rng=rng())
    assert found.broken == ()
    assert found.metrics[guard.metric][0] <= natural[hurt] * 1.001
    assert found.metrics[guard.metric][0] >= natural[hurt] * 0.999, "no more than needed"
    assert free.value < found.value < problem.value(problem.space.prior)[0]
    assert any("guard on" in a.name for a in found.active)


def test_a_guard_that_nothing_keeps_is_reported() -> None:
    problem = log_linear(4)
    impossible = surrogate(problem, guards=(Guard(problem.metrics[0], tolerance=-0.99),))
    found = recommend(impossible, problem.space, W=problem.space.prior[None], rng=rng())
    assert len(found.broken) == 1
    assert "beyond its guard" in found.broken[0]
    with pytest.raises(InputError, match="names the baseline 'best'; known: natural"):
        surrogate(problem, guards=(Guard(problem.metrics[0], baseline="best"),))


def test_a_pull_to_the_prior_costs_little_and_is_scale_free() -> None:
    problem = sparse(8)
    W = problem.space.prior[None]
    plain, pulled, scaled = (
        recommend(surrogate(problem, **kl), problem.space, W=W, rng=rng()).mixture.array
        for kl in ({}, {"kl": 0.2}, {"kl": 0.2, "kl_unit": "sd"})
    )
    assert (plain > 0).sum() == 2
    assert (pulled > 0).all()
    assert (scaled > 0).sum() >= 2
    units = {name: 0.1 for name in problem.metrics}  # the same metrics, in a tenth of the unit
    absolute, relative = (
        recommend(surrogate(problem, scales=units, **kl), problem.space, W=W, rng=rng())
        for kl in ({"kl": 0.2}, {"kl": 0.2, "kl_unit": "sd"})
    )
    np.testing.assert_allclose(relative.mixture.array, scaled, atol=2e-3)
    assert np.abs(absolute.mixture.array - pulled).sum() > 0.05


def test_variants_epochs_and_shrunk_gains() -> None:
    problem = log_linear(8, seed=4)
    truth = replace(problem.truth, sd=0.05, noise=0.02)
    space = problem.space.replace(
        domains={n: 1e9 for n in problem.space.names}, budget=4e9, epochs=4
    )
    model = Surrogate.of(truth, problem.objective, problem.metrics, space)
    found = recommend(model, space, W=space.prior[None], rng=rng())
    assert found.sparse is not None
    assert found.dense is not None
    kept = found.sparse.array
    assert (kept[kept > 0] >= 0.005 - 2e-4).all()
    natural = space.natural.array
    assert np.abs(found.dense.array - natural).sum() < np.abs(found.mixture.array - natural).sum()
    assert problem.regret(found.dense.array) < problem.regret(found.mixture.array) + 0.02
    for name, share in found.mixture.to_dict().items():
        assert found.epochs[name] == pytest.approx(4 * share)
    gain = found.gains["natural"]
    assert 0 <= gain.shrunk < gain.raw
    assert gain.shrunk == pytest.approx(max(0, gain.raw - gain.sd**2 / gain.raw))


def test_min_weight_is_kept_by_recommendations() -> None:
    problem = log_linear(10, seed=6)
    space = problem.space.replace(min_weight=0.12)
    found = recommend(surrogate(problem, space), space, W=space.prior[None], rng=rng())
    w = found.mixture.array
    assert (w[w > 0] >= 0.12 - 1e-9).all()


def test_a_given_mixture_is_judged() -> None:
    problem = log_linear(4)
    w = problem.space.natural
    found = recommend(surrogate(problem), problem.space, W=w.array[None], rng=rng(), mixture=w)
    assert found.mixture == w
    assert found.gains["natural"].raw == pytest.approx(0)


# -- batches ---------------------------------------------------------------------------------------


def runs(problem: KnownOptimum, n: int = 30) -> Array:
    return design("regmix", problem.space, n, rng=rng(7))


def test_batches_begin_with_the_predicted_optimum_and_keep_apart() -> None:
    problem = log_linear(7, noise=0.01)
    model = Surrogate.of(
        replace(problem.truth, sd=0.02), problem.objective, problem.metrics, problem.space
    )
    W = runs(problem)
    batch = propose_batch(model, problem.space, 8, W=W, rng=rng())
    assert problem.regret(batch[0]) < 1e-4
    np.testing.assert_allclose(batch / 2e-4, np.round(batch / 2e-4), atol=1e-6)
    apart = hellinger_distance(batch, batch)[np.triu_indices(8, 1)]
    assert apart.min() >= 0.02 - 1e-9
    np.testing.assert_array_equal(batch, propose_batch(model, problem.space, 8, W=W, rng=rng()))
    others = propose_batch(model, problem.space, 8, W=W, rng=rng(1))
    assert not np.array_equal(batch, others)


def test_pending_runs_are_not_proposed_again() -> None:
    problem = log_linear(7, noise=0.01)
    model = Surrogate.of(
        replace(problem.truth, sd=0.02), problem.objective, problem.metrics, problem.space
    )
    first = propose_batch(model, problem.space, 6, W=runs(problem), rng=rng())
    second = propose_batch(model, problem.space, 6, W=runs(problem), rng=rng(), pending=first)
    assert hellinger_distance(second, first).min() >= 0.02 - 1e-9


def test_batches_honour_constraints() -> None:
    problem = log_linear(6)
    space = problem.space.replace(
        bounds={"d0": (0.1, 0.3)}, groups=[Group("g", ("d1", "d2"), 0.2, 0.25)]
    )
    W = design("regmix", space, 12, rng=rng())
    batch = propose_batch(surrogate(problem, space), space, 6, W=W, rng=rng())
    assert space.contains(batch, 1e-7).all()


def test_a_share_of_the_batch_explores() -> None:
    problem = log_linear(5, noise=0.001)
    model = Surrogate.of(
        replace(problem.truth, sd=0.01), problem.objective, problem.metrics, problem.space
    )
    greedy, bold = (
        propose_batch(model, problem.space, 4, W=runs(problem), rng=rng(), explore=e)
        for e in (0.0, 0.5)
    )
    assert problem.value(bold).mean() > problem.value(greedy).mean()
    with pytest.raises(InputError, match="ask for at least 1"):
        propose_batch(model, problem.space, 0, W=runs(problem), rng=rng())


def test_expected_improvement_golden_and_far_away() -> None:
    value = log_expected_improvement(np.array([0.5]), np.array([1.0]), 0.0)
    assert np.exp(value[0]) == pytest.approx(0.19780, abs=1e-5)
    means = np.array([0.0, 1.0, 10.0, 100.0, 1e4, 1e6])
    logs = log_expected_improvement(means, np.ones(6), 0.0)
    assert np.isfinite(logs).all()
    assert (np.diff(logs) < 0).all()


# -- objectives ------------------------------------------------------------------------------------


def test_worst_case_objectives_are_minimised_too() -> None:
    problem = log_linear(5, k=4)
    model = surrogate(problem, reduce="worst")
    found = recommend(model, problem.space, W=problem.space.prior[None], rng=rng())
    cloud = rng().dirichlet(np.ones(5), 30_000)
    worst = problem.truth.predict(cloud).mean.max(axis=1)
    assert found.value <= worst.min() + 1e-3


def test_objective_scaling_does_not_change_a_standardized_choice() -> None:
    problem = log_linear(5)
    W = runs(problem)
    Y = problem.run(W, 0.0, rng())
    unit = np.array([100.0, *np.ones(len(problem.metrics) - 1)])
    wanted = Objective.of(problem.metrics)
    z = wanted.standardized(Y, problem.metrics)
    bigger = wanted.standardized(Y * unit, problem.metrics)
    assert bigger.scales[problem.metrics[0]] == pytest.approx(100 * z.scales[problem.metrics[0]])
    np.testing.assert_allclose(bigger.value(Y * unit, problem.metrics), z.value(Y, problem.metrics))
