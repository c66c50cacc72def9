"""What every design promises, whatever the space."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import Domain, InputError, MixtureSpace, Tie
from mixopt.designs import DESIGNS, design
from mixopt.designs.base import distinct
from mixopt.space import groups_by_tag
from mixopt.testing.strategies import generators, spaces

FINITE = {"vertices", "leave-one-out", "one-at-a-time", "lattice"}
DOMAINS = [
    Domain(
        f"d{i}",
        tokens=10.0 ** (9 + i % 3),
        tags={"lang": "fr" if i % 2 else "en"},
        parent=f"s{i // 3}",
    )
    for i in range(9)
]
BOUND = MixtureSpace(
    DOMAINS,
    {"d4": (0.05, 0.5)},
    groups=groups_by_tag(DOMAINS, "lang", {"fr": (0.2, 0.4)}),
    ties=[Tie("t", {"d0": 0.3, "d3": 0.7})],
    budget=2e10,
    epochs=5,
)
FREE = MixtureSpace(DOMAINS)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", sorted(DESIGNS))
@pytest.mark.parametrize("constrained", [True, False])
def test_designs_are_distinct_and_repeatable(name: str, constrained: bool) -> None:
    W = design(name, BOUND, 16, rng=rng(), constrained=constrained)
    assert len(W) == 16 or name in FINITE
    np.testing.assert_allclose(W.sum(axis=1), 1, atol=1e-9)
    assert (W >= 0).all()
    assert distinct(W).all()
    if constrained:
        assert BOUND.contains(W, 1e-8).all()
    again = design(name, BOUND, 16, rng=rng(), constrained=constrained)
    np.testing.assert_array_equal(W, again)


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_designs_extend_what_is_there(name: str) -> None:
    first = design(name, FREE, 9, rng=rng())
    W = design(name, FREE, 9, rng=rng(), existing=first)
    assert distinct(np.vstack([first, W])).all()


@settings(max_examples=12, deadline=None)
@given(spaces(most=5), generators(), st.sampled_from(sorted(set(DESIGNS) - FINITE - {"i-optimal"})))
def test_random_designs_honour_any_constraints(
    space: MixtureSpace, generator: np.random.Generator, name: str
) -> None:
    try:
        W = design(name, space, 4, rng=generator)
    except InputError as error:  # a space may be a single point, or nearly
        assert "distinct mixtures were found" in str(error)  # noqa: PT017 - either is right
        return
    assert space.contains(W, 1e-7).all()


def test_unknown_designs_list_the_known() -> None:
    with pytest.raises(InputError, match=r"unknown design 'regmx'.*did you mean 'regmix'"):
        design("regmx", FREE, 4, rng=rng())


@pytest.mark.parametrize("name", sorted(set(DESIGNS) - FINITE))
def test_too_many_mixtures_for_the_space_are_refused(name: str) -> None:
    point = MixtureSpace(["a", "b"], {"a": (0.5, 0.5)})
    with pytest.raises(InputError, match=r"only .* distinct"):
        design(name, point, 2, rng=rng())
