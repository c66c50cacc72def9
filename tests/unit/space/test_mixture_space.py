"""Spaces: projection, membership, feasibility and what they say when it fails."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mixopt import Domain, Group, InfeasibleError, InputError, Mixture, MixtureSpace, Tie
from mixopt.space import groups_by_parent, groups_by_tag
from mixopt.space.feasibility import conflict
from mixopt.space.rules import rules_of
from mixopt.space.simplex import Array
from mixopt.testing.strategies import generators, spaces

METRICS: tuple[Any, ...] = ("euclidean", "kl")
LANGUAGES = [
    Domain("en1", tags={"lang": "en"}, parent="web"),
    Domain("en2", tags={"lang": "en"}, parent="books"),
    Domain("fr1", tags={"lang": "fr"}, parent="web"),
    Domain("code"),
]


def draws(space: MixtureSpace, rng: np.random.Generator, rows: int = 6) -> Array:
    return rng.dirichlet(np.full(space.dim, 0.5), size=rows)


# -- projection ------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(spaces(), generators(), st.sampled_from(METRICS))
def test_projection_keeps_every_constraint_and_is_idempotent(
    space: MixtureSpace, rng: np.random.Generator, metric: Any
) -> None:
    W = draws(space, rng)
    x = space.project(W, metric)
    assert space.contains(x, 1e-8).all()
    np.testing.assert_allclose(space.project(x, metric), x, atol=1e-8)
    assert space.violations(x[0]) == []


@settings(max_examples=40, deadline=None)
@given(spaces(), generators())
def test_euclidean_projection_does_not_expand(
    space: MixtureSpace, rng: np.random.Generator
) -> None:
    V, U = rng.standard_normal((2, 5, space.dim))
    x, y = space.project(V), space.project(U)
    assert space.contains(x, 1e-8).all()
    before, after = (np.linalg.norm(a - b, axis=1) for a, b in ((V, U), (x, y)))
    assert (after <= before + 1e-7).all()


@settings(max_examples=25, deadline=None)
@given(spaces(most=5), generators(), st.sampled_from(METRICS))
def test_no_allowed_mixture_is_nearer(
    space: MixtureSpace, rng: np.random.Generator, metric: Any
) -> None:
    """Optimality: against draws of the polytope, and against SLSQP started from the answer."""
    v = draws(space, rng, 1)[0] + 1e-6

    def distance(x: Array) -> float:
        if metric == "euclidean":
            return float(0.5 * ((x - v) ** 2).sum())
        return float((x * np.log(np.maximum(x, 1e-300) / v) - x).sum())

    x = space.project(v, metric)
    others = space.sample(50, rng)
    along = x + 1e-3 * (others - x)
    assert min(map(distance, along)) >= distance(x) - 1e-8
    P = space.polytope
    ties = [r.rows[0] for r in space.rules if len(r.rows) > 1]
    found = minimize(
        distance,
        x,
        bounds=list(zip(space.lower, space.upper, strict=True)),
        constraints=[
            {"type": "eq", "fun": lambda w: np.array([w.sum() - 1, *[t @ w for t in ties]])},
            {"type": "ineq", "fun": lambda w: np.r_[P.A @ w - P.low, P.high - P.A @ w, 1.0]},
        ],
        options={"ftol": 1e-12},
    )
    if space.contains(found.x, 1e-9)[0]:
        assert found.fun >= distance(x) - 1e-6


@settings(max_examples=25, deadline=None)
@given(spaces(), generators(), st.sampled_from(METRICS))
def test_projection_does_not_know_the_order_of_domains(
    space: MixtureSpace, rng: np.random.Generator, metric: Any
) -> None:
    order = rng.permutation(space.dim)
    turned = space.replace(domains=[space.domains[i] for i in order])
    W = draws(space, rng)
    np.testing.assert_allclose(
        space.project(W, metric)[:, order], turned.project(W[:, order], metric), atol=1e-6
    )


def test_kl_projection_keeps_zeros() -> None:
    space = MixtureSpace(["a", "b", "c", "d"], groups=[Group("g", ("a", "b"), 0.0, 0.5)])
    x = space.project([0.9, 0.0, 0.1, 0.0], "kl")
    np.testing.assert_allclose(x, [0.5, 0, 0.5, 0], atol=1e-9)
    assert (x[[1, 3]] == 0).all()


def test_a_thousand_domains_with_groups_project_quickly() -> None:
    names = [f"d{i}" for i in range(1000)]
    groups = [Group(f"g{k}", tuple(names[k::20]), 0.01, 0.06) for k in range(20)]
    space = MixtureSpace(dict.fromkeys(names, 1e9), groups=groups, budget=1e11, epochs=4)
    W = np.random.default_rng(0).dirichlet(np.full(1000, 0.1), size=20)
    for metric in METRICS:
        assert space.contains(space.project(W, metric), 1e-8).all()


@settings(max_examples=25, deadline=None)
@given(spaces(), generators())
def test_uniform_samples_are_allowed(space: MixtureSpace, rng: np.random.Generator) -> None:
    assert space.contains(space.sample(20, rng), 1e-7).all()


def test_uniform_samples_have_the_right_moments() -> None:
    """On {.1 <= a <= .5} of a triangle the density of a is (1 - a) / .28."""
    space = MixtureSpace(["a", "b", "c"], {"a": (0.1, 0.5)}, groups=[Group("g", ("b", "c"), 0, 1)])
    from_hits = MixtureSpace(["a", "b", "c"], {"a": (0.48, 0.5)}).sample(
        4000, np.random.default_rng(0)
    )
    W = space.sample(8000, np.random.default_rng(0))
    np.testing.assert_allclose(W.mean(axis=0), [0.28095, 0.35952, 0.35952], atol=0.01)
    np.testing.assert_allclose(from_hits.mean(axis=0), [0.48993, 0.25503, 0.25503], atol=0.01)


# -- bounds, caps, groups --------------------------------------------------------------------------


def test_epoch_caps_by_class_and_name() -> None:
    domains = [
        Domain("a", 1e9, tags={"quality": "high"}),
        Domain("b", 1e9, tags={"quality": "high"}),
        Domain("c", 1e9),
        Domain("d"),
    ]
    space = MixtureSpace(domains, budget=1e11, epochs={"*": 4, "quality=high": 8, "b": 15})
    np.testing.assert_allclose(space.caps, [0.08, 0.15, 0.04, 1.0])
    assert MixtureSpace({"a": 0, "b": None}, budget=10).natural.weights == (0.0, 1.0)


def test_groups_by_tag_and_parent() -> None:
    groups = groups_by_tag(LANGUAGES, "lang", {"fr": (0.2, 0.3)})
    groups += groups_by_parent(LANGUAGES, {"web": (0.0, 0.5), "code": (0.1, 1.0)})
    space = MixtureSpace(LANGUAGES, groups=groups)
    w = space.project([0.7, 0.3, 0.0, 0.0], "kl")
    assert space.contains(w, 1e-9).all()
    shares = space.shares(w, "lang")
    assert 0.2 - 1e-9 <= shares["fr"] <= 0.3 + 1e-9
    assert space.shares(w)["web"] == pytest.approx(w[0] + w[2])
    with pytest.raises(InputError, match="no domain has tag 'lang' 'de'; known: en, fr"):
        groups_by_tag(LANGUAGES, "lang", {"de": (0, 0.1)})


def test_a_tie_freezes_ratios() -> None:
    old = Mixture.of({"a": 0.3, "b": 0.1, "c": 0.6})
    space = MixtureSpace(["a", "b", "new"], ties=[Tie.frozen("old", old, ["a", "b"])])
    w = space.project([0.1, 0.5, 0.4], "kl")
    assert w[0] / w[1] == pytest.approx(3)
    assert space.violations([0.5, 0.2, 0.3]) == [
        "tie 'old' (a, b in the ratio 0.75 : 0.25) is broken by 0.025"
    ]


@settings(max_examples=25, deadline=None)
@given(spaces(), generators())
def test_sparse_mixtures_have_no_small_weight(
    space: MixtureSpace, rng: np.random.Generator
) -> None:
    w = space.project(draws(space, rng, 1)[0], "kl")
    x = space.sparsify(w, 0.05)
    assert space.contains(x, 1e-8).all()
    # Where constraints force a small weight (an equation, a cap), it may stay.
    forced = (space.upper < 0.05) | (space.lower > 0)
    if not (forced.any() or space.groups or space.ties):
        assert not ((x > 1e-12) & (x < 0.05 - 1e-9)).any()


def test_what_a_cap_leaves_over_is_raised_to_the_smallest_share() -> None:
    space = MixtureSpace(["a", "b"], {"a": (0, 0.97)})
    np.testing.assert_allclose(space.sparsify([0.97, 0.03], 0.05), [0.95, 0.05], atol=1e-9)


def test_sparsify_drops_and_reprojects() -> None:
    space = MixtureSpace(["a", "b", "c", "d"], {"a": (0, 0.6)}, min_weight=0.02)
    x = space.sparsify([0.6, 0.385, 0.01, 0.005])
    np.testing.assert_allclose(x, [0.6, 0.4, 0, 0], atol=1e-9)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        ({"bounds": {"a": (0.7, 1), "b": (0.6, 1), "c": (0.1, 1)}}, ["a >= 0.7", "b >= 0.6"]),
        (
            {"bounds": {"a": (0.5, 1)}, "groups": [Group("g", ("a", "b"), 0, 0.4)]},
            ["a >= 0.5", "group 'g' (a, b) <= 0.4"],
        ),
        (
            {
                "bounds": {"a": (0, 0.2), "d": (0, 0.9)},
                "ties": [Tie("t", {"a": 1, "b": 1})],
                "groups": [Group("g", ("a", "b"), 0.6, 1), Group("h", ("c", "d"), 0, 0.9)],
            },
            ["a <= 0.2", "group 'g' (a, b) >= 0.6", "tie 't'"],
        ),
    ],
)
def test_a_conflict_is_named_exactly(given_: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(InfeasibleError) as caught:
        MixtureSpace(["a", "b", "c", "d"], **given_)
    message = str(caught.value)
    listed = message.partition("these conflict: ")[2].partition(". To resolve")[0]
    listed = listed.removesuffix("; lower some of them")
    assert len(listed.split("; ")) == len(named)
    for text in named:
        assert text in listed
    assert "c >= 0.1" not in message
    assert "'h'" not in message


def test_doing_what_the_message_says_resolves_the_conflict() -> None:
    domains, bounds = ["a", "b", "c"], {"a": (0.5, 1.0)}
    with pytest.raises(InfeasibleError, match=r"raise the upper bound of group 'g' by 0\.1"):
        MixtureSpace(domains, bounds, groups=[Group("g", ("a", "b"), 0, 0.4)])
    MixtureSpace(domains, bounds, groups=[Group("g", ("a", "b"), 0, 0.5)])


@settings(max_examples=30, deadline=None)
@given(generators())
def test_conflicts_are_conflicts_and_irreducible(rng: np.random.Generator) -> None:
    m = 5
    names = [f"d{i}" for i in range(m)]
    bounds = {n: tuple(sorted(rng.random(2) * [0.3, 0.6])) for n in names}
    groups = []
    for g in range(5):
        members = tuple(n for n in names if rng.random() < 0.5) or (names[0],)
        low, high = sorted(rng.random(2))
        groups.append(Group(f"g{g}", members, low, high))
    rules = rules_of(names, bounds, {}, groups, [])
    found = conflict(rules, m)
    if not found:
        MixtureSpace(names, bounds, groups=groups)
        return
    assert conflict(found, m) == found
    for rule in found:
        assert conflict([r for r in found if r is not rule], m) == []


def test_too_small_caps_say_what_budget_or_epochs_would_do() -> None:
    with pytest.raises(InfeasibleError, match=r"about 3.12 times.*at most 3.2e\+10 tokens"):
        MixtureSpace({"a": 1e9, "b": 2e9, "c": 5e9}, budget=1e11)
    MixtureSpace({"a": 1e9, "b": 2e9, "c": 5e9}, budget=3.2e10)


def test_a_thousand_caps_are_explained_at_once() -> None:
    with pytest.raises(InfeasibleError, match="and 992 more like these"):
        MixtureSpace({f"d{i}": 1e6 for i in range(1000)}, budget=1e11)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixtureSpace([]), "at least one domain"),
        (lambda: MixtureSpace(["a", "a"]), "'a' is given twice"),
        (lambda: MixtureSpace({"a": "80 gb"}), "'a' has '80 gb' for its tokens; give a number"),
        (lambda: MixtureSpace([" a"]), "has spaces around it"),
        (lambda: MixtureSpace(["a\nb"]), "line break"),
        (lambda: MixtureSpace(["a=b"]), "holds '='"),
        (lambda: MixtureSpace({"a": -1.0}), "tokens is -1.0; give a number >= 0"),
        (lambda: MixtureSpace({"a": float("nan")}), "tokens is nan"),
        (lambda: MixtureSpace(["a"], {"b": (0, 1)}), "unknown domain 'b'; known: a"),
        (lambda: MixtureSpace(["a", "b"], {"a": (0.5, 0.2)}), "0 <= lower <= upper <= 1"),
        (lambda: MixtureSpace(["a", "b"], {"a": (20, 80)}), "shares, not percentages"),
        (lambda: MixtureSpace(["a", "b"], {"a": 0.9}), "two shares, such as"),  # type: ignore[dict-item]
        (lambda: MixtureSpace(["a"], budget=-5), "budget is -5"),
        (lambda: MixtureSpace(["a"], budget=5, epochs=0), "epochs of '\\*' are 0"),
        (lambda: MixtureSpace(["a"], epochs={"x": 2}), "unknown domain 'x'"),
        (lambda: MixtureSpace(["a"], epochs={"lang=en": 2}), "no domain has this tag"),
        (lambda: MixtureSpace(["a", "b"], min_weight=2), "min_weight is 2"),
        (lambda: Group("g", ("a",), 0.5, 0.2), "bounds of group 'g'"),
        (lambda: Group("g", ()), "holds no domain"),
        (lambda: Group("g", ("a", "a")), "names 'a' twice"),
        (lambda: Tie("t", {"a": 1.0}), "at least two"),
        (lambda: Tie("t", {"a": 1.0, "b": 0.0}), "ratio of 'b' is 0"),
        (
            lambda: MixtureSpace(
                ["a", "b"], ties=[Tie("t", {"a": 1, "b": 1}), Tie("u", {"a": 1, "b": 2})]
            ),
            "in the ties 't' and 'u'",
        ),
        (lambda: MixtureSpace({"a": 0.0, "b": 0.0}).prior, "all zero"),
        (lambda: MixtureSpace(["a", "b"]).project([0.5, np.nan]), "missing values"),
        (lambda: MixtureSpace(["a", "b"]).project([1.0]), "rows of 2"),
        (lambda: MixtureSpace(["a", "b"]).mixture([0.5, 0.4]), "sum to 0.9"),
        (lambda: MixtureSpace(["a", "b"]).mixture({"c": 1.0}), "unknown domain 'c'"),
    ],
)
def test_bad_input_names_value_rule_and_remedy(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_tokens_are_written_as_in_a_spec() -> None:
    space = MixtureSpace({"web": "800B", "code": {"tokens": "1.5k"}, "math": 1e3})
    assert space.tokens.tolist() == [800e9, 1500, 1000]
