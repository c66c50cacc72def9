"""Prices of tiers, in worlds where the best mixture under every bound is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from mixopt import Group, InputError, MixtureSpace, Objective
from mixopt.laws.base import Prediction
from mixopt.proposers.prices import MOST_TIERS, Tier, price, prices, tier_named, tiers_of
from mixopt.proposers.surrogate import Surrogate
from mixopt.space import Domain
from mixopt.space.simplex import Array

TARGET = np.array([0.5, 0.3, 0.2])
UNIFORM = np.full((1, 3), 1 / 3)


@dataclass(frozen=True)
class Bowl:
    """|w - TARGET|^2, with one error that all mixtures share and one that grows with the first."""

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        mean = ((W - TARGET) ** 2).sum(axis=1)[:, None]
        return Prediction(mean, np.sqrt(1.0 + (0.1 * W[:, :1]) ** 2), np.array([0.01]))

    def joint(
        self, A: Array, B: Array, scale_A: Array | None = None, scale_B: Array | None = None
    ) -> Array:
        return np.array([1.0 + 0.01 * np.outer(A[:, 0], B[:, 0])])

    def to_dict(self) -> dict[str, str]:
        return {"law": "bowl"}


@dataclass(frozen=True)
class Alone:
    """The same without a joint posterior."""

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        return Bowl().predict(W, scale)

    def to_dict(self) -> dict[str, str]:
        return {"law": "alone"}


def world(law: object = None, **constraints: object) -> tuple[Surrogate, MixtureSpace]:
    tags = ({"licence": "nc"}, {"licence": "mit"}, {"licence": "mit", "quality": "low"})
    domains = [Domain(n, tags=t) for n, t in zip("abc", tags, strict=True)]
    space = MixtureSpace(domains, **constraints)  # type: ignore[arg-type]
    return Surrogate.of(law or Bowl(), Objective.of("loss"), ("loss",), space), space  # type: ignore[arg-type]


def asked(
    surrogate: Surrogate, space: MixtureSpace, answer: Array
) -> dict[tuple[str, str], object]:
    told = prices(surrogate, space, answer, W=UNIFORM, rng=np.random.default_rng(0))
    return {(row.tier.name, row.change): row for row in told.rows}


def test_leaving_a_tier_out_costs_what_the_nearest_mixture_without_it_costs() -> None:
    """Without a its half goes to b and c alike: .25 + 2 (.25)^2; half of a: .0625 + 2 (.125)^2."""
    surrogate, space = world()
    rows = asked(surrogate, space, TARGET)
    gone, half = rows["licence=nc", "without"], rows["licence=nc", "half"]
    assert gone.cost == pytest.approx(0.375, abs=1e-3)
    np.testing.assert_allclose(gone.mixture.array, [0.0, 0.55, 0.45], atol=2e-3)
    assert half.cost == pytest.approx(0.09375, abs=1e-3)
    assert half.mixture["a"] <= 0.25 + 1e-9
    assert rows["licence=mit", "without"].mixture.to_dict() == {"a": 1.0, "b": 0.0, "c": 0.0}


def test_errors_that_both_mixtures_share_are_no_doubt_of_the_difference() -> None:
    surrogate, space = world()
    gone = asked(surrogate, space, TARGET)["licence=nc", "without"]
    assert gone.sd == pytest.approx(0.05, rel=1e-3)  # .1 times the half that a gives up
    low, high = gone.interval
    assert (low, high) == (
        pytest.approx(gone.cost - 1.645 * gone.sd),
        pytest.approx(gone.cost + 1.645 * gone.sd),
    )
    assert gone.widened(2.0).sd == pytest.approx(2 * gone.sd)
    alone = asked(*world(Alone()), TARGET)["licence=nc", "without"]
    assert alone.sd > 1.4  # the law cannot tell what they share


def test_a_group_that_holds_the_answer_back_is_set_free() -> None:
    surrogate, space = world(groups=[Group("a-cap", ("a",), 0.0, 0.2)])
    answer = np.array([0.2, 0.45, 0.35])
    rows = asked(surrogate, space, answer)
    assert ("licence=nc", "without") not in rows  # the same domains, under the group's name
    free = rows["a-cap", "free"]
    assert free.cost == pytest.approx(-((0.3**2) + 2 * 0.15**2), abs=1e-3)
    np.testing.assert_allclose(free.mixture.array, TARGET, atol=3e-3)
    assert ("a-cap", "free") not in asked(*world(groups=[Group("a-cap", ("a",), 0.0, 0.9)]), TARGET)


def test_what_the_answer_does_not_take_costs_nothing() -> None:
    surrogate, space = world(bounds={"c": (0.0, 0.0)})
    row = asked(surrogate, space, np.array([0.6, 0.4, 0.0]))["quality=low", "without"]
    assert (row.cost, row.sd, row.share) == (0.0, 0.0, 0.0)


def test_what_cannot_be_left_out_says_which_bound_wants_it() -> None:
    surrogate, space = world(bounds={"a": (0.1, 1.0)})
    row = asked(surrogate, space, TARGET)["licence=nc", "without"]
    assert row.mixture is None
    assert np.isnan(row.cost)
    assert "a >= 0.1" in row.reason
    capped = MixtureSpace(space.domains, {"b": (0.0, 0.3), "c": (0.0, 0.3)})
    named = asked(surrogate, capped, np.array([0.5, 0.3, 0.2]))["licence=nc", "without"]
    assert named.mixture is None
    assert "0.3" in named.reason


def test_a_cap_that_is_no_share_and_tiers_that_are_none_are_refused() -> None:
    surrogate, space = world()
    tier, rng = tier_named(space, "licence=mit"), np.random.default_rng(0)
    assert tier.domains == ("b", "c")
    capped = price(surrogate, space, TARGET, tier, 0.25, W=UNIFORM, rng=rng)
    assert (capped.change, capped.mixture["a"]) == ("cap", pytest.approx(0.75, abs=1e-3))  # type: ignore[index]
    with pytest.raises(InputError, match=r"is 1\.5; give a number 0 to 1"):
        price(surrogate, space, TARGET, tier, 1.5, W=UNIFORM, rng=rng)
    with pytest.raises(InputError, match=r"no domain has the tag 'licence=gpl'.*licence=mit"):
        tier_named(space, "licence=gpl")
    with pytest.raises(InputError, match="unknown tier 'free'"):
        tier_named(space, "free")
    all_alike = MixtureSpace([Domain(n, tags={"x": "y"}) for n in "ab"])
    with pytest.raises(InputError, match="every domain has the tag"):
        tier_named(all_alike, "x=y")
    assert tiers_of(all_alike) == ()


def test_domains_of_two_tags_and_a_group_are_one_tier_that_knows_all_its_names() -> None:
    domains = [
        Domain("a", tags={"tier": "1", "licence": "nc"}),
        Domain("b", tags={"tier": "2", "licence": "mit"}),
        Domain("c", tags={"tier": "3", "licence": "mit"}),
    ]
    known = {t.name: t.names for t in tiers_of(MixtureSpace(domains))}
    assert known == {
        "tier=1": "tier=1, licence=nc",
        "tier=2": "tier=2",
        "licence=mit": "licence=mit",
        "tier=3": "tier=3",
    }
    grouped = MixtureSpace(domains, groups=[Group("bought", ("a",), 0.0, 0.3)])
    first, *rest = tiers_of(grouped)
    assert (first.names, first.upper) == ("bought, tier=1, licence=nc", 0.3)
    assert [t.name for t in rest] == ["tier=2", "licence=mit", "tier=3"]


def test_tiers_beyond_the_most_are_named_smallest_first_left() -> None:
    m = MOST_TIERS + 2
    space = MixtureSpace([Domain(f"d{i}", tags={"t": str(i)}) for i in range(m)])
    answer = np.r_[1.0, np.zeros(m - 1)]
    law = type("Flat", (), {})()
    law.predict = lambda W, scale=None: Prediction(W[:, :1], W[:, :1], np.zeros(1))
    law.to_dict = dict
    surrogate = Surrogate.of(law, Objective.of("loss"), ("loss",), space)
    told = prices(surrogate, space, answer, W=answer[None], rng=np.random.default_rng(0))
    assert told.rows[0].tier == Tier("t=0", ("d0",))
    assert told.unasked == (f"t={m - 2}", f"t={m - 1}")
