"""The benchmark of the driver: what it counts, and that its trainer is what it says."""

import time
from pathlib import Path

import pytest

from analysis.overhead.__main__ import main
from analysis.overhead.goals import goals
from analysis.overhead.pace import Pace, Record
from analysis.overhead.systems import Watched, sweep
from analysis.overhead.trainer import DOMAINS, METRICS, Instant, question
from mixopt.execution.local import LocalExecutor, MemoryStore
from mixopt.runs.kinds import GIVEN


def test_a_pace_is_of_the_runs_between_two_marks() -> None:
    pace = Pace()
    pace.marks = {
        299: (0.0, 0.0, 90.0),
        301: (10.0, 1.0, 100.0),
        399: (20.0, 1.5, 110.0),
        402: (90.0, 9.0, 500.0),
    }
    record = pace.record("mixopt", 300, 400)
    assert record.window == 98
    assert record.runs_per_second == 9.8
    assert record.cpu_ms == pytest.approx(5.1, abs=0.01)
    assert record.driver_mb == 110.0
    assert "idle_percent" not in record.to_dict()
    assert Record("ray-tune", skipped="why").to_dict()["skipped"] == "why"


def test_a_sweep_is_measured_where_the_store_has_so_many_runs(tmp_path: Path) -> None:
    store = MemoryStore()
    for begin, begun in ((5, 5), (9, 35)):  # 5 + 10 + 20 at the end are there by then
        before = len(store.observations())
        record = sweep("mixopt-memory", lambda: store, LocalExecutor(tmp_path), begin, window=10)
        assert record.store_runs == begun
        assert record.window == 10
        assert record.runs_per_second is not None
        assert record.runs_per_second > 1
        assert (record.resume_seconds is not None) == (before > 0)


def test_the_trainer_answers_at_once_with_22_metrics_of_17_domains(tmp_path: Path) -> None:
    problem = question()
    assert problem.space.names == DOMAINS
    spec = problem.run(problem.space.natural, GIVEN)
    started = time.process_time()
    (seen,) = Instant().train([spec], tmp_path)
    assert time.process_time() - started < 0.5
    assert tuple(seen.metrics) == METRICS
    assert (len(DOMAINS), len(METRICS)) == (17, 22)


def test_what_was_sent_is_timed(tmp_path: Path) -> None:
    problem = question()
    watched = Watched(LocalExecutor(tmp_path))
    watched.submit([problem.run(problem.space.natural, GIVEN)])
    assert len(watched.sent) == 1
    assert watched.slots == 1
    assert watched.size > 1


def test_an_unknown_system_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--systems", "mixopt-memroy"])
    assert "did you mean 'mixopt-memory'" in capsys.readouterr().err


def test_goals_are_judged_by_what_was_measured() -> None:
    records = [
        Record("mixopt", store_runs=300, runs_per_second=20.0, trained=520, grown_mb=900.0),
        Record("mixopt", 10_020, 15.0, trained=9_700, grown_mb=90.0, resume_seconds=21.0),
        Record("mlflow-calls", store_runs=300, runs_per_second=24.0),
        Record("mlflow-calls", store_runs=10_000, runs_per_second=20.0),
        Record("mixopt-memory", store_runs=300, runs_per_second=151.0),
        Record("idle-slots", idle_percent=4.9),
        Record("ray-tune", skipped="not here"),
    ]
    assert [(g.met, round(g.value, 3)) for g in goals(records)] == [
        (True, 0.833),
        (False, 0.75),
        (True, 151.0),
        (False, -0.25),
        (True, 90.0),  # what few runs grow by is start-up
        (False, 21.0),
        (True, 4.9),
    ]
    assert goals([]) == []
