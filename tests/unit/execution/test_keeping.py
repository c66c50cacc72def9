"""What lies in a cache and whose it is, read without any trainer."""

import json
import os
from pathlib import Path

from mixopt.execution.keeping import DATA, RUN, Kept, kept


def checkpoint(path: Path, run: str = "", data: str = "", size: int = 100) -> Path:
    """A safetensors file as far as its header goes."""
    facts = {"notes": "{}"} | ({RUN: run, DATA: data} if run else {})
    header = json.dumps({"__metadata__": facts}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"0" * size)
    return path


def by_name(cache: Path) -> dict[str, Kept]:
    return {thing.path.name: thing for thing in kept(cache)}


def test_checkpoints_name_their_run_and_data(tmp_path: Path) -> None:
    old = checkpoint(tmp_path / "checkpoints" / "t1" / "trunk-000000001.safetensors", "r1", "d1")
    new = checkpoint(tmp_path / "checkpoints" / "t1" / "trunk-000000002.safetensors", "r1", "d1")
    os.utime(old, (1000, 1000))
    os.utime(new, (3000, 3000))
    checkpoint(tmp_path / "checkpoints" / "t2" / "20-000000001.safetensors")
    (tmp_path / "checkpoints" / "t3").mkdir()
    (tmp_path / "checkpoints" / "t3" / "x.safetensors").write_bytes(b"\xff" * 30)
    things = by_name(tmp_path)
    assert (things["t1"].run, things["t1"].data, things["t1"].used) == ("r1", "d1", 3000)
    assert things["t1"].bytes == old.stat().st_size + new.stat().st_size
    assert things["t2"].run == things["t3"].run == ""


def test_everything_else_has_its_kind(tmp_path: Path) -> None:
    for folder in ("commands/abc/out", "experts/e1", "corpus-1", ".building-2"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_bytes(b"12345")
    (tmp_path / "finetune").mkdir()
    (tmp_path / "finetune" / "0123456789abcdef.safetensors").write_bytes(b"123")
    (tmp_path / "link").symlink_to("/usr")
    things = by_name(tmp_path)
    assert {name: (t.kind, t.bytes) for name, t in things.items()} == {
        "abc": ("output of a command", 5),
        "e1": ("experts", 5),
        "corpus-1": ("prepared data", 5),
        "0123456789abcdef.safetensors": ("prepared data", 3),
    }
    assert things["abc"].run == "abc"
    assert things["0123456789abcdef.safetensors"].data == "0123456789abcdef"


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert kept(tmp_path / "nothing") == []
