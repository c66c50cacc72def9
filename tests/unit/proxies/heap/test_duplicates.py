"""Documents met before: to the letter and nearly, and nothing else."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxies.heap.duplicates import Sketches, digest, repeated, runs

WORDS = [f"w{n}" for n in range(400)]


def written(rng: np.random.Generator, words: int = 300) -> list[str]:
    return [str(word) for word in rng.choice(WORDS, size=words)]


def first_of(texts: list[str], path: Path) -> list[int]:
    with Sketches(path) as sketches:
        for text in texts:
            sketches.add(text)
        return [int(n) for n in sketches.near()]


def jaccard(one: str, other: str) -> float:
    a, b = set(runs(one).tolist()), set(runs(other).tolist())
    return len(a & b) / len(a | b)


def test_near_duplicates_are_those_above_the_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(written(rng)) for _ in range(60)]
    near, apart = [], []
    for text in texts[:20]:
        words = text.split()
        words[100] = "changed"  # five runs of 296 differ
        near.append(" ".join(words))
    for text in texts[20:40]:
        apart.append(" ".join(text.split()[:150] + written(rng, 150)))  # a third in common
    assert min(map(jaccard, texts, near)) > 0.95
    assert max(map(jaccard, texts[20:], apart)) < 0.4
    first = first_of([*texts, *near, *apart], tmp_path / "sketches")
    assert first[:60] == list(range(60))
    assert first[60:80] == list(range(20))
    assert first[80:] == list(range(80, 100))


def test_of_a_chain_all_are_near_its_first(tmp_path: Path) -> None:
    words = written(np.random.default_rng(1))
    chain = [" ".join(words)]
    for place in (50, 150, 250):
        words[place] = "changed"
        chain.append(" ".join(words))
    assert first_of(chain, tmp_path / "sketches") == [0, 0, 0, 0]


def test_many_documents_that_share_a_band_but_not_more_stay(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    head = written(rng, 200)  # about two thirds in common with each other
    texts = [" ".join(head + written(rng, 60)) for _ in range(40)]
    assert first_of(texts, tmp_path / "sketches") == list(range(40))


def test_short_and_empty_texts_are_told_apart(tmp_path: Path) -> None:
    texts = ["one two", "one", "", "two one", "one two", ""]
    assert first_of(texts, tmp_path / "sketches") == [0, 1, 2, 3, 0, 2]
    assert first_of([], tmp_path / "none") == []


@given(st.lists(st.sampled_from(["a", "b", " a ", "c", ""]), max_size=12))
def test_repeated_are_all_but_the_first_of_equal_texts(texts: list[str]) -> None:
    again = repeated(np.array([digest(t) for t in texts], dtype=np.uint64))
    stripped = [t.strip() for t in texts]
    assert again.tolist() == [t in stripped[:i] for i, t in enumerate(stripped)]


def test_runs_ignore_case_and_what_stands_between_words() -> None:
    assert np.array_equal(runs("The cat, sat on the mat!"), runs("the CAT sat\non the mat"))
    assert not np.array_equal(runs("the cat sat on the mat"), runs("the mat sat on the cat"))
