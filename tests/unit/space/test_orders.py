"""Orders: domains of falling quality, none of which is read more often than one before it."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mixopt import InputError, MixtureSpace, Order
from mixopt.errors import InfeasibleError
from mixopt.space import Domain
from mixopt.space.plain import from_dict, to_dict
from mixopt.space.rows import tighten

TIERS = {"a-q1": 1e9, "a-q2": 1e9, "a-q3": 2e9, "b": 4e9}
ORDER = Order("a", ("a-q1", "a-q2", "a-q3"))
SPACE = MixtureSpace(TIERS, ties=[ORDER])


def test_no_tier_is_read_more_often_than_a_better_one() -> None:
    inside, outside = [0.2, 0.1, 0.2, 0.5], [0.2, 0.1, 0.25, 0.45]
    assert SPACE.contains(np.array([inside, outside])).tolist() == [True, False]
    assert SPACE.contains(SPACE.prior)[0]
    assert SPACE.violations(dict(zip(TIERS, inside, strict=True))) == []
    (broken,) = SPACE.violations(dict(zip(TIERS, outside, strict=True)))
    assert "order 'a' (a-q1, a-q2, a-q3: none read more often than the last)" in broken


def test_the_nearest_mixture_pools_what_breaks_the_order() -> None:
    """Of equal sizes this is isotonic regression (pool adjacent violators)."""
    space = MixtureSpace(["a", "b", "c"], ties=[Order("all", ("a", "b", "c"))])
    assert space.project([0.2, 0.5, 0.3]) == pytest.approx([0.35, 0.35, 0.3])
    assert space.project([0.1, 0.3, 0.6]) == pytest.approx([1 / 3] * 3)
    assert space.project([0.5, 0.3, 0.2]) == pytest.approx([0.5, 0.3, 0.2])


@pytest.mark.parametrize("metric", ["euclidean", "kl"])
def test_projections_are_those_of_a_general_solver(metric: str) -> None:
    rng = np.random.default_rng(0)
    rows = ORDER.rows({n: i for i, n in enumerate(SPACE.names)}, SPACE.prior)
    for v in rng.dirichlet(np.ones(4), size=8):

        def distance(w: np.ndarray, v: np.ndarray = v) -> float:
            if metric == "kl":
                return float((w * np.log(np.maximum(w, 1e-12) / v)).sum())
            return float(((w - v) ** 2).sum())

        best = minimize(
            distance,
            np.full(4, 0.25) * [1.2, 1, 0.9, 0.9],
            bounds=[(0, 1)] * 4,
            constraints=[
                {"type": "eq", "fun": lambda w: w.sum() - 1},
                {"type": "ineq", "fun": lambda w: rows @ w},
            ],
            options={"ftol": 1e-14, "maxiter": 500},
        )
        nearest = SPACE.project(v, metric=metric)  # type: ignore[arg-type]
        assert SPACE.contains(nearest, 1e-9)[0]
        assert nearest == pytest.approx(best.x, abs=2e-4)
        assert distance(nearest) <= best.fun + 1e-7


def test_draws_and_roundings_keep_it() -> None:
    W = SPACE.sample(200, np.random.default_rng(0))
    assert SPACE.contains(W, 1e-9).all()
    assert SPACE.contains(SPACE.round(W), 1e-9).all()
    often = W[:, :3] / [1, 1, 2]
    assert np.ptp(often, axis=1).max() > 0.2


def test_a_tier_that_may_not_be_read_closes_those_behind_it() -> None:
    space = SPACE.replace(bounds={"a-q1": (0.0, 0.0)})
    assert space.natural.to_dict() == pytest.approx({"a-q1": 0, "a-q2": 0, "a-q3": 0, "b": 1})
    tight = tighten(space.polytope.reduced)
    assert tight.upper[:3].tolist() == [0, 0, 0]
    with pytest.raises(InfeasibleError, match=r"a-q3 >= 0\.3.*loosen order 'a'|order 'a'"):
        SPACE.replace(bounds={"a-q1": (0.0, 0.1), "a-q3": (0.3, 1.0)})


def test_sizes_of_its_own_and_a_round_trip() -> None:
    own = MixtureSpace(["x", "y"], ties=[Order("o", ("x", "y"), (3.0, 1.0))])
    assert own.contains(np.array([[0.76, 0.24], [0.74, 0.26]])).tolist() == [True, False]
    for space in (SPACE, own):
        again = from_dict(to_dict(space))
        assert again.orders == space.orders
        assert again.polytope.A.tolist() == space.polytope.A.tolist()


def test_orders_that_say_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="holds 1 domain"):
        Order("o", ("x",))
    with pytest.raises(InputError, match="names 'x' twice"):
        Order("o", ("x", "y", "x"))
    with pytest.raises(InputError, match="2 domains and 1 sizes"):
        Order("o", ("x", "y"), (1.0,))
    with pytest.raises(InputError, match="size of 'y' is 0"):
        Order("o", ("x", "y"), (1.0, 0.0))
    with pytest.raises(InputError, match="did you mean 'a-q1'"):
        SPACE.replace(ties=[Order("o", ("a-q11", "b"))])
    with pytest.raises(InputError, match="'y' has no size"):
        MixtureSpace([Domain("x", prior=1), Domain("y", prior=0)], ties=[Order("o", ("x", "y"))])
