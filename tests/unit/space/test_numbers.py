"""Settings that come from YAML as they are."""

import math

import pytest

from mixopt import InputError
from mixopt.space.numbers import check_number


@pytest.mark.parametrize("value", [0, 0.5, 1, 1.0])
def test_numbers_between_the_bounds_pass_and_the_bounds_themselves(value: float) -> None:
    check_number("share", value, least=0, most=1)


@pytest.mark.parametrize(
    ("value", "rule", "message"),
    [
        (-0.01, {"least": 0, "most": 1}, "of at least 0 and at most 1"),
        (1.01, {"least": 0, "most": 1}, "share is 1.01"),
        (0, {"least": 0, "open": True}, "share is 0; give a number above 0"),
        ("1e-3", {}, "the text '1e-3'.*write 1.0e-3"),
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
