"""What every executor must do. Inherit `ExecutorContract` in a test module."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mixopt.errors import InputError
from mixopt.execution.packs import CAUSE
from mixopt.ports import Event, Executor, Progress
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.space import Mixture
from mixopt.testing.trainers import NAME, FakeTrainer

WEB, CODE = {"web": 0.7, "code": 0.3}, {"web": 0.2, "math": 0.8}


def fake_spec(
    seed: int = 0, mixture: Mapping[str, float] = WEB, tokens: int = 10_000, **config: Any
) -> RunSpec:
    """A run of the `FakeTrainer`; `config` are its settings."""
    return RunSpec(Mixture.of(mixture), Scale(1_000, tokens), seed, NAME, config, "data")


def drain(executor: Executor, runs: int, seconds: float = 60.0) -> list[Event]:
    """All events until so many runs are in.

    Raises:
        TimeoutError: they did not come in time.
    """
    events: list[Event] = []
    deadline = time.monotonic() + seconds
    while len(observations(events)) < runs:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(observations(events))} of {runs} runs in {seconds} s")
        events.extend(executor.wait(0.5))
    return events


def observations(events: Iterable[Event]) -> list[Observation]:
    """The finished runs among events."""
    return [e for e in events if isinstance(e, Observation)]


class ExecutorContract:
    """Inherit it, and override `make`."""

    def make(self, cache: Path) -> Any:
        """An executor whose workers share the folder `cache`.

        Raises:
            NotImplementedError: not overridden.
        """
        raise NotImplementedError

    def make_timed(self, cache: Path, seconds: float) -> Any:  # noqa: ARG002 - to be overridden
        """An executor that gives a run so many seconds; None, as here, where it keeps no time."""
        return None

    @property
    def survives_crashes(self) -> bool:
        """Whether a run may kill its process: override it where runs have one of their own."""
        return False

    def test_is_an_executor(self, tmp_path: Path) -> None:
        """It has the methods of the port, and room for a pack."""
        executor = self.make(tmp_path)
        assert isinstance(executor, Executor)
        assert executor.slots >= 1
        executor.close()

    def test_a_pack_comes_back_whole_and_in_order(self, tmp_path: Path) -> None:
        """One observation per run, equal to what the trainer says in this process."""
        executor = self.make(tmp_path)
        specs = [fake_spec(0), fake_spec(1), fake_spec(0, CODE)]
        executor.submit(specs)
        back = observations(drain(executor, 3))
        executor.close()
        expected = FakeTrainer().train(specs, tmp_path)
        assert [o.spec for o in back] == specs
        assert [o.metrics for o in back] == [o.metrics for o in expected]
        assert [o.curve for o in back] == [o.curve for o in expected]
        assert all(o.ok for o in back)
        assert all(o.place is not None and o.place.host for o in back)

    def test_progress_comes_before_the_end(self, tmp_path: Path) -> None:
        """Points of the curve of a slow run, for the specs that were submitted."""
        executor = self.make(tmp_path)
        spec = fake_spec(0)
        executor.submit([spec], {"sleep": 0.9})
        events = drain(executor, 1)
        executor.close()
        progress = [e for e in events if isinstance(e, Progress)]
        assert progress
        curve = observations(events)[0].curve
        assert all(e.spec == spec and e.point in curve for e in progress)
        assert isinstance(events[-1], Observation)

    def test_runtime_settings_reach_the_workers_and_change_no_run(self, tmp_path: Path) -> None:
        """The same runs, made otherwise; one in the wrong place fails with the right one."""
        spec = fake_spec(0)
        executor = self.make(tmp_path)
        executor.submit([spec], {"sleep": 0.4})
        executor.submit([fake_spec(1, sleep=0.4)])
        back = {o.spec.seed: o for o in observations(drain(executor, 2))}
        executor.close()
        assert back[0].seconds >= 0.4
        assert back[0].metrics == FakeTrainer().train([spec], tmp_path)[0].metrics
        assert "move it to runtime" in back[1].error

    def test_several_packs(self, tmp_path: Path) -> None:
        """More packs than slots: every run comes back once."""
        executor = self.make(tmp_path)
        count = executor.slots + 2
        for seed in range(count):
            executor.submit([fake_spec(seed)])
        back = observations(drain(executor, count))
        assert sorted(o.spec.seed for o in back) == list(range(count))
        assert executor.wait(0.0) == []
        executor.close()

    def test_waiting_for_nothing_ends(self, tmp_path: Path) -> None:
        """With nothing under way there is nothing to wait for."""
        executor = self.make(tmp_path)
        started = time.monotonic()
        assert executor.wait(0.2) == []
        assert time.monotonic() - started < 5
        executor.close()

    @pytest.mark.parametrize(
        ("config", "reason"),
        [
            ({"faults": {"1": "raise"}}, "told to raise"),
            ({"faults": {"9": "no-such-fault"}}, "unknown fault"),
            ({"no_such_setting": 1}, "no_such_setting"),
        ],
    )
    def test_a_broken_trainer_fails_its_runs(
        self, tmp_path: Path, config: dict[str, Any], reason: str
    ) -> None:
        """The reason is in the record, and the executor goes on."""
        executor = self.make(tmp_path)
        executor.submit([fake_spec(1, **config), fake_spec(2, **config)])
        executor.submit([fake_spec(3)])
        back = {o.spec.seed: o for o in observations(drain(executor, 3))}
        executor.close()
        assert not back[1].ok
        assert not back[2].ok
        assert reason in back[1].error
        assert back[3].ok

    def test_an_unknown_trainer_fails_its_runs(self, tmp_path: Path) -> None:
        """A module that is not there is named."""
        executor = self.make(tmp_path)
        executor.submit([RunSpec(Mixture.of(WEB), Scale(10, 10), trainer="no_such_module:Trainer")])
        (failed,) = observations(drain(executor, 1))
        executor.close()
        assert "no_such_module" in failed.error

    def test_one_diverged_run_leaves_the_others(self, tmp_path: Path) -> None:
        """A NaN fails its run alone."""
        executor = self.make(tmp_path)
        executor.submit([fake_spec(seed, faults={"1": "nan"}) for seed in range(3)])
        back = observations(drain(executor, 3))
        executor.close()
        assert [o.ok for o in back] == [True, False, True]
        assert "nan" in back[1].error
        assert back[1].metrics == {}

    def test_a_hung_run_is_ended_and_costs_no_other(self, tmp_path: Path) -> None:
        """It fails with the reason; the runs of its pack, and those that wait, are trained."""
        executor = self.make_timed(tmp_path, 1.0)
        if executor is None:
            pytest.skip("it keeps no time")
        executor.submit([fake_spec(seed, faults={"1": "hang"}) for seed in range(2)])
        executor.submit([fake_spec(2, faults={"1": "hang"})])
        back = {o.spec.seed: o for o in observations(drain(executor, 3))}
        assert executor.wait(0.0) == []
        executor.close()
        assert [back[seed].ok for seed in range(3)] == [True, False, True]
        assert "took longer than 1 s" in back[1].error
        assert back[1].info[CAUSE] == "timeout"

    def test_a_run_that_kills_its_process_costs_no_other(self, tmp_path: Path) -> None:
        """The pack is halved until it is alone; every run comes back once."""
        if not self.survives_crashes:
            pytest.skip("its runs have no processes of their own")
        executor = self.make(tmp_path)
        executor.submit([fake_spec(seed, faults={"2": "crash"}) for seed in range(4)])
        back = observations(drain(executor, 4))
        assert executor.wait(0.0) == []
        executor.close()
        assert {o.spec.seed: o.ok for o in back} == {0: True, 1: True, 2: False, 3: True}
        (failed,) = (o for o in back if not o.ok)
        assert "the worker died" in failed.error
        assert failed.info[CAUSE] == "crash"

    def test_packs_are_of_one_kind(self, tmp_path: Path) -> None:
        """Mixed scales or configurations, and empty packs, are refused at once."""
        executor = self.make(tmp_path)
        with pytest.raises(InputError, match="one scale"):
            executor.submit([fake_spec(0), fake_spec(0, tokens=20_000)])
        with pytest.raises(InputError, match="one config"):
            executor.submit([fake_spec(0), fake_spec(0, noise=0.5)])
        with pytest.raises(InputError, match="at least one run"):
            executor.submit([])
        executor.close()

    def test_closing_twice_is_fine(self, tmp_path: Path) -> None:
        """Also with packs under way, which do not come back."""
        executor = self.make(tmp_path)
        executor.submit([fake_spec(0)])
        executor.close()
        executor.close()
        assert executor.wait(0.0) == []
