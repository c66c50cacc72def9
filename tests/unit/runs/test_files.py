"""A file is there as a whole or not at all."""

import os
from pathlib import Path

import pytest

from mixopt.runs.files import write_atomically


def test_a_file_is_written_whole_in_a_folder_that_was_not_there(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "report.html"
    write_atomically(target, b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_what_cannot_be_written_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    write_atomically(target, b"old")

    def full(_: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
