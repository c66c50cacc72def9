"""Where a sweep stands, from its store alone; and what a person reads of it."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mixopt.app.output import show_status
from mixopt.app.running.durable import CODE
from mixopt.app.running.launch import Sweep
from mixopt.app.running.preparation import problem_of
from mixopt.app.spec.spec_file import parse_spec
from mixopt.app.state.state import (
    FINISHED,
    LIMIT,
    LOST,
    PAUSED,
    RUNNING,
    STOPPED,
    SweepState,
    state_of,
)
from mixopt.execution import heartbeat, limits
from mixopt.execution.heartbeat import HEARTBEAT, Heartbeat
from mixopt.execution.local import LocalExecutor, MemoryStore
from mixopt.execution.sweep import BATCH, SweepStatus, run_sweep
from mixopt.strategies import strategy
from mixopt.testing.trainers import FakeTrainer

VALUES: dict[str, Any] = {
    "version": 1,
    "name": "mine",
    "trainer": {
        "use": "mixopt.testing.trainers:FakeTrainer",
        "config": {"noise": 0.002},
    },
    "scales": [{"params": 1000, "tokens": "10k"}],
    "objective": {"minimize": ["loss/web", "loss/code"]},
    "strategy": {"use": "random", "runs": 6, "batch": 3},
}


def sweep(folder: Path, **changes: Any) -> Sweep:
    spec = parse_spec({**VALUES, **changes})
    info = FakeTrainer().prepare(folder)
    problem = problem_of(spec, info, spec.trainer.config)
    return Sweep(spec, folder, info, problem, MemoryStore())


def ran(folder: Path, faults: dict[str, str] | None = None) -> Sweep:
    made = sweep(
        folder,
        trainer={"use": VALUES["trainer"]["use"], "config": {"faults": faults or {}}},
    )
    recipe = strategy(
        "auto", design=4, proposals=0, confirm_seeds=2, law="log-linear", singles=False
    )
    run_sweep(recipe, made.problem, LocalExecutor(folder), made.store)
    return made


def text(state: SweepState, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        show_status.show(show_status.status_page(state), console)
    return captured.get()


def test_a_sweep_without_runs_that_nobody_drives(tmp_path: Path) -> None:
    state = state_of(sweep(tmp_path), time.time())
    assert (state.state, state.done, state.planned, state.best) == (LOST, 0, 6, None)
    page = text(state)
    assert "none was ever seen" in page
    assert "nothing yet" in page


def test_a_finished_sweep_long_after(tmp_path: Path) -> None:
    made = ran(tmp_path)
    with heartbeat.beating(made.store):
        pass
    state = state_of(made, time.time() + 1e7)
    assert state.state == FINISHED
    assert state.ended
    assert state.done == len(made.store.observations())
    best = min(
        (o for o in made.store.observations() if o.spec.kind.in_search),
        key=lambda o: o.metrics["loss/web"] + o.metrics["loss/code"],
    )
    assert state.best is not None
    assert state.best.run_id == best.run_id
    assert state.unit == "nats/token"
    assert sum(host.runs for host in state.hosts) == state.done
    assert "To go on" not in text(state)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda beat: beat.end(heartbeat.STOPPED, "interrupted"), STOPPED),
        (lambda beat: beat.end(limits.PAUSED, "6 failures in a row"), PAUSED),
        (lambda beat: beat.end(limits.LIMIT, "the limit of 3 runs"), LIMIT),
        (lambda beat: beat.beat(SweepStatus(running=2)), RUNNING),
    ],
)
def test_what_the_driver_came_to(
    tmp_path: Path, end: Callable[[Heartbeat], None], expected: str
) -> None:
    made = sweep(tmp_path)
    end(Heartbeat(made.store))
    state = state_of(made, time.time())
    assert state.state == expected
    assert ("To go on: mixopt run" in text(state)) is (expected != RUNNING)
    assert (state.reason in text(state)) or expected == RUNNING


def test_a_sweep_that_was_a_job_of_a_cluster_is_gone_on_with_there(tmp_path: Path) -> None:
    made = sweep(tmp_path)
    Heartbeat(made.store).end(heartbeat.STOPPED)
    (tmp_path / CODE).mkdir()
    told = text(state_of(made, time.time()))
    assert "To go on: mixopt resume mine --address http://HEAD:8265" in told
    assert "mixopt run" not in told


def test_a_driver_that_went_without_a_word(tmp_path: Path) -> None:
    made = sweep(tmp_path)
    beat = Heartbeat(made.store)
    beat.beat(SweepStatus(running=2, planned=8))
    elsewhere = {"host": "elsewhere", "place": "another machine"}
    made.store.annotate({HEARTBEAT: made.store.annotations()[HEARTBEAT] | elsewhere})
    state = state_of(made, time.time() + 3600)
    assert state.state == LOST
    assert state.running == 0
    assert "no driver since" in text(state)
    assert "on elsewhere" in text(state)


def test_failures_are_grouped_with_hosts_and_a_way_to_try_again(tmp_path: Path) -> None:
    made = ran(tmp_path, {"1": "raise", "2": "nan"})
    state = state_of(made, time.time())
    assert sorted(c.diverged for c in state.causes) == [False, True]
    assert sum(len(c.runs) for c in state.causes) == state.failed > 2
    page = text(state)
    for cause in state.causes:
        assert f"{len(cause.runs)} runs: {cause.words[:30]}" in " ".join(page.split())
    assert "mixopt retry" in page
    diverged = state_of(ran(tmp_path, {"2": "nan"}), time.time())
    assert "mixopt retry" not in text(diverged)  # it would diverge again


def test_what_was_chosen_and_not_sent_waits(tmp_path: Path) -> None:
    made = sweep(tmp_path)
    asked = strategy("random", runs=6, batch=3).next(made.problem, [], [])
    made.store.annotate({BATCH: [spec.to_dict() for spec in asked]})
    made.store.open(asked[0])
    state = state_of(made, time.time())
    assert state.waiting == len(asked)
    assert f"{len(asked)} waiting" in text(state)


def test_a_strategy_that_is_not_here_leaves_the_number_open(tmp_path: Path) -> None:
    made = sweep(tmp_path, strategy={"use": "not_here:Mine"})
    state = state_of(made, time.time())
    assert state.planned is None
    assert "0 runs" in text(state)


@pytest.mark.parametrize("width", [30, 50, 200])
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, width: int) -> None:
    page = text(state_of(ran(tmp_path, {"1": "raise"}), time.time()), width)
    assert max(map(len, page.splitlines())) <= width
    assert "best" in page


def test_in_a_pipe_lines_are_whole(tmp_path: Path) -> None:
    state = state_of(ran(tmp_path, {"1": "raise"}), time.time())
    console = Console(file=io.StringIO(), width=40, soft_wrap=True)
    show_status.show(show_status.status_page(state), console)
    assert state.best is not None
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"(run {state.best.run_id[:6]})" in next(
        line for line in printed.splitlines() if "best" in line
    )
    assert not any(line.endswith(" ") for line in printed.splitlines())


def test_the_list_tells_what_cannot_be_read(tmp_path: Path) -> None:
    state = state_of(ran(tmp_path), time.time())
    for width in (40, 200):
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        show_status.show(show_status.list_table([state, ("other", "no rights")], width), console)
        printed = console.file.getvalue()  # type: ignore[attr-defined]
        assert "mine" in printed
        assert "other: no rights" in printed
        assert ("last sign" in printed) is (width == 200)


def test_it_says_from_where_on_curves_foretell_their_end(tmp_path: Path) -> None:
    short = state_of(ran(tmp_path), time.time())
    assert short.curves is None  # 4 points a curve
    assert "curves" not in text(short)
    made = sweep(
        tmp_path, trainer={"use": VALUES["trainer"]["use"], "config": {"points": 9, "noise": 1e-4}}
    )
    run_sweep(strategy("random", runs=5), made.problem, LocalExecutor(tmp_path), made.store)
    state = state_of(made, time.time())
    assert state.curves is not None
    assert (state.curves.curves, state.curves.points) == (5, 10)
    assert "learning curves foretell their end within" in text(state, 200)
    assert state.to_dict()["curves"]["foretold"] == state.curves.foretold


def test_programs_get_plain_values(tmp_path: Path) -> None:
    made = ran(tmp_path, {"1": "raise"})
    Heartbeat(made.store).beat(SweepStatus(running=1))
    values = state_of(made, time.time()).to_dict()
    made.store.annotate({"state": values})  # refuses what is no JSON
    assert values["state"] == RUNNING
    assert sum(f["runs"] for f in values["failures"]) == values["failed"]
    assert values["driver"]["pid"] > 0
