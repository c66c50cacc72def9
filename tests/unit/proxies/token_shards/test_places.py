"""Ranges of files on disk and elsewhere: the same bytes, in few requests."""

from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt import InputError
from proxies.token_shards import places
from proxies.token_shards.places import Place, files

DATA = np.random.default_rng(0).integers(0, 256, 50_000, np.uint8).tobytes()


@pytest.fixture
def both(tmp_path: Path) -> tuple[Place, Place]:
    (tmp_path / "a.bin").write_bytes(DATA)
    with fsspec.open("memory://folder/a.bin", "wb") as file:
        file.write(DATA)
    return Place(str(tmp_path / "a.bin"), "a.bin"), Place("memory://folder/a.bin", "a.bin")


edges = st.integers(0, len(DATA))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spans=st.lists(st.tuples(edges, edges).map(lambda s: tuple(sorted(s))), max_size=200))
def test_any_ranges_come_in_their_order(
    both: tuple[Place, Place], spans: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "GAP", 100)
    monkeypatch.setattr(places, "AT_MOST", 5000)
    for place in both:
        assert [bytes(piece) for piece in place.ranges(spans)] == [DATA[b:e] for b, e in spans]


def test_neighbours_are_one_request(
    both: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    memory = fsspec.filesystem("memory")
    whole = memory.cat_ranges
    counted = lambda paths, *rest, **more: asked.append(len(paths)) or whole(paths, *rest, **more)  # noqa: E731
    monkeypatch.setattr(memory, "cat_ranges", counted)
    table = both[1].gather("<u2", 0, np.arange(0, 20_000, 7), 2)
    assert table.tolist() == both[0].gather("<u2", 0, np.arange(0, 20_000, 7), 2).tolist()
    assert asked == [1]


def test_a_stream_reads_as_a_file_does(both: tuple[Place, Place]) -> None:
    with both[1].stream() as stream:
        stream.seek(-10, 2)
        assert stream.read() == DATA[-10:]
        stream.seek(5)
        assert stream.read(20_000) == DATA[5:20_005]


def test_what_is_not_there_is_said(both: tuple[Place, Place], tmp_path: Path) -> None:
    for place in both:
        with pytest.raises(InputError, match=r"bytes 9 to 50001 are asked for, and it has 50000"):
            list(place.ranges([(9, 50_001)]))
    with pytest.raises(InputError, match="no file there ends with"):
        files(str(tmp_path / "*.idx"), [".idx"])
    with pytest.raises(InputError, match="no file there ends with"):
        files("memory://nowhere", [".idx"])
    with pytest.raises(InputError, match="install what fsspec names"):
        files("nostore://bucket/a", [".idx"])
    assert [p.label for p in files("memory://folder", [".bin"])] == ["a.bin"]
    assert [p.label for p in files("memory://folder/*.bin", [])] == ["a.bin"]
