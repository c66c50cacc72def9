"""A sweep stops at its limits and before failures burn it, and goes on to the same runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mixopt import MixtureSpace, Objective, Observation, RunSpec, Scale
from mixopt.execution.limits import LIMIT, PAUSED, Brakes, Limits
from mixopt.execution.local import LocalExecutor, MemoryStore
from mixopt.execution.sweep import Settings, SweepStatus, run_sweep
from mixopt.ports import Event
from mixopt.runs import Attempt, Place
from mixopt.strategies import Problem, strategy
from mixopt.testing.trainers import NAME, FakeTrainer

SMALL, LARGE = Scale(1000, 10_000), Scale(1000, 40_000)
SPACE = MixtureSpace(FakeTrainer().prepare(Path("/tmp")).domains)
NOW = 1_800_000_000.0
WANTED = 99


def spec(seed: int = 0, scale: Scale = SMALL) -> RunSpec:
    return RunSpec(SPACE.natural, scale, seed, NAME)


def ran(seed: int = 0, scale: Scale = SMALL, gpus: float = 2.0) -> Observation:
    """A run that took 1e9 FLOPs and half an hour of so many GPUs."""
    return Observation(
        spec(seed, scale), metrics={"loss": 1.0}, flops=1e9, place=Place("n", 1800.0, gpus)
    )


def lost(seed: int, error: str = "OSError: the disk went away") -> Observation:
    return Observation.failure(spec(seed), error, place=Place(f"n{seed % 2}", 1.0))


@pytest.mark.parametrize(
    ("limits", "room", "name"),
    [
        (Limits(runs=10), 6, "runs"),
        (Limits(flops=5.5e9), 1, "flops"),  # 4e9 spent
        (Limits(gpu_hours=6.0), 2, "gpu_hours"),  # 4 spent, one each
        (Limits(money=18.0, price_per_hour=3.0), 2, "money"),  # 12 spent, 3 each
        (Limits(runs=10, gpu_hours=5.0), 1, "gpu_hours"),
    ],
)
def test_as_many_runs_start_as_the_tightest_limit_allows(
    limits: Limits, room: int, name: str
) -> None:
    brakes = Brakes(limits, [ran(i) for i in range(4)], clock=lambda: NOW)
    assert brakes.room(SMALL, WANTED) == room
    assert brakes.room(SMALL, 1) == 1
    assert brakes.halt is None
    brakes.sent([spec(10 + i) for i in range(room)])  # what is under way counts
    assert brakes.room(SMALL, WANTED) == 0
    assert brakes.halt is not None
    assert brakes.halt.state == LIMIT
    assert f"raise execution.stop_after.{name}" in brakes.halt.remedy
    assert not brakes.at_once


def test_without_limits_there_is_room_for_all() -> None:
    assert Brakes(Limits(), [ran(i) for i in range(50)]).room(LARGE, WANTED) == WANTED


def test_attempts_that_failed_are_spent() -> None:
    tries = {"x": [Attempt("the disk", 3e9, 0.0, Place("n", 3600.0, 4.0))]}
    assert Brakes(Limits(flops=5e9), [ran()], tries).room(SMALL, WANTED) == 1
    assert Brakes(Limits(gpu_hours=7.0), [ran()], tries).room(SMALL, WANTED) == 2


def test_runs_of_a_new_scale_are_guessed_by_their_work() -> None:
    seen = [ran(gpus=1.0)]  # half a GPU-hour for 1e9 FLOPs; a large run has 2.4e8
    brakes = Brakes(Limits(gpu_hours=0.5 + 0.12 * 3.5), seen)
    assert brakes.room(LARGE, WANTED) == 3
    unknown = Brakes(Limits(gpu_hours=1e-3))
    assert unknown.room(SMALL, WANTED) == WANTED  # nobody knows what a run takes


def test_room_comes_back_when_runs_took_less_than_was_thought() -> None:
    brakes = Brakes(Limits(flops=2.5e9), [ran()])
    brakes.sent([spec(1)])
    assert brakes.room(SMALL, WANTED) == 0
    brakes.saw(Observation(spec(1), metrics={"loss": 1.0}, flops=1e8))
    assert brakes.room(SMALL, WANTED) > 0
    assert brakes.halt is None


def test_no_run_starts_that_would_not_end_before_the_deadline() -> None:
    now = [NOW]
    brakes = Brakes(Limits(deadline=NOW + 100), clock=lambda: now[0])
    brakes.sent([spec(0), spec(1)])
    now[0] += 30
    brakes.saw(ran(0))
    brakes.saw(ran(1))
    assert brakes.room(SMALL, WANTED) == WANTED
    now[0] += 45  # 25 s are left, and a pack takes 30
    assert brakes.room(SMALL, WANTED) == 0
    assert not brakes.at_once
    brakes.sent([spec(2)])
    now[0] += 25
    assert brakes.at_once
    assert brakes.halt is not None
    assert "1 runs under way stay open" in brakes.halt.reason


def feed(brakes: Brakes, packs: Sequence[Sequence[Observation]]) -> int:
    """How many runs come in before the sweep pauses."""
    count = 0
    for pack in packs:
        brakes.sent([seen.spec for seen in pack])
        for seen in pack:
            brakes.saw(seen)
            count += 1
            if brakes.at_once:
                return count
    return count


def test_failures_in_a_row_pause_the_sweep() -> None:
    brakes = Brakes(Limits(pause_after=5))
    assert feed(brakes, [[ran(i)] for i in range(20)] + [[lost(i)] for i in range(50, 90)]) == 25
    assert brakes.halt is not None
    assert brakes.halt.state == PAUSED
    for words in ("5 runs failed in a row", "n0", "the disk went away", "mixopt retry"):
        assert words in str(brakes.halt)
    assert brakes.room(SMALL, WANTED) == 0


def test_most_of_the_last_runs_failing_pauses_it_too() -> None:
    packs = [[lost(i)] if i % 3 else [ran(i)] for i in range(40)]
    brakes = Brakes(Limits(pause_after=5))
    assert feed(brakes, packs) <= 12
    assert brakes.halt is not None
    assert "of the last" in brakes.halt.reason


@pytest.mark.parametrize(
    "packs",
    [
        [[lost(i) for i in range(8)], [lost(8 + i) for i in range(8)]],  # of two packs alone
        [[lost(i, "metric 'loss' is nan: the run diverged")] for i in range(30)],
        [[lost(i)] if i % 2 else [ran(i)] for i in range(40)],  # half of them
    ],
    ids=["few-packs", "diverged", "half"],
)
def test_what_is_no_sudden_row_pauses_nothing(packs: list[list[Observation]]) -> None:
    brakes = Brakes(Limits(pause_after=5))
    feed(brakes, packs)
    assert brakes.halt is None
    assert not brakes.at_once


def test_nothing_pauses_a_sweep_that_may_not_be() -> None:
    brakes = Brakes(Limits(pause_after=0))
    feed(brakes, [[lost(i)] for i in range(30)])
    assert brakes.halt is None


# -- in the loop -----------------------------------------------------------------------------------


class Disk(LocalExecutor):
    """Its disk goes away while these of its packs are trained."""

    def __init__(self, cache: Path, away: range = range(0)) -> None:
        super().__init__(cache)
        self.sent, self._away = 0, away

    def submit(self, pack: Sequence[RunSpec], runtime: Mapping[str, Any] | None = None) -> None:
        self.sent += 1
        super().submit(pack, runtime)

    def wait(self, timeout: float) -> list[Event]:
        events = super().wait(timeout)
        if self.sent - 1 not in self._away:
            return events
        return [
            Observation.failure(e.spec, "OSError: the disk") if isinstance(e, Observation) else e
            for e in events
        ]


RECIPE: dict[str, Any] = {"design": 20, "proposals": 4, "confirm_seeds": 0, "law": "log-linear"}


def sweep(store: MemoryStore, executor: LocalExecutor, limits: Limits, pack: int) -> SweepStatus:
    objective = Objective.of(FakeTrainer().metrics)
    problem = Problem(SPACE, objective, (SMALL,), trainer=NAME, data="fake")
    recipe = strategy("auto", **RECIPE)
    settings = Settings(limits=limits)
    return run_sweep(recipe, problem, executor, store, pack_size=lambda _: pack, settings=settings)


def ids(store: MemoryStore) -> list[str]:
    return sorted(o.run_id for o in store.observations())


@pytest.mark.parametrize("pack", [1, 4])
def test_a_budget_that_is_raised_gives_the_runs_of_one_without(tmp_path: Path, pack: int) -> None:
    whole, parts = MemoryStore(), MemoryStore()
    assert sweep(whole, LocalExecutor(tmp_path), Limits(), pack).halt is None
    for most in (3, 10, 22):
        status = sweep(parts, LocalExecutor(tmp_path), Limits(runs=most), pack)
        assert status.halt is not None
        assert status.done == len(parts.observations()) == most
        assert parts.pending() == []
    assert sweep(parts, LocalExecutor(tmp_path), Limits(runs=100), pack).halt is None
    assert ids(parts) == ids(whole)


def test_a_disk_that_goes_away_costs_five_runs_which_are_trained_again(tmp_path: Path) -> None:
    whole, store = MemoryStore(), MemoryStore()
    sweep(whole, LocalExecutor(tmp_path), Limits(), 1)
    status = sweep(store, Disk(tmp_path, range(8, 99)), Limits(), 1)
    assert status.halt is not None
    assert status.halt.state == PAUSED
    assert (status.done, status.failed) == (13, 5)
    failed = [o for o in store.observations() if not o.ok]
    for seen in failed:
        store.retry(seen.run_id)
    assert sweep(store, LocalExecutor(tmp_path), Limits(), 1).halt is None
    assert ids(store) == ids(whole)
    assert all(o.ok for o in store.observations())
    again = {o.run_id for o in store.observations() if o.attempts}
    assert again == {o.run_id for o in failed}
