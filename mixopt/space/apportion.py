"""Whole numbers in given proportions: the method of largest remainders, exact at any size."""

from collections.abc import Mapping
from fractions import Fraction

from mixopt.errors import InputError


def apportion(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers that sum to `total`, each within one of its exact part.

    Every part is rounded down, and what is left goes to the largest remainders, of equal ones to
    the first named. A share of zero gets nothing. The arithmetic is exact, so that the numbers are
    the same on any machine, also beyond 2^53.

    Args:
        shares: name to share, of any positive sum.
        total: of the numbers, 0 or more.

    Raises:
        InputError: a share below zero or not finite, none above zero, or a total below zero.

    >>> apportion({"web": 0.7, "code": 0.2, "math": 0.1}, 11)
    {'web': 8, 'code': 2, 'math': 1}
    """
    if total < 0:
        raise InputError(f"the total is {total}; give 0 or more")
    try:
        exact = {name: Fraction(share) for name, share in shares.items()}
    except (ValueError, OverflowError):
        raise InputError(f"shares are {dict(shares)}; give finite numbers") from None
    whole = sum(exact.values(), Fraction(0))
    odd = next((name for name, share in exact.items() if share < 0), None)
    if odd is not None or not whole:
        what = (
            f"the share of {odd!r} is {shares[odd]}" if odd is not None else "no share is above 0"
        )
        raise InputError(f"{what}; give shares of at least 0, one of them above")
    parts = {name: share * total / whole for name, share in exact.items()}
    counts = {name: part.numerator // part.denominator for name, part in parts.items()}
    left = total - sum(counts.values())
    by_remainder = sorted(parts, key=lambda name: counts[name] - parts[name])  # stable
    for name in by_remainder[:left]:
        counts[name] += 1
    return counts
