"""Each design does what its paper says."""

import numpy as np
import pytest

from mixopt import InputError, MixtureSpace
from mixopt.designs import baselines, design, singles, unimax
from mixopt.designs.optimal import average_variance
from mixopt.designs.swarms import STRENGTHS
from mixopt.space import simplex
from mixopt.space.domains import Domain


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


PILE = MixtureSpace({f"d{i}": 10.0 ** (8 + i % 4) for i in range(17)})


def test_regmix_recipe() -> None:
    W = design("regmix", PILE, 400, rng=rng())
    q = simplex.temperature(PILE.prior, 0.5)
    assert (np.minimum(15 * q, 1) + 2e-4 >= W).all()
    np.testing.assert_allclose(W / 2e-4, np.round(W / 2e-4), atol=1e-6)
    assert (W[W > 0] >= 2e-4 - 1e-12).all()
    assert len(STRENGTHS) == 15
    assert STRENGTHS[0] == pytest.approx(0.1)
    assert STRENGTHS[-1] == pytest.approx(5)
    np.testing.assert_allclose(W.mean(axis=0), q, atol=0.06)  # rejection favours the large
    assert 0.5 < (W == 0).mean() < 0.85, "small strengths leave most domains out"


def test_regmix_with_many_equal_domains_still_finds_mixtures() -> None:
    """15 q is then below nearly every draw: rejection alone would find nothing."""
    space = MixtureSpace([f"d{i}" for i in range(300)])
    W = design("regmix", space, 50, rng=rng())
    assert W.shape == (50, 300)
    assert W.max() <= 15 / 300 + 2e-4


def test_regmix_ignores_domains_without_weight() -> None:
    space = MixtureSpace({"a": 5, "b": 5, "empty": 0})
    assert (design("regmix", space, 30, rng=rng())[:, 2] == 0).all()


def test_olmix_draws_sources_then_topics() -> None:
    domains = [
        Domain(f"s{s}/t{t}", tokens=1 + t, parent=f"s{s}") for s in range(3) for t in range(4)
    ]
    W = design("olmix", MixtureSpace(domains), 60, rng=rng())
    assert (W[W > 0] >= 0.0019).all()
    apart = np.linalg.norm(W[:, None] - W[None], axis=2)[np.triu_indices(60, 1)]
    assert apart.min() > 0.0095
    sources = W.reshape(60, 3, 4).sum(axis=2)
    np.testing.assert_allclose(sources.mean(axis=0), 1 / 3, atol=0.15)


def test_maximin_covers_better_than_random() -> None:
    def covering(W: np.ndarray) -> float:
        d = simplex.hellinger_distance(W, W)
        return float(d[np.triu_indices(len(W), 1)].min())

    assert covering(design("maximin", PILE, 40, rng=rng())) > 2 * covering(
        design("regmix", PILE, 40, rng=rng())
    )


def test_i_optimal_predicts_better_than_random_runs() -> None:
    space = MixtureSpace([f"d{i}" for i in range(6)])
    region = space.sample(400, rng(1))
    optimal = average_variance(design("i-optimal", space, 30, rng=rng()), region)
    for other in ("regmix", "uniform", "maximin"):
        W = design(other, space, 30, rng=rng())
        assert optimal < 0.8 * average_variance(W, region)
    with pytest.raises(InputError, match="at most 30 domains"):
        design("i-optimal", MixtureSpace([f"d{i}" for i in range(31)]), 10, rng=rng())


def test_finite_designs() -> None:
    space = MixtureSpace({"a": 5, "b": 3, "c": 2})
    np.testing.assert_allclose(design("vertices", space, 9, rng=rng()), np.eye(3))
    without = design("leave-one-out", space, 9, rng=rng())
    np.testing.assert_allclose(without[0], [0.5, 0.3, 0.2])
    np.testing.assert_allclose(without[1], [0, 0.6, 0.4])
    moved = design("one-at-a-time", space, 9, rng=rng())
    assert len(moved) == 7
    np.testing.assert_allclose(moved[1], [0.75, 0.15, 0.1])
    lattice = design("lattice", space, 100, rng=rng(), degree=4)
    assert len(lattice) == 15
    assert set(np.unique(lattice)) == {0, 0.25, 0.5, 0.75, 1}
    capped = MixtureSpace(["a", "b", "c"], {"a": (0, 0.5)})
    assert (design("lattice", capped, 100, rng=rng(), degree=4)[:, 0] <= 0.5).all()
    np.testing.assert_allclose(design("vertices", capped, 9, rng=rng())[0], [0.5, 0.25, 0.25])


def test_baselines() -> None:
    space = MixtureSpace({"a": 8e9, "b": 1e9, "c": 1e9}, budget=10e9, epochs=4)
    named = baselines(space)
    assert list(named) == ["natural", "uniform", "temperature", "unimax"] or (
        list(named) == ["natural", "uniform", "temperature"]
    )
    np.testing.assert_allclose(named["natural"].array, [0.8, 0.1, 0.1])
    np.testing.assert_allclose(named["uniform"].array, [1 / 3] * 3)
    assert "unimax" not in baselines(MixtureSpace(["a", "b"]))


def test_unimax_spreads_the_budget_under_the_caps() -> None:
    """Caps .04, .2, 1, 1: the small ones are used up, the rest share what is left."""
    space = MixtureSpace({"a": 1e9, "b": 5e9, "c": 90e9, "d": 80e9}, budget=1e11, epochs=4)
    found = unimax(space)
    assert found is not None
    np.testing.assert_allclose(found, [0.04, 0.2, 0.38, 0.38])
    assert unimax(MixtureSpace({"a": 1.0, "b": None}, budget=4)) is None


def test_singles_leave_out_what_is_not_allowed() -> None:
    space = MixtureSpace(["a", "b", "c"], {"a": (0, 0.5)})
    assert list(singles(space)) == ["b", "c"]
    assert singles(space)["b"].to_dict() == {"a": 0, "b": 1, "c": 0}
    assert list(singles(MixtureSpace(["a", "b"], {"a": (0.1, 1)}))) == ["a"]


def test_a_design_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="ask for at least 1"):
        design("regmix", PILE, 0, rng=rng())
