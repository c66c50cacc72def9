"""The polytope of a space: how far outside, which point is nearest, which is well inside."""

import numpy as np
import pytest
import scipy
from hypothesis import assume, given, settings

from mixopt import MixtureSpace
from mixopt.space import simplex
from mixopt.space.constraints import Polytope
from mixopt.space.projection import Metric
from mixopt.space.sampling import uniform
from mixopt.testing.strategies import generators, spaces

M = 3
INSIDE = 1e-8  # a space takes what is nearer than this for a mixture of its own
METRICS: tuple[Metric, ...] = ("kl", "euclidean")
NO_ROWS = np.zeros((0, M))
TIED = (((0, 1), (0.75, 0.25)),)  # w0 : w1 = 3 : 1


def polytope(lower=(0.0,) * M, upper=(1.0,) * M, A=NO_ROWS, low=(), high=(), ties=()) -> Polytope:
    return Polytope(*map(np.asarray, (lower, upper, A, low, high)), ties)


@pytest.mark.parametrize(
    ("w", "outside"),
    [
        ([0.2, 0.3, 0.5], 0.0),
        ([0.65, 0.3, 0.05], 0.1),  # the first is .05 above its bound, the row .1 below its side
        ([0.05, 0.3, 0.65], 0.1),  # the row is .05 above its side, the third .1 above its bound
        ([0.05, 0.4, 0.55], 0.05),  # the first below its bound
        ([0.7, 0.0, 0.3], 0.15),  # the row
        ([0.3, 0.3, 0.3], 0.1),  # the sum
    ],
)
def test_excess_is_the_largest_violation(w: list[float], outside: float) -> None:
    space = polytope(
        (0.1, 0.0, 0.0), (0.6, 1.0, 0.55), np.array([[0.0, 1.0, 1.0]]), (0.45,), (0.9,)
    )
    assert space.excess(np.array([w]))[0] == pytest.approx(outside, abs=1e-12)


def test_excess_of_a_tie_is_what_is_missing_to_the_ratio() -> None:
    W = np.array([[0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.7, 0.1, 0.2]])
    np.testing.assert_allclose(polytope(ties=TIED).excess(W), [0.0, 0.1, 0.1], atol=1e-12)


def test_only_bounds_is_told_from_rows_and_ties() -> None:
    assert polytope().only_bounds
    assert not polytope(ties=TIED).only_bounds
    assert not polytope(A=np.ones((1, M)), low=(0.0,), high=(1.0,)).only_bounds


def test_the_basis_gives_one_unit_to_every_free_domain_and_tie() -> None:
    np.testing.assert_array_equal(
        polytope(ties=(((2, 0), (0.25, 0.75)),)).basis, [[0, 0.75], [1, 0], [0, 0.25]]
    )
    np.testing.assert_array_equal(polytope().basis, np.eye(M))


def test_bounds_on_tied_domains_bound_the_tie() -> None:
    rows = polytope((0.0, 0.1, 0.0), (0.6, 1.0, 0.5), ties=TIED).reduced
    # The free domain first: at most .5. The tie: w1 >= .1 asks for .4 of it, w0 <= .6 for .8.
    np.testing.assert_allclose(rows.lower, [0.0, 0.4])
    np.testing.assert_allclose(rows.upper, [0.5, 0.8])
    np.testing.assert_allclose(rows.B, [[1.0, 1.0]])
    np.testing.assert_allclose([rows.low, rows.high], [[1.0], [1.0]])


def test_the_nearest_point_on_a_tie_in_the_euclidean_sense() -> None:
    """|(.75 u, .25 u, 1 - u) - v|^2 is least where its derivative is 0: u = .8 / 1.625 here."""
    u = 0.8 / 1.625
    nearest = polytope(ties=TIED).project(np.array([[0.1, 0.5, 0.4]]), "euclidean")
    np.testing.assert_allclose(nearest, [[0.75 * u, 0.25 * u, 1 - u]], atol=1e-9)


def test_the_nearest_point_on_a_tie_in_the_sense_of_kl() -> None:
    """KL(x || q) over x = (.75 u, .25 u, 1 - u) is least at odds of g : q2, with g as below."""
    q, r = np.array([0.1, 0.5, 0.4]), np.array([0.75, 0.25])
    g = np.exp((r * np.log(q[:2] / r)).sum())
    u = g / (g + q[2])
    nearest = polytope(ties=TIED).project(q[None], "kl")
    np.testing.assert_allclose(nearest, [[0.75 * u, 0.25 * u, 1 - u]], atol=1e-9)


def test_rows_move_only_what_is_outside() -> None:
    space = polytope(A=np.array([[1.0, 1.0, 0.0]]), low=(0.0,), high=(0.5,))
    V = np.array([[0.2, 0.2, 0.6], [0.4, 0.4, 0.2]])
    nearest = space.project(V, "euclidean")
    np.testing.assert_array_equal(nearest[0], V[0])
    np.testing.assert_allclose(nearest[1], [0.25, 0.25, 0.5], atol=1e-9)
    np.testing.assert_array_equal(V[1], [0.4, 0.4, 0.2])  # what was given stays


def test_the_interior_point_has_room_on_all_sides() -> None:
    np.testing.assert_allclose(polytope().interior, np.full(M, 1 / 3), atol=1e-6)
    space = polytope((0.0, 0.1, 0.0), (0.2, 0.4, 1.0), np.array([[1.0, 0.0, 1.0]]), (0.62,), (0.8,))
    w = space.interior
    assert w.sum() == pytest.approx(1)
    sides = np.r_[w - space.lower, space.upper - w, w[0] + w[2] - 0.62, 0.8 - w[0] - w[2]]
    assert sides.min() > 0.03


def test_the_interior_of_an_equation_lies_on_it() -> None:
    space = polytope(A=np.array([[1.0, 1.0, 0.0]]), low=(0.3,), high=(0.3,))
    np.testing.assert_allclose(space.interior, [0.15, 0.15, 0.7], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "feasible"),
    [
        ({}, True),
        ({"upper": (0.5, 0.3, 0.2)}, True),
        ({"upper": (0.5, 0.3, 0.1)}, False),
        ({"lower": (0.5, 0.3, 0.2)}, True),
        ({"lower": (0.5, 0.3, 0.3)}, False),
        ({"lower": (0.5, 0.0, 0.0), "upper": (0.4, 1.0, 1.0)}, False),
        ({"A": [[1.0, 1.0, 0.0]], "low": (0.7,), "high": (0.8,), "lower": (0, 0, 0.3)}, True),
        ({"A": [[1.0, 1.0, 0.0]], "low": (0.71,), "high": (0.8,), "lower": (0, 0, 0.3)}, False),
        ({"A": [[1.0, 1.0, 0.0]], "low": (0.3,), "high": (0.3,), "upper": (1, 1, 0.7)}, True),
        ({"A": [[1.0, 1.0, 0.0]], "low": (0.3,), "high": (0.3,), "upper": (1, 1, 0.6)}, False),
        ({"A": [[1.0, 1.0, 0.0]], "low": (0.0,), "high": (0.2,), "upper": (1, 1, 0.7)}, False),
    ],
)
def test_feasible(given: dict, feasible: bool) -> None:
    given = {**given, "A": np.array(given.get("A", NO_ROWS))}
    assert polytope(**given).feasible == feasible


def test_restricting_keeps_the_tighter_of_two_bounds() -> None:
    space = polytope((0.1, 0.0, 0.0), (0.5, 0.9, 1.0), ties=TIED)
    tighter = space.restrict(np.array([0.0, 0.2, 0.0]), np.array([0.6, 0.8, 1.0]))
    np.testing.assert_array_equal(tighter.lower, [0.1, 0.2, 0.0])
    np.testing.assert_array_equal(tighter.upper, [0.5, 0.8, 1.0])
    assert tighter.ties == TIED


# Two equations leave one mixture, and it lies on the lower side of the group of the tie.
CORNER = polytope(
    A=np.array([[1.0, 1, 0], [0, 1, 1], [1, 1, 0], [0.78423507, 0, -0.21576493]]),
    low=(0.8587758487116847, 0.9302250126952781, 0.8587758487116847, 0.0),
    high=(0.8787758487116847, 0.9302250126952781, 1.0, 1.0),
    ties=(((0, 1), (0.08124935908409238, 0.9187506409159076)),),
)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_leave_one_corner_of_each_other(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    V = simplex.dirichlet(np.full((3000, M), 0.05), rng)
    nearest = CORNER.project(V, metric)
    assert CORNER.excess(nearest).max() < 1e-9
    np.testing.assert_allclose(np.ptp(nearest, axis=0), 0.0, atol=1e-8)
    assert CORNER.single
    np.testing.assert_allclose(CORNER.interior, nearest[0], atol=1e-8)


@pytest.mark.parametrize("metric", METRICS)
def test_a_tie_that_an_equation_leaves_nothing_for(metric: Metric) -> None:
    """Row by row, bounds come nearer to it for ever."""
    tied = (((0, 1), (0.12281108145729422, 0.8771889185427058)),)
    space = polytope(A=np.array([[1.0, 0, 1]]), low=(1.0,), high=(1.0,), ties=tied)
    np.testing.assert_allclose(space.project(np.eye(M), metric), [[0, 0, 1]] * M, atol=1e-12)


def test_draws_from_a_face_are_uniform_on_it() -> None:
    """Two groups of at least a half each: both are a half, and neither says so."""
    A = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    face = Polytope(np.zeros(4), np.ones(4), A, np.full(2, 0.5), np.ones(2))
    W = uniform(face, 2000, np.random.default_rng(0))
    np.testing.assert_allclose(W[:, :2].sum(axis=1), 0.5, atol=1e-8)
    np.testing.assert_allclose(W.std(axis=0), 0.5 / np.sqrt(12), rtol=0.06)


@given(spaces(), generators())
@settings(max_examples=15)
def test_a_face_is_projected_onto_and_drawn_from(
    space: MixtureSpace, rng: np.random.Generator
) -> None:
    """A group at the most that the rest allows: no room is left inside, and nothing says so."""
    inner = space.polytope
    m = len(inner.lower)
    members = (rng.random(m) < 0.5).astype(float)
    rows = inner.reduced
    solution = scipy.optimize.linprog(
        -members @ inner.basis,
        A_ub=np.vstack([rows.B, -rows.B]),
        b_ub=np.concatenate([rows.high, -rows.low]),
        bounds=np.column_stack([rows.lower, rows.upper]),
    )
    assume(rows.broken(solution.x[None])[0] < 1e-12)
    most = members @ inner.basis @ solution.x
    A, sides = np.vstack([inner.A, members]), (np.r_[inner.low, most], np.r_[inner.high, most])
    face = Polytope(inner.lower, inner.upper, A, *sides, inner.ties)
    V = np.vstack([np.eye(m)[rng.integers(m, size=2)], simplex.dirichlet(np.ones((3, m)), rng)])
    for metric in METRICS:
        assert face.excess(face.project(V, metric)).max() < INSIDE
    assert face.excess(uniform(face, 3, rng)).max() < INSIDE
