from hypothesis import given, settings
from hypothesis import strategies as st

from proxies.corpus.documents import (
    Deduplicator,
    Item,
    Tally,
    Text,
    chunks,
    documents,
    normalise,
    split_documents,
    whole,
)

LONG = "a paragraph that is long enough to count as one, with more than sixty-four characters"
texts = st.text(st.characters(codec="utf-8"), max_size=300)


def items(*contents: str) -> list[Item]:
    return [Item(f"{i}", content.encode(), whole) for i, content in enumerate(contents)]


def read(*contents: str, dedup: Deduplicator | None = None) -> list[str]:
    return [text for text, _ in documents(items(*contents), dedup or Deduplicator(), Tally())]


def split(contents: list[str], fraction: float = 0.2, cap: int = 10**9):
    return split_documents(
        map(Text, contents), max_train=cap, max_validation=cap, validation_fraction=fraction
    )


def test_order_depends_on_content_and_not_on_the_order_of_files():
    assert read("one", "two", "three") == read("three", "one", "two")


def test_a_document_counts_once_even_across_domains():
    dedup = Deduplicator()
    assert sorted(read("same", "same  ", "same", "other", dedup=dedup)) == ["other", "same"]
    assert read("same", dedup=dedup) == []


def test_a_repeated_long_paragraph_is_dropped_and_a_short_one_kept():
    dedup = Deduplicator()
    first = dedup.filter(f"start\n\n{LONG}\n\nshort")
    second = dedup.filter(f"another\n\n{LONG}\n\nshort")
    assert first == f"start\n\n{LONG}\n\nshort"
    assert second == "another\n\nshort"


@settings(deadline=None)
@given(texts)
def test_normalising_twice_changes_nothing(text: str):
    assert normalise(normalise(text)) == normalise(text)


@settings(deadline=None)
@given(texts, st.integers(1, 50))
def test_chunks_joined_are_the_document(text: str, size: int):
    assert "\n".join(chunks(text, size)) == text


def test_lone_surrogates_from_json_become_text():
    assert normalise("a\ud800b").encode() == b"a?b"


def test_train_and_validation_share_no_document_and_lose_none():
    contents = [f"document {i} {LONG}" for i in range(400)]
    parts = split(contents)
    assert set(parts.train).isdisjoint(parts.validation)
    assert sorted(parts.train + parts.validation) == sorted(contents)
    assert 40 <= len(parts.validation) <= 120  # 20 % of 400 = 80, 5 sd either way


def test_a_document_keeps_its_side_when_others_are_added():
    contents = [f"document {i} {LONG}" for i in range(300)]
    small, large = split(contents[:250]), split(contents)
    assert set(small.validation) <= set(large.validation)


def test_few_documents_are_split_by_chunk():
    book = "\n".join(f"line {i} of a single long book {LONG}" for i in range(2000))
    parts = split([book])
    assert parts.train
    assert parts.validation
    assert sum(map(len, parts.train)) > sum(map(len, parts.validation))


def test_caps_hold_up_to_one_piece_and_long_documents_wait():
    long = ["\n".join(f"{i} {j} {LONG}" for j in range(1000)) for i in range(220)]
    parts = split(long, cap=200_000)
    for side in (parts.train_bytes, parts.validation_bytes):
        assert 200_000 <= side < 200_000 + 20_000
    assert len({piece.split()[0] for piece in parts.train}) >= 10  # not one document alone


def test_the_tally_estimates_text_that_was_not_read():
    tally = Tally()
    stream = documents(items(*(f"{i:04d} {LONG}" for i in range(100))), Deduplicator(), tally)
    for _ in range(50):
        next(stream)
    assert tally.available() == tally.raw_total == 100 * len(f"0000 {LONG}")
