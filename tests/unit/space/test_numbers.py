"""One way to check settings: the type is the annotation, bounds stand beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.space.numbers import (
    Within,
    check_arguments,
    check_number,
    check_settings,
    check_value,
)

Runs = Annotated[int, Within(1, 100)]
ODD = ["six", "6", 6.5, float("nan"), float("inf"), 0, -1, 10**12, 10**5000, True, None, [], {}]


@pytest.mark.parametrize("value", ODD, ids=lambda v: type(v).__name__)
def test_a_count_is_a_whole_number_within_bounds(value: Any) -> None:
    with pytest.raises(InputError, match=r"^runs is .*; give a whole number of at least 1 and at"):
        check_value("runs", value, Runs)


@given(st.integers(1, 100))
def test_a_count_within_bounds_is_taken(value: int) -> None:
    check_value("runs", value, Runs)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, float),
        (None, int | None),
        ([1, 2], tuple[Runs, ...]),
        ((1, "a"), tuple[int, str]),
        ({"a": 1.5}, Mapping[str, float]),
        (["a"], Sequence[str]),
        ("a", Literal["a", "b"]),
        ("a", str | Sequence[str]),
        (["a"], str | Sequence[str]),
        (object(), Any),
        (float("inf"), Annotated[float, Within(0, infinite=True)]),
    ],
)
def test_what_an_annotation_allows(value: Any, hint: Any) -> None:
    check_value("x", value, hint)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        ("a", float, "x is the text 'a'; give a number, without quotes or unit"),
        ([1, 0], tuple[Runs, ...], r"x\[1\] is 0; give a whole number"),
        ([1], tuple[int, str], "give a list of 2"),
        ("ab", Sequence[str], "x is 'ab'; give a list"),
        ({"a": "b"}, Mapping[str, float], r"x\.a is the text 'b'"),
        ([], Mapping[str, float], "give a mapping of names to values"),
        ("c", Literal["ab", "b"], "x is 'c'; known: ab, b"),
        ([], Literal["ab", "b"], r"x is \[\]; known: ab, b"),
        (3, str | Sequence[str], "x is 3; give text, in quotes, or a list"),
        (1, bool, "x is 1; give true or false"),
        (0, Annotated[float, Within(0, open=True)], "x is 0; give a number above 0"),
        (float("inf"), Annotated[float, Within(0)], "x is inf; give a number of at least 0"),
    ],
)
def test_what_an_annotation_refuses(value: Any, hint: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_value("x", value, hint)


@pytest.mark.parametrize("value", [0, 0.5, 1, 1.0])
def test_numbers_between_the_bounds_pass_and_the_bounds_themselves(value: float) -> None:
    check_number("share", value, least=0, most=1)


@pytest.mark.parametrize(
    ("value", "rule", "message"),
    [
        (-0.01, {"least": 0, "most": 1}, "of at least 0 and at most 1"),
        (1.01, {"least": 0, "most": 1}, "share is 1.01"),
        (0, {"least": 0, "open": True}, "share is 0; give a number above 0"),
        ("1e-3", {}, "the text '1e-3'; give a number, without quotes"),
        (True, {}, "share is True"),
        (None, {}, "share is None"),
        (math.nan, {}, "share is nan"),
        (math.inf, {}, "share is inf"),
    ],
)  # fmt: skip
def test_others_are_refused_with_the_rule(
    value: object, rule: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_number("share", value, **rule)  # type: ignore[arg-type]


def test_an_open_bound_lets_the_next_number_pass() -> None:
    check_number("rate", 5e-324, least=0, open=True)


@dataclass(frozen=True)
class Recipe:
    runs: Runs = 3
    name: str = "a"


def test_dataclasses_functions_and_classes_are_checked_alike() -> None:
    class Trainer:
        def __init__(self, *, rate: float = 1.0, runs: Runs = 3) -> None:
            self.rate, self.runs = rate, runs

    def make(rate: float = 1.0, **more: Any) -> Trainer:
        return Trainer(rate=rate, **more)

    check_settings(Recipe())
    with pytest.raises(InputError, match="runs is 0"):
        check_settings(Recipe(runs=0))
    with pytest.raises(InputError, match="name is 3; give text"):
        check_settings(Recipe(name=3))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="runs is 101"):
        check_arguments(Trainer, {"runs": 101})
    for factory in (Trainer, make):
        check_arguments(factory, {"rate": 2, "other": 3})
        with pytest.raises(InputError, match="rate is the text 'x'"):
            check_arguments(factory, {"rate": "x"})
