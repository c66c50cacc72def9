"""Conflicts between rules: when there is one, which rules it takes, and what would resolve it."""

import numpy as np
import pytest

from mixopt.space.feasibility import Rule, conflict, explain, listing


def rule(name: str, row: list[float], limit: float) -> Rule:
    return Rule(name, f"loosen {name}", np.array([row]), np.array([limit]))


A_MOST = rule("a <= .3", [1, 0, 0], 0.3)
A_LEAST = rule("a >= .5", [-1, 0, 0], -0.5)
B_MOST = rule("b <= .4", [0, 1, 0], 0.4)
C_MOST = rule("c <= .2", [0, 0, 1], 0.2)


def test_a_rule_is_broken_by_its_worst_row() -> None:
    both = Rule("", "", np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([0.3, 0.1]))
    assert both.broken(np.array([0.5, 0.2, 0.3])) == pytest.approx(0.2)
    assert both.broken(np.array([0.3, 0.1, 0.6])) == 0.0


def test_no_rules_and_kept_rules_are_no_conflict() -> None:
    assert conflict([], 3) == []
    assert conflict([A_MOST, B_MOST], 3) == []
    # Just enough room: .3 + .4 + .3.
    assert conflict([A_MOST, B_MOST, rule("c <= .3", [0, 0, 1], 0.3)], 3) == []


def test_a_conflict_holds_the_guilty_and_no_one_else() -> None:
    assert conflict([B_MOST, A_MOST, C_MOST, A_LEAST], 3) in (
        [A_MOST, A_LEAST],
        [B_MOST, A_MOST, C_MOST],
    )
    assert conflict([B_MOST, A_MOST, C_MOST], 3) == [B_MOST, A_MOST, C_MOST]
    assert conflict([B_MOST, A_MOST, A_LEAST], 3) == [A_MOST, A_LEAST]


def test_each_way_out_says_how_far_one_rule_alone_must_give() -> None:
    text = explain([A_MOST, A_LEAST], 3)
    assert "these conflict: a <= .3; a >= .5." in text
    assert text.endswith("To resolve it, loosen a <= .3 by 0.2, or loosen a >= .5 by 0.2")
    # What is missing to 1 is rounded up, so that obeying is enough.
    text = explain([rule("most", [1, 1, 1], 2 / 3)], 3)
    assert text.endswith("loosen most by 0.334")


def test_of_several_rows_all_give_alike() -> None:
    caps = Rule("caps", "loosen caps", np.eye(3), np.full(3, 0.2))
    assert explain([caps], 3).endswith("loosen caps by 0.134")  # (1 - .6) / 3


def test_where_no_rule_alone_is_enough_one_must_go() -> None:
    impossible = [
        rule("a <= -1", [1, 0, 0], -1.0),
        rule("b <= -1", [0, 1, 0], -1.0),
    ]
    assert explain(impossible, 3).endswith("To resolve it, drop one")


def test_long_lists_are_cut_and_say_so() -> None:
    assert listing("abc", most=3) == "a; b; c"
    assert listing("abcde", most=3) == "a; b; c; and 2 more like these"
    assert listing([str(i) for i in range(10)]).endswith("7; and 2 more like these")
