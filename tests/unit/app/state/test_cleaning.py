"""What can be deleted of a sweep, and what stays because somebody may need it."""

from pathlib import Path
from typing import Any

import pytest

from mixopt.app.running.record import SPEC_FILE
from mixopt.app.spec.spec_file import parse_spec
from mixopt.app.spec.values import Spec
from mixopt.app.state import cleaning
from mixopt.app.state.cleaning import Wanted, delete, plan
from mixopt.app.state.state import FINISHED, PAUSED, RUNNING
from mixopt.errors import StoreError
from tests.unit.execution.test_keeping import checkpoint

DAY = 86_400.0
VALUES: dict[str, Any] = {
    "version": 1,
    "name": "mine",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer"},
    "scales": [{"params": 1000, "tokens": "10k"}],
    "objective": {"minimize": "loss/web"},
}


class Place:
    """A folder with sweeps and a cache; sweeps by name: (state, data, runs)."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.cache = root, root / "runs" / "cache"
        self.sweeps: dict[str, cleaning._User | None] = {}
        self.execution: dict[str, Any] = {}
        monkeypatch.chdir(root)
        monkeypatch.setattr(cleaning, "_user", self._user)

    def sweep(self, name: str, state: str = FINISHED, data: str = "d1", runs: str = "") -> None:
        folder = self.root / "runs" / name
        folder.mkdir(parents=True)
        (folder / SPEC_FILE).write_text("{}")
        ids = frozenset(runs.split())
        self.sweeps[name] = cleaning._User(name, ids, data, frozenset({f"corpus-{data}"}), state)

    def _user(self, path: Path, now: float) -> tuple[cleaning._User, Spec]:
        user = self.sweeps[path.name]
        if user is None:
            raise StoreError("no rights")
        return user, parse_spec({**VALUES, "execution": self.execution})

    def stays(self, **wanted: Any) -> dict[str, str]:
        now = self.cache.stat().st_mtime + wanted.pop("later", 0.0)
        leftovers = plan(Path("mine"), Wanted(**wanted), now).leftovers
        return {item.kept.path.name: item.why for item in leftovers}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path, monkeypatch)
    for run in ("r1", "r2", "o1"):
        checkpoint(made.cache / "checkpoints" / f"t-{run}" / "trunk-1.safetensors", run, "d1")
    for data in ("d1", "d2"):
        (made.cache / f"corpus-{data}").mkdir()
        (made.cache / f"corpus-{data}" / "tokens").write_bytes(b"0" * 50)
    return made


def test_checkpoints_of_a_finished_sweep_can_go_and_data_if_asked(place: Place) -> None:
    place.sweep("mine", runs="r1 r2")
    stays = place.stays()
    assert stays == {"t-r1": "", "t-r2": "", "corpus-d1": "prepared data (--data)"}
    assert place.stays(data=True)["corpus-d1"] == ""
    result = plan(Path("mine"), Wanted(), 0.0)
    assert result.unknown > 100  # of another sweep's run, and other data
    delete(result)
    left = sorted(p.name for p in place.cache.rglob("*") if p.parent.name != "x" and p.is_dir())
    assert left == ["checkpoints", "corpus-d1", "corpus-d2", "t-o1"]


def test_what_a_sweep_needs_to_go_on_stays_unless_all_is_asked_for(place: Place) -> None:
    place.sweep("mine", PAUSED, runs="r1 r2")
    assert all("would go on with it" in why for why in place.stays(data=True).values())
    assert set(place.stays(everything=True).values()) == {""}


def test_a_running_sweep_is_not_cleaned_at_all(place: Place) -> None:
    place.sweep("mine", RUNNING, runs="r1")
    with pytest.raises(StoreError, match="is running"):
        place.stays(everything=True)


def test_what_other_sweeps_may_use_stays_whatever_is_asked_for(place: Place) -> None:
    place.sweep("mine", runs="r1")
    place.sweep("other", PAUSED, runs="o1")  # of the same data: runs may share their beginning
    for wanted in ({"data": True}, {"everything": True}):
        stays = place.stays(**wanted)
        assert stays == dict.fromkeys(stays, "sweep other may use it")
    finished = cleaning._User("other", frozenset(), "d1", frozenset({"corpus-d1"}), FINISHED)
    place.sweeps["other"] = finished  # its runs are over, but it shares the data
    stays = place.stays(data=True)
    assert (stays["t-r1"], stays["corpus-d1"]) == ("", "sweep other may use it")
    place.sweeps["other"] = cleaning._User("other", frozenset(), "d9", frozenset(), PAUSED)
    assert set(place.stays(data=True).values()) == {""}
    place.sweeps["other"] = None
    stays = place.stays(data=True)
    assert stays["t-r1"] == ""
    assert "cannot be read" in stays["corpus-d1"]


def test_by_age_and_by_the_retention_of_the_spec(place: Place) -> None:
    place.sweep("mine", runs="r1")
    assert "--older-than 7" in place.stays(days=7.0, later=DAY)["t-r1"]
    assert place.stays(days=7.0, later=8 * DAY)["t-r1"] == ""
    place.execution = {"keep_checkpoints": "always"}
    assert "always" in place.stays()["t-r1"]
    assert place.stays(everything=True)["t-r1"] == ""
    assert place.stays(days=0.0)["t-r1"] == ""
    place.execution = {"keep_checkpoints": 14}
    assert "execution.keep_checkpoints 14" in place.stays(later=13 * DAY)["t-r1"]
    assert place.stays(later=15 * DAY)["t-r1"] == ""


def test_deleting_is_held_to_the_cache(place: Place, tmp_path: Path) -> None:
    place.sweep("mine", runs="r1")
    result = plan(Path("mine"), Wanted(), 0.0)
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = place.cache / "checkpoints" / "t-r1"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.symlink_to(outside)
    delete(result)
    assert outside.is_dir()
    assert folder.is_symlink()
