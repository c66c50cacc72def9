"""Projektor: published values, a world made by its formula, and two scales of data."""

import json

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.laws import as_law, fitted_law, law
from mixopt.laws.transport.costs import TransportCosts
from mixopt.laws.transport.projektor import features, projection
from mixopt.space import Domain, MixtureSpace

Q = np.array(
    [[0.2, 0.5, 0.3, 0.4], [0.5, 1.0, 0.8, 0.7], [0.3, 0.8, 0.4, 0.9], [0.4, 0.7, 0.9, 1.4]]
)
COSTS = TransportCosts(("a", "b", "c", "d"), Q, 0.01, 0.2, (0.2, 1.0, 0.4, 1.4), (0.0,) * 4)


def drawn(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(4, 0.7), n)


def test_the_published_projection() -> None:
    now, before = projection(3000.0, 1000.0, 1500.0)
    assert now == pytest.approx(2.709511, abs=1e-6)
    assert before == pytest.approx(-1.709511, abs=1e-6)
    assert now * 0.74 + before * 0.70 == pytest.approx(0.808380, abs=1e-6)


def test_a_world_by_its_formula_is_learned() -> None:
    W, theta = drawn(60), np.random.default_rng(1).normal(size=16)
    truth = lambda P: features(P, Q) @ theta + 2.0  # noqa: E731
    fitted = law("projektor", costs=COSTS).fit(W, truth(W)[:, None], rng=np.random.default_rng(0))
    new = drawn(40, 9)
    assert fitted.predict(new).mean[:, 0] == pytest.approx(
        truth(new), abs=0.02 * np.ptp(truth(new))
    )


def test_two_numbers_of_tokens_are_projected_and_others_corrected() -> None:
    W, rng = drawn(40), np.random.default_rng(0)
    value = lambda P, n: 3.0 + ((P @ Q) * P).sum(1) - 0.2 * np.log(n)  # noqa: E731
    both = np.vstack([W, W])
    tokens = np.repeat([1e6, 1.5e6], 40)
    scale = np.column_stack([np.full(80, 1e5), tokens])
    fitted = law("projektor", costs=COSTS).fit(both, value(both, tokens)[:, None], scale, rng=rng)
    new = drawn(20, 4)
    told = fitted.predict(new, np.tile([1e5, 3e6], (20, 1)))
    assert told.mean[:, 0] == pytest.approx(value(new, 3e6), abs=0.02)
    assert fitted.predict(new).mean[:, 0] == pytest.approx(value(new, 1.5e6), abs=0.01)
    assert (told.sd > fitted.predict(new).sd).all()
    before, now = (part.moments(features(new, Q)) for part in fitted.parts)
    c1, c0 = projection(3e6, 1e6, 1.5e6)
    assert told.mean == pytest.approx(c1 * now[0] + c0 * before[0])
    assert told.sd**2 == pytest.approx(c1**2 * now[1] + c0**2 * before[1])
    again = fitted_law(json.loads(json.dumps(fitted.to_dict())))
    assert again.predict(new).sd == pytest.approx(fitted.predict(new).sd)
    two = np.column_stack([value(both, tokens)] * 2)
    two[tokens == 1e6, 1] = np.nan  # one metric was not measured there
    apart = law("projektor", costs=COSTS).fit(both, two, scale, rng=rng)
    assert apart.to_dict()["law"] == "correction"
    sizes = np.column_stack([np.repeat([1e5, 4e5], 40), tokens])
    other = law("projektor", costs=COSTS).fit(both, value(both, tokens)[:, None], sizes, rng=rng)
    assert other.to_dict()["law"] == "correction"


def test_a_space_puts_its_costs_in_order_also_inside_the_ensemble() -> None:
    space = MixtureSpace([Domain(name) for name in "dcba"])
    names, tags = space.names, [d.tags for d in space.domains]
    plain = law("projektor", costs=COSTS)
    assert plain.tagged(names, tags).costs.domains == tuple("dcba")
    auto = as_law({"use": "auto", "laws": ["log-linear", plain]}).tagged(names, tags)
    assert auto.laws[1].costs.domains == tuple("dcba")
    W = drawn(30)
    y = (((W @ Q) * W).sum(1))[:, None]
    fitted = auto.fit(W[:, ::-1], y, rng=np.random.default_rng(0))
    assert fitted.members["projektor"][0] > 0.5


def test_what_it_needs_is_said() -> None:
    with pytest.raises(InputError, match="mixopt transport SPEC"):
        law("projektor")
    with pytest.raises(InputError, match="no file of transport costs"):
        as_law({"use": "projektor", "costs": "absent.json"})
    with pytest.raises(InputError, match="without a name"):
        as_law({"costs": "absent.json"})
    with pytest.raises(InputError, match="costs are of 4 domains, and mixtures of 3"):
        law("projektor", costs=COSTS).fit(np.eye(3), np.ones((3, 1)), rng=np.random.default_rng(0))
