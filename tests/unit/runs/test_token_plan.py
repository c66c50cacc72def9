"""Whole tokens, phase by phase."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import InputError
from mixopt.runs import Schedule
from mixopt.runs.token_plan import token_plan
from mixopt.space import Mixture

WEB = Mixture.of({"web": 0.7, "code": 0.3})
CODE = Mixture.of({"web": 0.1, "code": 0.9})


@given(st.integers(2, 10**16), st.floats(0, 1))
def test_every_token_is_planned_once(tokens: int, share: float) -> None:
    first = Mixture.of({"web": share, "code": 1 - share})
    plan = token_plan(Schedule(((1, first), (3, CODE))), tokens)
    assert sum(plan.tokens.values()) == plan.total == tokens
    starts = [0, *(until for until, _ in plan.phases)]
    for (until, part), start in zip(plan.phases, starts, strict=False):
        assert sum(part.values()) == until - start


def test_passes_are_counted_where_tokens_are_known() -> None:
    """Golden: w = (.7, .3), 1e6 tokens, 1e6 and 1e5 unique are .7 and 3 passes."""
    plan = token_plan(WEB, 10**6)
    assert plan.phases == ((10**6, {"web": 700_000, "code": 300_000}),)
    assert plan.epochs({"web": 1e6, "code": 1e5}) == {"web": 0.7, "code": 3.0}
    assert plan.epochs({"web": 0.0}) == {}


def test_a_run_holds_every_phase_or_is_refused() -> None:
    with pytest.raises(InputError, match="1 tokens cannot hold 2 phases"):
        token_plan(Schedule(((1, WEB), (2, CODE))), 1)
