"""Terms that tell clusters apart, and names that a domain and a file can have."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mixopt.space import Domain
from proxies.heap.terms import names_of_terms, names_of_values, telling_terms

SEA = ["the ship sails", "the ships and the harbour", "the ship in harbour", "the ship"]
LAW = ["the judge rules", "the judge in court", "the court", "the judge"]


def test_terms_are_frequent_in_their_cluster_and_rare_elsewhere() -> None:
    labels = np.array([0] * 4 + [2] * 4)
    sea, nothing, law = telling_terms(SEA + LAW, labels, 3)
    assert sea[:2] == ("ship", "harbour")
    assert law[:2] == ("judge", "court")
    assert nothing == ()
    assert "the" not in sea + law
    assert "ships" not in sea, "one form of a word is enough"


def test_texts_without_words_have_no_terms() -> None:
    assert telling_terms(["1 2", "3"], np.array([0, 1]), 2) == [(), ()]


def test_a_word_of_one_document_names_no_large_cluster() -> None:
    texts = [f"shared rare{chr(97 + n)}" for n in range(20)] + ["other thing"] * 20
    own, _ = telling_terms(texts, np.repeat([0, 1], 20), 2)
    assert own == ("shared",)


words = st.lists(st.sampled_from(["sea", "ship", "law", "übung"]), max_size=4, unique=True)


@given(st.lists(words.map(tuple), max_size=12))
def test_names_of_clusters_are_domain_names_each_once(terms: list[tuple[str, ...]]) -> None:
    names = names_of_terms(terms)
    assert len(set(names)) == len(terms)
    assert [Domain(name).name for name in names] == names


@given(st.lists(st.text(max_size=80), max_size=10, unique=True))
def test_names_of_values_can_be_files_on_any_system(values: list[str]) -> None:
    names = names_of_values(values)
    assert len({name.lower() for name in names}) == len(values)
    for name in names:
        assert Domain(name).name == name
        assert not set(name) & set("/\\.:=\0 ")
        assert not name.startswith(("_", "-"))
