"""Grids, largest remainders and units."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mixopt import Mixture
from mixopt.export.shares import (
    apportion,
    exact_shares,
    example_counts,
    on_grid,
    shares_of_examples,
    shares_of_tokens,
    token_quotas,
)

parts = st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(any)


def shares(numbers):
    return {f"d{i}": n / sum(numbers) for i, n in enumerate(numbers)}


def test_thirds_add_up_and_slivers_vanish():
    thirds = exact_shares(Mixture(("a", "b", "c"), (1 / 3, 1 / 3, 1 / 3)))
    assert sorted(thirds.values()) == [0.333333333, 0.333333333, 0.333333334]
    assert exact_shares(Mixture(("a", "b"), (1.0 - 1e-11, 1e-11))) == {"a": 1.0}


@given(parts, st.sampled_from([2048, 4096, 10_000, 10**9]))
def test_shares_on_a_grid_sum_to_one_and_lie_within_a_step(numbers, steps):
    given_ = shares(numbers)
    rounded = on_grid(given_, 1 / steps)
    assert sum(round(w * steps) for w in rounded.values()) == steps
    assert all(abs(rounded.get(d, 0.0) - w) < 1.01 / steps for d, w in given_.items())


@given(parts, st.integers(1, 10**15))
def test_quotas_sum_to_the_budget_and_lie_within_a_token(numbers, tokens):
    given_ = on_grid(shares(numbers), 1e-9)
    quotas = token_quotas(given_, tokens)
    assert sum(quotas.values()) == tokens
    for d, w in given_.items():
        assert abs(quotas[d] - Fraction(round(w * 10**9), 10**9) * tokens) < 1


@given(st.lists(st.fractions(0, 100), min_size=1, max_size=9))
def test_every_quota_is_rounded_up_or_down(fractions):
    quotas = dict(enumerate(fractions))
    numbers = apportion(quotas)
    assert all(0 <= numbers[k] - (q.numerator // q.denominator) <= 1 for k, q in quotas.items())
    assert abs(sum(numbers.values()) - sum(fractions)) <= Fraction(1, 2)


def test_a_number_at_its_limit_is_not_rounded_up():
    quotas = {"a": Fraction(19, 10), "b": Fraction(11, 10)}
    assert apportion(quotas) == {"a": 2, "b": 1}
    assert apportion(quotas, most={"a": 1}) == {"a": 1, "b": 2}
    assert apportion(quotas, most={"a": 1, "b": 1}) == {"a": 1, "b": 1}


def test_examples_and_tokens_are_two_views_of_one_mixture():
    lengths = {"web": 1000.0, "code": 250.0}
    drawn = shares_of_examples({"web": 0.7, "code": 0.3}, lengths)
    back = shares_of_tokens(drawn, lengths)
    assert abs(back["web"] - 0.7) < 1e-12
    assert example_counts({"web": 0.7, "code": 0.3}, lengths, 10**6) == {"web": 700, "code": 1200}
