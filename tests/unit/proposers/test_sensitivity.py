"""Room and prices of an optimum, where both are known in closed form."""

import numpy as np
import pytest

from mixopt import Group, MixtureSpace, Tie
from mixopt.proposers.sensitivity import active_constraints, intervals
from mixopt.space.simplex import Array

TARGET = np.array([0.5, 0.3, 0.2])


def square(W: Array) -> Array:
    return ((W - TARGET) ** 2).sum(axis=1)


def test_the_room_of_a_bowl_is_along_its_exchanges() -> None:
    """Moving t between two domains costs 2 t^2: within .0032 that is .04 each way; in proportion
    to all others a domain can go further, by sqrt(.0032 / (1 + rest)).
    """
    space = MixtureSpace(["a", "b", "c"])
    room = 0.0032
    found = intervals(square, space, TARGET, room)
    for i, name in enumerate(space.names):
        others = np.delete(TARGET, i) / (1 - TARGET[i])
        widest = max(0.04, float(np.sqrt(room / (1 + (others**2).sum()))))
        low, high = found[name]
        assert low == pytest.approx(TARGET[i] - widest, abs=0.003)
        assert high == pytest.approx(TARGET[i] + widest, abs=0.003)


def test_constraints_end_the_room_and_no_room_is_a_point() -> None:
    space = MixtureSpace(["a", "b", "c"], {"a": (0.49, 0.51)})
    low, high = intervals(square, space, TARGET, 1.0)["a"]
    assert (low, high) == (pytest.approx(0.49, abs=1e-3), pytest.approx(0.51, abs=1e-3))
    assert intervals(square, space, TARGET, 0.0)["b"] == (0.3, 0.3)
    wide = intervals(square, MixtureSpace(["a", "b", "c"]), TARGET, 10.0)
    np.testing.assert_allclose([wide[n] for n in "abc"], [[0, 1]] * 3, atol=1e-6)


def test_a_price_is_the_slope_that_loosening_wins() -> None:
    """c w with a <= .4 at w = (.4, .6, 0): a unit more of a for one of b wins 5 - 2."""
    space = MixtureSpace(["a", "b", "c"], {"a": (0.0, 0.4)})
    c = np.array([2.0, 5.0, 9.0])
    w = np.array([0.4, 0.6, 0.0])
    (active,) = active_constraints(lambda W: W @ c, space, w)
    assert active.name == "a <= 0.4"
    assert active.price == pytest.approx(3.0, rel=1e-4)


def test_the_dearest_comes_first_and_what_does_not_bind_is_left_out() -> None:
    space = MixtureSpace(
        ["a", "b", "c", "d"],
        {"a": (0.0, 0.2), "d": (0.1, 1.0), "c": (0.0, 0.9)},
        groups=[Group("g", ("a", "b"), 0.0, 0.5)],
    )
    c = np.array([1.0, 2.0, 4.0, 8.0])
    found = active_constraints(lambda W: W @ c, space, np.array([0.2, 0.3, 0.4, 0.1]))
    assert [a.name for a in found] == ["d >= 0.1", "group 'g' (a, b) <= 0.5", "a <= 0.2"]
    np.testing.assert_allclose([a.price for a in found], [4.0, 2.0, 1.0], rtol=1e-4)


def test_only_a_constraint_at_its_limit_has_a_price() -> None:
    space = MixtureSpace(["a", "b", "c"], {"a": (0.0, 0.4)})
    c = np.array([2.0, 5.0, 9.0])

    def at(a: float, **more: float) -> int:
        w = np.array([a, 1 - a, 0.0])
        return len(active_constraints(lambda W: W @ c, space, w, **more))

    assert at(0.3995) == 1  # within a thousandth
    assert at(0.398) == 0
    assert at(0.398, tolerance=0.01) == 1
    assert active_constraints(square, MixtureSpace(["a", "b", "c"]), TARGET) == ()
    # What it holds back would make the score worse: nothing to pay for.
    low = MixtureSpace(["a", "b", "c"], {"a": (0.1, 1.0)})
    assert active_constraints(lambda W: W @ c, low, np.array([0.1, 0.9, 0.0])) == ()


def test_a_tie_has_one_price_for_all_its_rows() -> None:
    space = MixtureSpace(["a", "b", "c"], ties=[Tie("t", {"a": 1, "b": 1})])
    # On the tie a + b costs 1.5 per unit on average, c costs 2; without it all would go to a.
    found = active_constraints(lambda W: W @ [1.0, 2.0, 2.0], space, np.array([0.5, 0.5, 0.0]))
    assert [a.name for a in found] == ["tie 't' (a, b in the ratio 0.5 : 0.5)"]
    assert found[0].price == pytest.approx(1.0, rel=1e-3)


def test_other_limits_take_part() -> None:
    space = MixtureSpace(["a", "b"])
    w = np.array([0.4, 0.6])
    (guard,) = active_constraints(
        lambda W: W @ [2.0, 5.0], space, w, others=[("guard", np.array([2.0, 0.0]))]
    )
    assert guard.name == "guard"
    assert guard.price == pytest.approx(1.5, rel=1e-4)  # 2 a <= limit: per unit of it half of 3
