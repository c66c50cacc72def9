"""Every layout: what was written is what is drawn, and files that do not fit are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import token_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt import InputError
from proxies.token_shards import TokenSource
from proxies.token_shards.sample import Wanted, draw

END = 7
ALL = Wanted(10**9, 1, 0.0)


def documents(seed: int = 0, number: int = 120) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, number)
    return [[*rng.integers(8, 5000, n).tolist(), END] for n in lengths]


def write(folder: Path, kind: str, data: list[list[int]]) -> TokenSource:
    """Write documents in a layout; the source that reads it."""
    extra: dict[str, Any] = {"end": END}
    if kind == "megatron":
        token_files.write_megatron(folder / "a_text", data)
        path = folder / "a_text"
    elif kind == "datatrove":
        token_files.write_datatrove(path := folder / "a.ds", data)
    elif kind == "flat":
        token_files.write_flat(path := folder / "a.npy", data)
        extra |= {"dtype": "uint16"}
    elif kind == "numpy":
        np.save(path := folder / "a.npy", np.array([t for d in data for t in d], np.int32))
        return TokenSource(str(path), "flat", settings=extra)
    elif kind.startswith("mds"):
        token_files.write_mds(path := folder / "mds", data, kind.partition(" ")[2])
        extra |= {"dtype": "int32"} if kind.endswith("bytes") else {}
        return TokenSource(str(path), "mds", settings=extra)
    elif kind == "litdata":
        token_files.write_litdata(path := folder / "lit", data)
    else:
        writer = token_files.write_parquet if kind == "parquet" else token_files.write_arrow
        writer(path := folder / f"a.{kind}", data)
        return TokenSource(str(path), "rows", settings=extra)
    return TokenSource(str(path), kind, settings=extra)


KINDS = [
    *("megatron", "datatrove", "flat", "numpy", "litdata", "parquet", "arrow"),
    *("mds ndarray", "mds ndarray:int32", "mds bytes"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_what_is_drawn(kind: str, tmp_path: Path) -> None:
    data = documents()
    shards = write(tmp_path, kind, data).open("web")
    sample = draw("web", shards, ALL)
    drawn = sorted(d.tolist() for d in sample.train)
    assert drawn == sorted(d[:-1] for d in data)
    assert sample.validation == []
    total = sum(map(len, data))
    if sample.exact:
        assert sample.tokens == total
    else:
        assert sample.tokens == pytest.approx(total, rel=0.3)
    assert sample.exact is not kind.startswith("mds")


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(st.integers(0, 12_000), min_size=1, max_size=30),
    wide=st.booleans(),
)
def test_windows_of_flat_files_hold_every_document_once(
    tmp_path: Path, lengths: list[int], wide: bool
) -> None:
    """Documents longer than windows, empty ones, and ends at every place."""
    data = [[*range(10, 10 + n), END] for n in lengths]
    kind = "<u4" if wide else "<u2"
    token_files.write_flat(path := tmp_path / "a.bin", data, kind)
    name = "uint32" if wide else "uint16"
    shards = TokenSource(str(path), "flat", settings={"dtype": name, "end": END}).open("web")
    drawn = draw("web", shards, ALL).train if any(lengths) else []
    assert sorted(map(len, drawn)) == sorted(n for n in lengths if n)
    assert all(d[0] == 10 and d[-1] == 9 + len(d) for d in drawn)


def test_several_shards_of_a_folder_pattern_or_prefix_are_one_domain(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for seed, name in enumerate(("deep/a", "deep/b", "c")):
        token_files.write_megatron(tmp_path / name, documents(seed, 10))
    labels = lambda path: [s.label for s in TokenSource(str(path), "megatron").open("web")]  # noqa: E731
    assert labels(tmp_path) == ["c", "deep/a", "deep/b"]
    assert labels(tmp_path / "deep/*.idx") == ["a", "b"]
    assert labels(tmp_path / "c") == labels(tmp_path / "c.bin") == ["c"]
    (shard,) = TokenSource(str(tmp_path / "c"), "megatron").open("web")
    assert shard.place == str(tmp_path / "c")


def cut(path: Path, by: int) -> None:
    path.write_bytes(path.read_bytes()[:-by])


BROKEN: list[tuple[str, Callable[[Path], None], str]] = [
    ("megatron", lambda p: cut(p / "a_text.bin", 2), "a_text.bin has .* its index is longer"),
    ("megatron", lambda p: cut(p / "a_text.idx", 8), "a_text.idx has .* cut off or damaged"),
    ("megatron", lambda p: (p / "a_text.idx").write_bytes(b"x" * 99), "no index of Megatron"),
    ("megatron", lambda p: (p / "a_text.bin").unlink(), "a_text.bin: no such file"),
    ("datatrove", lambda p: cut(p / "a.ds", 3), "are not the .* tokens of its index"),
    ("datatrove", lambda p: (p / "a.ds.index").unlink(), "has no .*index"),
    ("flat", lambda p: cut(p / "a.npy", 1), "are no whole number of uint16"),
    ("litdata", lambda p: cut(p / "lit/chunk-0-0.bin", 4), "copy both again"),
    ("litdata", lambda p: (p / "lit/index.json").write_text("{}"), "no index of litData"),
    ("mds bytes", lambda p: cut(p / "mds/shard.00000.mds", 9), "cut off"),
    ("mds ndarray", lambda p: (p / "mds/index.json").write_text("[]"), "no index of MDS"),
    ("parquet", lambda p: cut(p / "a.parquet", 9), "a.parquet cannot be read"),
]


@pytest.mark.parametrize(("kind", "damage", "message"), BROKEN)
def test_damage_is_named_before_training(
    kind: str, damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    source = write(tmp_path, kind, documents())
    damage(tmp_path)
    with pytest.raises(InputError, match=f"domain 'web': .*{message}"):
        draw("web", source.open("web"), ALL)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"dtype": "uint16"}, "'end'"),
        ({"dtype": "float32", "end": 1}, "dtype is 'float32'; give the integers"),
        ({"end": 1}, "dtype is None; give the integers"),
        ({"dtype": "uint8", "end": 700}, "uint8 cannot hold 700"),
        ({"dtype": "uint16", "end": 9999}, "the id 9999, .* is nowhere in .*; correct `end`"),
        ({"dtype": "uint16", "end": 7, "ende": 7}, "no setting 'ende'.*did you mean 'end'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    settings_: dict[str, Any], message: str, tmp_path: Path
) -> None:
    token_files.write_flat(tmp_path / "a.npy", [[8, 9, 7]] * 3000)
    source = TokenSource(str(tmp_path / "a.npy"), "flat", settings=settings_)
    with pytest.raises(InputError, match=message):
        draw("web", source.open("web"), Wanted(10_000, 1, 0.0))


def test_a_reader_of_ones_own_is_named_by_its_address(tmp_path: Path) -> None:
    token_files.write_megatron(tmp_path / "a", documents())
    own = TokenSource(str(tmp_path / "a"), "proxies.token_shards.formats.megatron:read_megatron")
    assert own.open("web")[0].tokens == sum(map(len, documents()))
    with pytest.raises(InputError, match="domain 'web': unknown format of shards 'megaton'"):
        TokenSource("x", "megaton").open("web")
