"""A sweep is meant by its folder, its spec or its name; an unknown one is told from others."""

import os
from pathlib import Path

import pytest

from mixopt.app.running.record import SPEC_FILE
from mixopt.app.running.studies import latest, named, studies
from mixopt.errors import StoreError

SPEC = """
version: 1
name: mine
trainer: {use: "mixopt.testing.trainers:FakeTrainer"}
scales: [{params: 1000, tokens: 10k}]
objective: {minimize: loss/web}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder: Path, when: float = 0.0) -> Path:
    folder.mkdir(parents=True)
    (folder / SPEC_FILE).write_text("{}")
    os.utime(folder / SPEC_FILE, (when, when))
    return folder


def test_by_folder_by_name_and_by_spec(place: Path) -> None:
    make(place / "runs" / "mine")
    make(place / "elsewhere" / "mine")
    assert named(Path("mine")).folder == Path("runs/mine")
    assert named(Path("runs/mine")).folder == Path("runs/mine")
    assert named(place / "elsewhere" / "mine").folder == place / "elsewhere" / "mine"
    (place / "spec.yaml").write_text(SPEC)
    for given in (Path("spec.yaml"), place):
        assert named(given) == type(named(given))(Path("runs/mine"), given)
    assert named(Path("mine")).spec is None


def test_an_unknown_one_is_refused_with_those_that_are_there(place: Path) -> None:
    with pytest.raises(StoreError, match="there are none in"):
        named(Path("mine"))
    with pytest.raises(StoreError, match="starts one"):
        latest()
    make(place / "runs" / "mine")
    make(place / "runs" / "other")
    (place / "runs" / "cache").mkdir()
    with pytest.raises(StoreError, match=r"known: mine, other; did you mean 'mine'\?"):
        named(Path("runs/min"))


def test_folders_of_others_are_named_and_refused_in_words(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(place / "runs" / "mine", when=2000)
    make(place / "runs" / "theirs")
    plain = Path.is_file

    def is_file(path: Path) -> bool:
        if path.parent.name == "theirs":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    assert studies() == [Path("runs/mine"), Path("runs/theirs")]
    with pytest.raises(StoreError, match="Permission denied; ask its owner"):
        named(Path("theirs"))


def test_those_that_are_there_and_the_last_one(place: Path) -> None:
    assert studies() == []
    make(place / "runs" / "b", when=2000)
    make(place / "runs" / "a", when=1000)
    assert studies() == [Path("runs/a"), Path("runs/b")]
    assert latest() == Path("runs/b")
    os.utime(place / "runs" / "a" / SPEC_FILE, (3000, 3000))
    assert latest() == Path("runs/a")
