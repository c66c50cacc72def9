"""Few clean and much noisy data: a world in which a noisy token is worth half a clean one."""

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace
from mixopt.laws import fitted_law, law, law_for
from mixopt.laws.parametric import Inputs
from mixopt.laws.tiers import FORMULAS, FittedTiers, Tiers, effective, tiers_by_tag, worth
from mixopt.space import Domain

TIERS = (1, 2, 2, 3)


def runs(n=80, noise=0.002, seed=0, tokens=None):
    """Worths 1, .5 and .1 by tier; the loss is 2 + .8 (sum v N)^-.4."""
    rng = np.random.default_rng(seed)
    W = rng.dirichlet(np.full(4, 0.7), size=n)
    N = W if tokens is None else W * tokens[:, None] / 1e6
    clean = N @ np.array([1.0, 0.5, 0.5, 0.1])
    return W, (2 + 0.8 * clean**-0.4 + noise * rng.normal(size=n))[:, None]


def test_tokens_of_a_noisy_tier_count_by_their_worth():
    """METHODS: N = (1, 9), v = (1, .5)."""
    assert effective((1, 9), (1, 0.5)) == 5.5
    for tokens, worths in (((1, 2), (1,)), ((1, 2), (0.5, 1)), ((1, 2), (1, -1)), ((), ())):
        with pytest.raises(InputError):
            effective(tokens, worths)


def test_worths_begin_with_one_and_never_rise():
    np.testing.assert_allclose(worth([0.0, 0.0]), [1.0, 0.5, 0.25])
    for z in np.random.default_rng(0).normal(0, 20, size=(50, 4)):
        assert (np.diff(worth(z)) <= 0).all()
        assert worth(z)[-1] >= 0


def test_the_derivatives_are_those_of_the_formula():
    rng = np.random.default_rng(3)
    at = Inputs(
        rng.dirichlet(np.ones(3), 5), rng.normal(size=5), rng.normal(size=5), (True,) * 2, 0
    )
    theta = rng.normal(0, 0.5, size=7)
    _, J = FORMULAS["tiers"].evaluate(theta, at)
    for q, step in enumerate(1e-6 * np.eye(7)):
        up, down = (FORMULAS["tiers"].evaluate(theta + s, at)[0] for s in (step, -step))
        np.testing.assert_allclose(J[:, q], (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


def test_what_a_noisy_token_is_worth_is_learned():
    W, Y = runs()
    fitted = Tiers(TIERS).fit(W, Y, rng=np.random.default_rng(0))
    np.testing.assert_allclose(fitted.worths[0], [1.0, 0.5, 0.1], atol=0.08)
    new, exact = runs(40, noise=0.0, seed=1)
    np.testing.assert_allclose(fitted.predict(new).mean, exact, atol=0.012)
    again = fitted_law(fitted.to_dict())
    assert isinstance(again, FittedTiers)
    np.testing.assert_array_equal(again.predict(new).mean, fitted.predict(new).mean)


def test_worths_are_told_with_the_domains_of_each_tier():
    W, Y = runs()
    fitted = Tiers(TIERS).fit(W, Y, rng=np.random.default_rng(0))
    told = fitted.constants(["books", "web", "code", "noise"])
    assert told.names == ("tier 1: books", "tier 2: web, code", "tier 3: noise")
    np.testing.assert_array_equal(told.values, fitted.worths)
    many = FittedTiers((1, 2, 2, 2, 2, 2), fitted.inner).constants(list("abcdef"))
    assert many.names[1] == "tier 2: b, c, d, 2 more"


def test_tokens_count_where_runs_differ_in_them():
    tokens = np.random.default_rng(5).choice([1e6, 4e6], size=80)
    W, Y = runs(tokens=tokens)
    scale = np.column_stack([np.full(80, 1e5), tokens])
    fitted = Tiers(TIERS).fit(W, Y, scale, rng=np.random.default_rng(0))
    np.testing.assert_allclose(fitted.worths[0], [1.0, 0.5, 0.1], atol=0.08)
    at = np.tile([1e5, 1.6e7], (1, 1))
    told = fitted.predict(np.full((1, 4), 0.25), at).mean[0, 0]
    assert told == pytest.approx(2 + 0.8 * (16 * 0.525) ** -0.4, abs=0.05)


def test_accuracies_that_rise_are_learned_alike():
    W, Y = runs()
    rng = np.random.default_rng(0)
    falls, rises = (Tiers(TIERS).fit(W, y, rng=rng) for y in (Y, 5.0 - Y))
    new, exact = runs(40, noise=0.0, seed=1)
    np.testing.assert_allclose(rises.predict(new).mean, 5.0 - exact, atol=0.012)
    np.testing.assert_allclose(rises.worths, falls.worths, atol=0.02)


def test_a_world_against_the_order_makes_tiers_alike():
    """Where the noisy tier helps more, its worth ends at that of the clean one, not above."""
    W, Y = runs()
    worse = Tiers((2, 2, 2, 1)).fit(W, Y, rng=np.random.default_rng(0))
    assert worse.worths[0, 1] > 0.9


def test_a_space_gives_the_tiers_by_its_tags():
    def space(*tiers):
        return MixtureSpace(
            [
                Domain(n, tags={} if t is None else {"tier": t})
                for n, t in zip("abc", tiers, strict=False)
            ]
        )

    assert law_for("tiers", None, space("1", "2", "2")) == Tiers((1, 2, 2))
    assert law_for(Tiers((2, 1, 1)), None, space("1", "2", "2")) == Tiers((2, 1, 1))
    for tiers, rule in (
        (("1", None, "2"), "'b' has none.*tags: {tier: 1}"),
        (("1", "low", "2"), "the tier 'low'; give a whole number"),
        (("1", "3", "3"), "no domain is of tier 2"),
        (("2", "2", "2"), "no domain is of tier 1"),
        (("1", "1", "1"), "all domains are of one tier"),
    ):
        with pytest.raises(InputError, match=rule):
            law_for("tiers", None, space(*tiers))
    assert tiers_by_tag(["x", "y"], [{"tier": "2"}, {"tier": "1"}]) == (2, 1)


def test_without_tiers_or_with_tiers_that_never_vary_a_fit_is_refused():
    W, Y = runs()
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="was not told the tier of any domain"):
        law("tiers").fit(W, Y, rng=rng)
    with pytest.raises(InputError, match="3 tiers were given, and mixtures have 4 domains"):
        Tiers((1, 2, 2)).fit(W, Y, rng=rng)
    fixed = np.column_stack(
        [W[:, :2] / W[:, :2].sum(axis=1, keepdims=True) / 2, np.full((80, 2), 0.25)]
    )
    with pytest.raises(InputError, match="same share of each tier"):
        Tiers((1, 1, 2, 2)).fit(fixed, Y, rng=rng)
