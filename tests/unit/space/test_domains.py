"""Domains, mixtures, groups and ties: refused at once, with the name."""

import pickle
from typing import Any

import pytest

from mixopt import Domain, Group, InputError, Mixture, Tie
from mixopt.space import groups_by_parent, groups_by_tag
from mixopt.space.domains import as_domains


@pytest.mark.parametrize("name", ["", " a", "a ", "a=b", "a\tb", "a\nb", "a\0"])
def test_names_of_more_than_a_line_or_with_an_equals_sign_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="rename it"):
        Domain(name)


@pytest.mark.parametrize("name", ["Wikipedia (en)", "DM Mathematics", "Law, politics", "日本語"])
def test_names_are_as_people_write_them(name: str) -> None:
    assert Domain(name).name == name


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("what", ["tokens", "prior"])
def test_amounts_are_numbers_from_zero(what: str, value: float) -> None:
    with pytest.raises(InputError, match=f"domain 'web': {what} is"):
        Domain("web", **{what: value})
    assert Domain("web", **{what: 0.0}) is not None


def test_a_domain_goes_to_a_worker_as_it_is() -> None:
    domain = Domain("web", 8e9, 2.0, {"licence": "cc"}, "crawl")
    assert pickle.loads(pickle.dumps(domain)) == domain  # noqa: S301 - our own bytes
    with pytest.raises(TypeError):
        domain.tags["licence"] = "mit"  # type: ignore[index]


def test_a_mixture_sums_to_one_and_is_read_by_name() -> None:
    mixture = Mixture.of({"web": 0.7501, "code": 0.25})  # rounded as in a table
    assert sum(mixture.weights) == pytest.approx(1.0, abs=1e-12)
    assert mixture["web"] == pytest.approx(0.7501 / 1.0001)
    assert mixture.to_dict() == dict(zip(("web", "code"), mixture.array.tolist(), strict=True))
    with pytest.raises(InputError, match="did you mean 'code'"):
        mixture["cod"]


@pytest.mark.parametrize(
    ("domains", "weights", "message"),
    [
        (("a", "b"), (1.0,), "2 domains and 1 weights"),
        ((), (), "0 domains"),
        (("a", "a"), (0.5, 0.5), "'a' is given twice"),
        (("a", "b"), (0.5, 0.4), "sum"),
        (("a", "b"), (1.5, -0.5), "-0.5"),
    ],
)
def test_what_is_no_mixture_is_refused(
    domains: tuple[str, ...], weights: tuple[float, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Mixture(domains, weights)


def test_any_positive_amounts_are_shares_where_that_is_asked_for() -> None:
    assert Mixture.of({"a": 3.0, "b": 1.0}, renormalize=True)["a"] == 0.75
    with pytest.raises(InputError):
        Mixture.of({"a": 3.0, "b": 1.0})


@pytest.mark.parametrize(
    ("lower", "upper"), [(-0.1, 1.0), (0.0, 1.1), (0.6, 0.5), (float("nan"), 1.0)]
)
def test_bounds_of_a_group_are_shares_in_order(lower: float, upper: float) -> None:
    with pytest.raises(InputError, match="text"):
        Group("text", ("a", "b"), lower, upper)


def test_groups_and_ties_name_domains_once() -> None:
    with pytest.raises(InputError, match="a"):
        Group("text", ("a", "a"))
    with pytest.raises(InputError):
        Group("text", ())
    with pytest.raises(InputError):
        Tie("fixed", {"a": 1.0})
    with pytest.raises(InputError):
        Tie("fixed", {"a": 1.0, "b": -1.0})


def test_domains_come_in_many_forms_and_keep_their_order() -> None:
    ready = Domain("b", 5.0, tags={"lang": "en"})
    assert as_domains(["a", ready]) == (Domain("a"), ready)
    given: dict[str, Any] = {"a": 1e9, "c": None, "x": ready, "d": {"tokens": 2, "parent": "web"}}
    assert as_domains(given) == (
        Domain("a", 1e9),
        Domain("c"),
        ready,
        Domain("d", 2, parent="web"),
    )
    with pytest.raises(InputError, match="'b' is given twice"):
        as_domains(["a", "b", "b"])


@pytest.mark.parametrize("limits", [(0.0, 0.0), (1.0, 1.0), (0.3, 0.3), (0.0, 1.0)])
def test_groups_may_be_equations_and_reach_the_ends(limits: tuple[float, float]) -> None:
    group = Group("g", ["a", "b"], *limits)  # type: ignore[arg-type]
    assert group.domains == ("a", "b")
    assert (group.lower, group.upper) == limits
    assert Group("g", ("a",)) == Group("g", ("a",), 0.0, 1.0)


def test_ratios_of_a_tie_sum_to_1() -> None:
    assert Tie("t", {"a": 6, "b": 2}).ratios == {"a": 0.75, "b": 0.25}
    for bad in (0.0, float("inf")):
        with pytest.raises(InputError, match="ratio of 'b' is"):
            Tie("t", {"a": 1.0, "b": bad})


def test_groups_are_made_of_those_that_have_limits() -> None:
    domains = [
        Domain("a", tags={"lang": "en"}, parent="web"),
        Domain("b", tags={"lang": "en"}),
        Domain("c", parent="web"),
    ]
    limits = (0.1, 0.4)
    assert groups_by_tag(domains, "lang", {"en": limits}) == (
        Group("lang=en", ("a", "b"), *limits),
    )
    assert groups_by_tag(domains, "lang", {}) == ()
    assert groups_by_parent(domains, {"web": limits, "b": limits}) == (
        Group("web", ("a", "c"), *limits),
        Group("b", ("b",), *limits),  # without a parent, a domain is its own source
    )
    with pytest.raises(InputError, match="no domain has parent 'books'"):
        groups_by_parent(domains, {"books": limits})
