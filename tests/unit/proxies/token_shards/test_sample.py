"""What is drawn: from everywhere, the same at every place, and more of it contains less."""

from pathlib import Path

import numpy as np
import token_files
from hypothesis import given
from hypothesis import strategies as st

from proxies.token_shards import TokenSource
from proxies.token_shards.sample import Wanted, draw, split
from proxies.token_shards.vocabulary import END, Vocabulary


def shards(folder: Path, number: int = 3, documents: int = 4000) -> TokenSource:
    """Documents whose ids say where they are from: shard, then number."""
    folder.mkdir(exist_ok=True)
    for shard in range(number):
        data = [[shard + 1, i + 10, i + 10, i + 10, 0] for i in range(documents)]
        token_files.write_megatron(folder / f"s{shard}", data)
    return TokenSource(str(folder), "megatron", settings={"end": 0})


def drawn(source: TokenSource, train: int, fraction: float = 0.1) -> tuple[list[str], list[str]]:
    sample = draw("web", source.open("web"), Wanted(train, train // 5, fraction), source.order)
    names = [[f"{d[0]}/{d[1]}" for d in part] for part in (sample.train, sample.validation)]
    return names[0], names[1]


def test_a_larger_sample_contains_a_smaller_one_and_all_shards_are_drawn_from(
    tmp_path: Path,
) -> None:
    source = shards(tmp_path / "a")
    small, held = drawn(source, 2000)
    large, more = drawn(source, 20_000)
    assert large[: len(small)] == small
    assert more[: len(held)] == held
    assert not set(large) & set(more)
    assert len(small) == 500  # of 4 tokens each
    for share in ([n.startswith(f"{s}/") for n in small] for s in (1, 2, 3)):
        assert 0.25 < np.mean(share) < 0.42
    places = [int(name.split("/")[1]) for name in small]
    assert 0.4 * 4000 < np.mean(places) < 0.6 * 4000
    assert places != sorted(places)


def test_what_is_drawn_does_not_depend_on_where_shards_lie(tmp_path: Path) -> None:
    one, two = shards(tmp_path / "a"), shards(tmp_path / "b")
    assert drawn(one, 3000) == drawn(two, 3000)


def test_stored_order_begins_at_the_beginning(tmp_path: Path) -> None:
    source = shards(tmp_path / "a", 2, 100)
    stored = TokenSource(source.shards, "megatron", "stored", source.settings)
    train, _ = drawn(stored, 600, 0.0)
    assert train == [*(f"1/{i + 10}" for i in range(100)), *(f"2/{i + 10}" for i in range(50))]


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    (shard,) = shards(tmp_path / "a", 1, 30_000).open("web")
    read: list[int] = []
    whole = shard.read
    shard.read = lambda units: read.extend(units.tolist()) or whole(units)  # type: ignore
    draw("web", [shard], Wanted(4000, 400, 0.1))
    assert 1000 <= len(read) < 2500


@given(st.lists(st.lists(st.integers(1, 50), max_size=5), max_size=8))
def test_units_are_split_at_their_ends(documents: list[list[int]]) -> None:
    ids = np.array([t for d in documents for t in [*d, 0]], np.int64)
    assert [d.tolist() for d in split(ids, 0)] == [d for d in documents if d]
    assert [d.tolist() for d in split(ids, None)] == ([ids.tolist()] if len(ids) else [])


def test_frequent_ids_are_told_apart_and_others_share_one() -> None:
    big = [np.array([900] * 50 + [5] * 40 + [6] * 10)] * 10
    small = [np.array([70] * 5 + [80] * 3 + [900] * 2)]  # a domain's size gives it no more say
    vocabulary = Vocabulary.of({"big": big, "small": small}, 5)
    assert vocabulary.ids.tolist() == [900, 70, 5]
    assert vocabulary.size == 5
    stream = vocabulary.encode([np.array([900, 6, 80, 5]), np.array([12_345])])
    assert stream.tolist() == [1, 4, 4, 3, END, 4, END]
    assert vocabulary.shared(stream) == 3 / 7
    lengths = np.zeros(13_000, np.int32)
    lengths[[900, 70, 5, 6, 80]] = [3, 4, 1, 2, 6]
    assert vocabulary.token_bytes(lengths, [np.array([6, 80, 80, 5])]).tolist() == [0, 3, 4, 1, 5]
    assert vocabulary.token_bytes(None, []).tolist() == [0, 1, 1, 1, 1]
    whole = Vocabulary.of({"big": big, "small": small}, 6)
    assert (whole.size, whole.shares_rest) == (6, False)
