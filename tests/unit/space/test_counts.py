"""Counts as people write them."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mixopt.space.counts import Count, Share, Tokens

COUNT, TOKENS, SHARE = (TypeAdapter(t) for t in (Count, Tokens, Share))


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (65536, 65536),
        (1e9, 10**9),
        ("64k", 64_000),
        ("1.5M", 1_500_000),
        ("2G", 2 * 10**9),
        ("2B", 2 * 10**9),
        ("3T", 3 * 10**12),
        ("1e6", 10**6),
        ("1.5e3k", 1_500_000),
        ("100_000", 100_000),
        (" 7 k ", 7000),
    ],
)
def test_counts_have_units(written: object, number: int) -> None:
    assert COUNT.validate_python(written) == number
    assert isinstance(COUNT.validate_python(written), int)
    assert TOKENS.validate_python(written) == float(number)


@pytest.mark.parametrize("written", [True, "64 kb", "k", "", "1.5", 1.5, 0, -3, "-3", "nan"])
def test_what_is_no_count_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        COUNT.validate_python(written)


def test_tokens_may_be_none_at_all_and_shares_lie_in_between() -> None:
    assert TOKENS.validate_python(0) == 0
    assert SHARE.validate_python(0) == 0
    assert SHARE.validate_python(1) == 1
    for wrong in (-0.01, 1.01):
        with pytest.raises(ValidationError):
            SHARE.validate_python(wrong)
