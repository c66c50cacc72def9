"""Array functions on the simplex: what they promise for any input, and golden values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import InputError
from mixopt.space import simplex
from mixopt.space.simplex import Array
from mixopt.testing.strategies import generators, mixtures, points

M = 5
UPPER = np.array([0.5, 0.5, 0.4, 1.0, 0.3])
LOWER = np.array([0.0, 0.1, 0.0, 0.0, 0.05])


def test_kl_projection_golden() -> None:
    found = simplex.project_kl([0.7, 0.2, 0.1], upper=[0.5, 0.5, 0.5])
    np.testing.assert_allclose(found, [0.5, 1 / 3, 1 / 6], atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(points(M))
def test_euclidean_projection_is_feasible_and_idempotent(V: Array) -> None:
    x = simplex.project_euclidean(V, LOWER, UPPER)
    np.testing.assert_allclose(x.sum(axis=1), 1, atol=1e-12)
    assert (x >= LOWER - 1e-15).all()
    assert (x <= UPPER + 1e-15).all()
    np.testing.assert_allclose(simplex.project_euclidean(x, LOWER, UPPER), x, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(points(M), points(M))
def test_euclidean_projection_does_not_expand(V: Array, U: Array) -> None:
    x, y = (simplex.project_euclidean(p, LOWER, UPPER) for p in (V, U))
    before, after = (np.linalg.norm(a - b, axis=1) for a, b in ((V, U), (x, y)))
    assert (after <= before + 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(mixtures(M, rows=4))
def test_kl_projection_scales_free_weights_alike(Q: Array) -> None:
    """Water filling: between the bounds, x / q is one constant per row."""
    x = simplex.project_kl(Q, LOWER, UPPER)
    np.testing.assert_allclose(x.sum(axis=1), 1, atol=1e-12)
    for row, q in zip(x, Q, strict=True):
        free = (row > LOWER + 1e-9) & (row < UPPER - 1e-9) & (q > 1e-6)
        if free.sum() > 1:
            ratio = row[free] / q[free]
            np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(mixtures(M, rows=3), st.permutations(range(M)))
def test_projections_do_not_know_the_order_of_domains(W: Array, order: list[int]) -> None:
    for project in (simplex.project_euclidean, simplex.project_kl):
        straight = project(W, LOWER, UPPER)[:, order]
        np.testing.assert_allclose(
            straight, project(W[:, order], LOWER[order], UPPER[order]), atol=1e-10
        )


@settings(max_examples=40, deadline=None)
@given(mixtures(M, rows=6), st.sampled_from([2e-4, 1e-3, 0.01]))
def test_rounding_stays_on_the_simplex_and_near(W: Array, step: float) -> None:
    rounded = simplex.round_to_grid(W, step)
    np.testing.assert_allclose(rounded.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(rounded / step, np.round(rounded / step), atol=1e-6)
    assert np.abs(rounded - W).max() <= step * (1 + 1e-6)
    assert not ((W == 0) & (rounded > 0)).any()


@settings(max_examples=40, deadline=None)
@given(mixtures(M, rows=6))
def test_rounding_keeps_bounds(W: Array) -> None:
    inside = simplex.project_kl(W, LOWER, UPPER)
    rounded = simplex.round_to_grid(inside, 0.01, lower=LOWER, upper=UPPER)
    assert (rounded >= LOWER - 1e-12).all()
    assert (rounded <= UPPER + 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(mixtures(M, rows=4))
def test_coordinates_go_there_and_back(W: Array) -> None:
    back = simplex.inverse_ilr(simplex.ilr(W, 1e-3), 1e-3)
    np.testing.assert_allclose(back, W, atol=1e-9)
    np.testing.assert_allclose(simplex.hellinger(W) ** 2, W, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(mixtures(M), mixtures(M))
def test_divergences(p: Array, q: Array) -> None:
    assert simplex.kl(p, p) == pytest.approx(0, abs=1e-9)
    assert simplex.kl(p, q) >= -1e-9
    there, back = (simplex.hellinger_distance(a, b)[0, 0] for a, b in ((p, q), (q, p)))
    assert there == pytest.approx(back)
    assert 0 <= there <= 1


@settings(max_examples=10, deadline=None)
@given(generators())
def test_dirichlet_has_its_moments_even_when_nearly_one_hot(rng: np.random.Generator) -> None:
    alpha = np.array([0.02, 0.01, 0.0, 0.01])
    W = simplex.dirichlet(np.tile(alpha, (4000, 1)), rng)
    np.testing.assert_allclose(W.sum(axis=1), 1, atol=1e-12)
    assert (W[:, 2] == 0).all()
    np.testing.assert_allclose(W.mean(axis=0), alpha / alpha.sum(), atol=0.04)
    assert (W.max(axis=1) > 0.99).mean() > 0.85


def test_temperature() -> None:
    np.testing.assert_allclose(simplex.temperature([0.64, 0.36, 0.0], 0.5), [4 / 7, 3 / 7, 0])
    np.testing.assert_allclose(simplex.temperature([0.7, 0.3, 0.0], 0.0), [0.5, 0.5, 0])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[0.5, 0.5], [0.5, np.nan]], "run 1 have a missing or infinite"),
        ([[1.2, -0.2]], "run 0 have a negative value"),
        ([[0.5, 0.46]], "sum to 0.96 .*renormalize=True"),
    ],
)
def test_weights_off_the_simplex_are_refused(weights: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simplex.as_simplex(weights)


def test_rounded_weights_are_rescaled() -> None:
    assert simplex.as_simplex([0.333, 0.333, 0.333]).sum() == pytest.approx(1)
    assert simplex.as_simplex([2, 2], renormalize=True).tolist() == [0.5, 0.5]


def test_impossible_bounds_are_refused() -> None:
    with pytest.raises(InputError, match=r"lower bounds sum to 1.2"):
        simplex.project_kl([0.5, 0.5], lower=[0.6, 0.6])
    with pytest.raises(InputError, match=r"upper bounds to 0.9 \(must be >= 1\)"):
        simplex.project_kl([0.5, 0.5], upper=[0.5, 0.4])
    with pytest.raises(InputError, match="bounds leave no mixture"):
        simplex.project_euclidean([0.5, 0.5], lower=[0.3, 0.0], upper=[0.2, 1.0])
    assert simplex.project_kl([0.9, 0.1], upper=[0.5, 0.5]).tolist() == [0.5, 0.5]
    with pytest.raises(InputError, match=r"step 0.3 does not divide 1"):
        simplex.round_to_grid([0.5, 0.5], 0.3)
