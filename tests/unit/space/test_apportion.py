"""Whole numbers in given proportions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.space.apportion import apportion

SHARES = st.dictionaries(st.text(max_size=3), st.floats(0, 1e3), min_size=1).filter(
    lambda shares: sum(shares.values()) > 1e-3
)


@given(SHARES, st.integers(0, 10**18))
def test_it_sums_exactly_and_stays_within_one(shares: dict[str, float], total: int) -> None:
    counts = apportion(shares, total)
    whole = sum(shares.values())
    assert sum(counts.values()) == total
    assert list(counts) == list(shares)
    for name, share in shares.items():
        assert abs(counts[name] - total * (share / whole)) <= 1 + 1e-15 * total * len(shares)
        assert share or not counts[name]


def test_of_units_and_passes() -> None:
    """Golden: shares (.7, .3), 1e6 tokens, 1000 and 250 a document are 700 and 1200 documents."""
    assert apportion({"web": 0.7 / 1000, "code": 0.3 / 250}, 1900) == {"web": 700, "code": 1200}
    assert apportion({"a": 1, "b": 1, "c": 1}, 2) == {"a": 1, "b": 1, "c": 0}


@pytest.mark.parametrize(
    ("shares", "total", "told"),
    [
        ({"a": 0.5, "b": -0.1}, 3, "the share of 'b' is -0.1"),
        ({"a": 0.0}, 3, "no share is above 0"),
        ({"a": float("nan")}, 3, "finite"),
        ({"a": float("inf")}, 3, "finite"),
        ({"a": 1.0}, -1, "total is -1"),
    ],
)
def test_what_has_no_proportions_is_refused(
    shares: dict[str, float], total: int, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        apportion(shares, total)
