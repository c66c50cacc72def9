"""No weight vector leaves a mixer that the space, or what is left of a domain, does not allow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.mixers.gate import gate, inventory
from mixopt.space import Domain, Group, MixtureSpace, Tie

DOMAINS = [Domain("a", 40.0), Domain("b", 60.0), Domain("c", 900.0)]
CAPPED = MixtureSpace(DOMAINS, budget=1000.0, epochs=2.0)


def test_what_is_allowed_leaves_as_it_came() -> None:
    w = np.array([0.07, 0.1, 0.83])
    out = gate(CAPPED, w, 1000, [0.0] * 3)
    assert out.weights is w or (out.weights == w).all()
    assert (out.moved, out.raised) == (0.0, 1.0)


def test_an_unused_allowance_may_be_drawn_later() -> None:
    """Of 80 tokens allowed of a, none are used at half time: 16 % may be drawn, not 8 %."""
    w = np.array([0.9, 0.05, 0.05])
    assert gate(CAPPED, w, 1000, [0.0] * 3).weights[0] == pytest.approx(0.08, abs=1e-12)
    assert gate(CAPPED, w, 1000, [0, 50, 450]).weights[0] == pytest.approx(0.16, abs=1e-12)
    used_up = gate(CAPPED, w, 1000, [80, 0, 420]).weights
    assert used_up[0] == 0.0
    # the others keep their ratio, up to b's own cap
    assert used_up.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_shorter_run_may_draw_the_same_share_of_the_allowance() -> None:
    np.testing.assert_allclose(inventory(CAPPED, 100), [8, 12, 180])
    assert np.isinf(inventory(MixtureSpace(DOMAINS), 100)).all()


def test_caps_are_raised_where_nothing_else_is_left_and_as_little_as_can_be() -> None:
    space = MixtureSpace([Domain("a", 50.0), Domain("b", 50.0)], budget=100.0, epochs=1.0)
    # a trainer that drew 70 of a though 50 were allowed: 30 to go, 50 of b allowed and 0 used
    fine = gate(space, [0.5, 0.5], 100, [70.0, 0.0])
    np.testing.assert_allclose(fine.weights, [0.0, 1.0])
    # 60 of a and 30 of b, bound to at most half: 5 of 10 must come from a, 15 more than allowed
    bound = MixtureSpace(
        [Domain("a", 50.0), Domain("b", 50.0)], {"b": (0.0, 0.5)}, budget=100.0, epochs=1.0
    )
    tight = gate(bound, [0.5, 0.5], 100, [60.0, 30.0])
    assert tight.raised == pytest.approx(65.0 / 50.0, rel=1e-6)
    np.testing.assert_allclose(tight.weights, [0.5, 0.5], atol=1e-6)


def test_groups_and_ties_hold_with_shrinking_caps() -> None:
    space = MixtureSpace(
        [*DOMAINS, Domain("d", 900.0)],
        {"d": (0.1, 0.6)},
        groups=[Group("g", ("a", "c"), 0.2, 0.5)],
        ties=[Tie("t", {"b": 1.0, "d": 3.0})],
        budget=1000.0,
        epochs=4.0,
    )
    rng = np.random.default_rng(0)
    used = np.array([100.0, 150.0, 100.0, 250.0])
    for w in rng.dirichlet(np.ones(4), size=50):
        out = gate(space, w, 1000, used)
        assert space.replace(budget=None).contains(out.weights, 1e-8)
        if out.raised == 1.0:
            assert (out.weights * 400 + used <= 4 * np.array([40, 60, 900, 900]) + 1e-6).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_whatever_is_asked_no_domain_passes_its_epochs(seed: int, m: int) -> None:
    """World RM: an adversary asks for one-hot mixtures; realised tokens are those requested."""
    rng = np.random.default_rng(seed)
    tokens = rng.uniform(0.2, 1.0, m)
    tokens *= 1.01 / (2.0 * tokens.sum())
    space = MixtureSpace(
        [Domain(f"d{i}", float(t)) for i, t in enumerate(tokens * 1000)], budget=1000.0, epochs=2.0
    )
    used, segment = np.zeros(m), 1000.0 / 50
    for _ in range(50):
        w = np.where(np.arange(m) == rng.integers(m), 1.0, 1e-9)
        out = gate(space, w / w.sum(), 1000, used)
        assert out.raised == 1.0
        used += segment * out.weights
    assert (used <= 2.0 * 1000 * tokens * (1 + 1e-9)).all()
