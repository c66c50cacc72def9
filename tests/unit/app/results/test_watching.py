"""A report that follows its sweep."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mixopt import Domain, MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.app.results import watching
from mixopt.app.results.watching import Clock, follow
from mixopt.app.running.launch import Sweep
from mixopt.app.spec.spec_file import parse_spec
from mixopt.evidence.verdict import Unanswered
from mixopt.execution.heartbeat import Heartbeat
from mixopt.execution.local import MemoryStore
from mixopt.ports import TrainerInfo
from mixopt.runs.kinds import DESIGN
from mixopt.strategies import Problem
from mixopt.testing.trainers import NAME

SPACE = MixtureSpace([Domain("web"), Domain("code")])
SCALE = Scale(1000, 64_000)
REFRESH = 'http-equiv="refresh"'


@dataclass
class Running:
    """A sweep under way: at every look of the watcher one more thing happens."""

    folder: Path
    happens: list[Callable[["Running"], None]]
    store: MemoryStore = field(default_factory=MemoryStore)
    time: float = 1e9
    pages: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.heart = Heartbeat(self.store, lambda: self.time)

    @contextmanager
    def open(self) -> Iterator[Sweep]:
        spec = parse_spec(
            {
                "version": 1,
                "name": "study",
                "trainer": {"use": NAME},
                "scales": [{"params": 1000, "tokens": 64_000}],
                "objective": {"minimize": "loss"},
            }
        )
        info = TrainerInfo(SPACE.domains, ("loss",), "nats", "d4t4")
        problem = Problem(SPACE, Objective.of("loss"), (SCALE,))
        yield Sweep(spec, self.folder, info, problem, self.store)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pages.append(self.page)
        self.time += seconds
        self.happens.pop(0)(self)

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text(encoding="utf-8")

    def follow(self) -> Any:
        return follow(self.open, clock=Clock(lambda: self.time, self.sleep))


def a_run_fails(sweep: Running) -> None:
    seed = len(sweep.store.observations())
    spec = RunSpec(SPACE.natural, SCALE, seed=seed, kind=DESIGN)
    sweep.store.close(Observation.failure(spec, "disk full"))


def nothing(sweep: Running) -> None:
    pass


def it_ends(sweep: Running) -> None:
    sweep.heart.end()


def stop(sweep: Running) -> None:
    raise KeyboardInterrupt


def test_the_page_is_rewritten_as_runs_come_in_and_stays_when_the_sweep_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    real = watching.write_report
    monkeypatch.setattr(
        watching, "write_report", lambda *a, **k: written.append(k) or real(*a, **k)
    )
    sweep = Running(tmp_path, [a_run_fails, nothing, a_run_fails, it_ends])
    answer, path = sweep.follow()
    assert isinstance(answer, Unanswered)
    assert path == tmp_path / "report.html"
    assert len(written) == 4  # at the start, for two runs, at the end; not where nothing came
    assert [REFRESH in page for page in sweep.pages] == [True] * 4
    assert "0 runs in" in sweep.pages[0]
    assert "2 runs in" in sweep.pages[3]
    assert REFRESH not in sweep.page
    assert "Still running" not in sweep.page
    assert min(sweep.slept) >= watching.LOOK_SECONDS


def test_a_watcher_that_is_interrupted_leaves_a_page_that_stays(tmp_path: Path) -> None:
    sweep = Running(tmp_path, [stop])
    with pytest.raises(KeyboardInterrupt):
        sweep.follow()
    assert REFRESH in sweep.pages[0]
    assert REFRESH not in sweep.page


def test_of_a_sweep_that_nobody_drives_the_report_is_written_once(tmp_path: Path) -> None:
    sweep = Running(tmp_path, [])
    sweep.heart.end()
    sweep.follow()
    assert sweep.slept == []
    assert REFRESH not in sweep.page
