"""Exact shares without zeros, tokens turned into examples, counts by largest remainder.

Notation:
    w: (m,) shares of training tokens; a: (m,) mean tokens per example; R: tokens of a run;
    N: (m,) unique tokens
    examples: p = (w / a) / sum(w / a), so that tokens come out as w
"""

from collections.abc import Mapping
from fractions import Fraction

from mixopt.export.exporter import DIGITS, FINEST
from mixopt.space import Mixture, simplex


def exact_shares(mixture: Mixture) -> dict[str, float]:
    """Domain to share, zeros dropped; the decimals that are written add up to exactly 1.

    Shares are multiples of 1e-9; one that rounds to zero is dropped.
    """
    return on_grid(mixture.to_dict(), FINEST)


def on_grid(
    shares: Mapping[str, float], grain: float, caps: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Shares as multiples of a grain that sum to 1, by largest remainder; zeros dropped.

    Args:
        shares: domain to share, summing to 1.
        grain: 1 / a whole number.
        caps: domain to the largest share; kept where the grid has such a mixture.
    """
    parts = round(1 / grain)
    most = [min(1.0, (caps or {}).get(d, 1.0)) for d in shares]
    rounded = simplex.round_to_grid(list(shares.values()), 1 / parts, upper=most)
    units = {d: round(w * parts) for d, w in zip(shares, rounded.tolist(), strict=True)}
    decimal = 10**DIGITS % parts == 0  # then nine digits hold a share exactly
    return {d: round(n / parts, DIGITS) if decimal else n / parts for d, n in units.items() if n}


def shares_of_examples(
    shares: Mapping[str, float], tokens_per_example: Mapping[str, float]
) -> dict[str, float]:
    """The share of examples per domain that gives these shares of tokens: p_i ~ w_i / a_i.

    >>> p = shares_of_examples({"web": 0.7, "code": 0.3}, {"web": 1000, "code": 250})
    >>> round(p["web"], 6), round(p["code"], 6)
    (0.368421, 0.631579)
    """
    counts = {d: w / tokens_per_example[d] for d, w in shares.items()}
    total = sum(counts.values())
    return {d: n / total for d, n in counts.items()}


def shares_of_tokens(
    drawn: Mapping[str, float], tokens_per_example: Mapping[str, float]
) -> dict[str, float]:
    """The shares of tokens that examples drawn by these weights give: w_i ~ p_i a_i."""
    tokens = {d: p * tokens_per_example[d] for d, p in drawn.items()}
    total = sum(tokens.values())
    return {d: n / total for d, n in tokens.items()}


def apportion(
    quotas: Mapping[str, Fraction],
    total: int | None = None,
    most: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Whole numbers nearest to exact quotas, by largest remainder; ties go to the first domain.

    Args:
        quotas: domain to its exact, non-negative part.
        total: of the numbers; the rounded sum of the quotas by default.
        most: domain to the largest number; one at its limit is never rounded up.

    Returns:
        Domain to number, each the quota rounded up or down. They fall short of the total only where
        the limits leave no room for it.

    >>> apportion({"a": Fraction(1, 2), "b": Fraction(3, 2), "c": Fraction(1)})
    {'a': 1, 'b': 1, 'c': 1}
    """
    whole = {d: int(q) for d, q in quotas.items()}
    # Half up, as people round; Python's own rounding of a fraction goes to the even number.
    wanted = int(sum(quotas.values(), Fraction(0)) + Fraction(1, 2)) if total is None else total
    limits = most or {}
    open_ = [d for d in quotas if d not in limits or whole[d] < limits[d]]
    by_rest = sorted(open_, key=lambda d: whole[d] - quotas[d])
    for domain in by_rest[: wanted - sum(whole.values())]:
        whole[domain] += 1
    return whole


def exact(share: float) -> Fraction:
    """A written share as a fraction: its decimals, the same on any machine."""
    return Fraction(round(share * 10**DIGITS), 10**DIGITS)


def token_quotas(
    shares: Mapping[str, float], tokens: int, most: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Whole tokens per domain that sum to a budget, by largest remainder.

    >>> token_quotas({"a": 0.333333333, "b": 0.666666667}, 10)
    {'a': 3, 'b': 7}
    """
    parts = {d: exact(w) for d, w in shares.items()}
    total = sum(parts.values())
    return apportion({d: p * tokens / total for d, p in parts.items()}, tokens, most)


def example_counts(
    shares: Mapping[str, float], tokens_per_example: Mapping[str, float], tokens: int
) -> dict[str, int]:
    """Whole examples per domain: w_i R / a_i, by largest remainder to their rounded sum.

    >>> example_counts({"web": 0.7, "code": 0.3}, {"web": 1000, "code": 250}, 10**6)
    {'web': 700, 'code': 1200}
    """
    quotas = {
        d: exact(w) * tokens / Fraction(str(float(tokens_per_example[d])))
        for d, w in shares.items()
    }
    return apportion(quotas)
