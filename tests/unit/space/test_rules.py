"""Constraints as rules: which inequalities they are, and how they are called."""

import numpy as np

from mixopt import Group, Tie
from mixopt.space.feasibility import Rule
from mixopt.space.rules import rules_of

NAMES = ("a", "b", "c")


def rules(**given) -> tuple[Rule, ...]:
    return rules_of(
        NAMES,
        given.get("bounds", {}),
        given.get("caps", {}),
        given.get("groups", ()),
        given.get("ties", ()),
    )


def test_a_bound_says_only_the_sides_that_bind() -> None:
    assert rules(bounds={"a": (0.0, 1.0)}) == ()
    low, high = rules(bounds={"b": (0.2, 0.7)})
    np.testing.assert_array_equal(low.rows, [[0, -1, 0]])
    np.testing.assert_array_equal(low.limits, [-0.2])
    np.testing.assert_array_equal(high.rows, [[0, 1, 0]])
    np.testing.assert_array_equal(high.limits, [0.7])
    assert [low.text, high.text] == ["b >= 0.2", "b <= 0.7"]
    assert low.remedy == "lower the lower bound of b"
    assert high.remedy == "raise the upper bound of b"
    assert [rule.text for rule in rules(bounds={"c": (0.0, 0.5)})] == ["c <= 0.5"]
    assert [rule.text for rule in rules(bounds={"c": (0.5, 1.0)})] == ["c >= 0.5"]


def test_a_cap_bounds_one_domain_from_above() -> None:
    (cap,) = rules(caps={"c": (0.04, "4 epochs")})
    np.testing.assert_array_equal(cap.rows, [[0, 0, 1]])
    np.testing.assert_array_equal(cap.limits, [0.04])
    assert cap.text == "c <= 0.04 (4 epochs)"


def test_a_group_bounds_the_sum_of_its_members() -> None:
    low, high = rules(groups=[Group("g", ("a", "c"), 0.1, 0.6)])
    np.testing.assert_array_equal(low.rows, [[-1, 0, -1]])
    np.testing.assert_array_equal(high.rows, [[1, 0, 1]])
    assert high.text == "group 'g' (a, c) <= 0.6"
    assert high.remedy == "raise the upper bound of group 'g'"


def test_a_tie_holds_exactly_where_the_ratios_do() -> None:
    (tie,) = rules(ties=[Tie("t", {"a": 3, "c": 1})])
    assert (tie.rows @ [0.3, 0.6, 0.1] <= tie.limits + 1e-15).all()
    # Too much of either breaks it: an equation is two inequalities.
    for broken in ([0.4, 0.6, 0.0], [0.1, 0.6, 0.3]):
        assert np.max(tie.rows @ broken - tie.limits) > 0.09
    assert tie.text == "tie 't' (a, c in the ratio 0.75 : 0.25)"


def test_long_lists_of_members_are_cut() -> None:
    names = tuple("abcdef")
    made = rules_of(
        names, {}, {}, [Group("g", names[:4], 0, 0.5), Group("h", names[:5], 0, 0.5)], []
    )
    assert [rule.text for rule in made] == [
        "group 'g' (a, b, c, d) <= 0.5",
        "group 'h' (a, b, c, d, ...) <= 0.5",
    ]


def test_rules_come_in_the_order_of_bounds_caps_groups_ties() -> None:
    made = rules(
        ties=[Tie("t", {"a": 1, "b": 1})],
        groups=[Group("g", ("a", "b"), 0, 0.9)],
        caps={"c": (0.5, "2 epochs")},
        bounds={"b": (0.1, 1.0), "a": (0.0, 0.8)},
    )
    assert [rule.text.split(" ")[0] for rule in made] == ["b", "a", "c", "group", "tie"]
