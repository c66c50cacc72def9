"""The executor on Slurm over a queue that a test plays: what it does when jobs end in all ways."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mixopt.errors import MixoptError
from mixopt.execution.local import run_pack
from mixopt.execution.packs import CAUSE
from mixopt.execution.slurm import executor as module
from mixopt.execution.slurm import under_way
from mixopt.execution.slurm.executor import SlurmExecutor
from mixopt.execution.slurm.folder import DriverFolder, PackFolder
from mixopt.execution.slurm.queue import Job, LaterError, Queue, clean
from mixopt.ports import Progress
from mixopt.testing.executor_contract import fake_spec, observations
from mixopt.testing.trainers import FakeTrainer


@dataclass
class Played:
    """A queue of Slurm as a test has it."""

    environment: dict[str, str] = field(default_factory=dict)
    there: dict[str, Job] = field(default_factory=dict)
    folders: dict[str, PackFolder] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    refuse: list[MixoptError] = field(default_factory=list)
    deaf: bool = False
    accounts: dict[str, str] = field(default_factory=dict)

    def submit(self, options: Sequence[str], words: Sequence[str]) -> str:
        if self.refuse:
            raise self.refuse.pop(0)
        number = str(len(self.folders) + 1)
        (name,) = (o.removeprefix("--job-name=") for o in options if o.startswith("--job-name="))
        self.there[number] = Job(number, name, "PENDING", "Priority")
        self.folders[number] = PackFolder(Path(words[-1]))
        return number

    def jobs(self) -> list[Job] | None:
        return None if self.deaf else list(self.there.values())

    def last_state(self, number: str) -> str:
        return self.accounts.get(number, "gone")

    def cancel(self, numbers: Sequence[str]) -> None:
        self.cancelled += numbers
        for number in numbers:
            self.there.pop(number, None)

    def begin(self, number: str) -> None:
        self.folders[number].start("node7", "node7:1")
        self.state(number, "RUNNING")

    def state(self, number: str, state: str) -> None:
        self.there[number] = replace(self.there[number], state=state)

    def train(self, number: str) -> None:
        """As the worker does."""
        folder = self.folders[number]
        task = folder.task()
        assert task is not None
        self.begin(number)
        folder.answer(run_pack(task.pack.specs, task.cache, folder.report))
        self.state(number, "COMPLETED")


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played()
    monkeypatch.setattr(module, "Queue", lambda: played)
    monkeypatch.setattr(under_way, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(under_way, "_LONG_SECONDS", 0.0)
    return played


Make = Callable[..., SlurmExecutor]


@pytest.fixture
def make(queue: Played, tmp_path: Path) -> Make:
    return lambda **settings: SlurmExecutor(tmp_path, poll=1e-9, **settings)


def test_a_pack_comes_back_with_its_host_and_its_folder_goes_when_it_is_kept(
    make: Make, queue: Played, tmp_path: Path
) -> None:
    executor, specs = make(gpus_per_pack=2), [fake_spec(0), fake_spec(1)]
    executor.submit(specs)
    assert executor.wait(0.0) == []
    queue.train("1")
    events = executor.wait(0.0)
    back = observations(events)
    assert [o.metrics for o in back] == [o.metrics for o in FakeTrainer().train(specs, tmp_path)]
    assert all(o.spec is spec for o, spec in zip(back, specs, strict=True))
    assert all(o.place is not None and o.place.gpus == 2 for o in back)
    assert sum(isinstance(e, Progress) for e in events) == 6
    assert queue.folders["1"].path.is_dir()  # were the driver killed now, the answer is there
    assert executor.wait(0.0) == []
    assert not queue.folders["1"].path.exists()
    executor.close()
    assert queue.cancelled == []


@pytest.mark.parametrize(
    ("state", "cause", "attempts"),
    [
        ("FAILED", "crash", 3),
        ("OUT_OF_MEMORY", "memory", 3),
        ("TIMEOUT", "timeout", 2),
        ("NODE_FAIL", "lost", 6),
        ("PREEMPTED", "lost", 6),
        ("CANCELLED", "lost", 6),
    ],
)
def test_each_end_has_its_cause_and_its_retries(
    make: Make, queue: Played, state: str, cause: str, attempts: int
) -> None:
    executor = make(retries={"lost": 5})
    executor.submit([fake_spec(0)])
    events: list[Any] = []
    for number in range(1, attempts + 1):
        queue.state(str(number), state)
        assert not events
        events = executor.wait(0.0)
    (failed,) = observations(events)
    assert failed.info[CAUSE] == cause
    assert failed.info["attempts"] == attempts
    assert state in failed.error
    executor.close()


def test_a_lost_pack_stays_whole_and_one_that_crashed_is_halved(make: Make, queue: Played) -> None:
    executor = make()
    executor.submit([fake_spec(seed) for seed in range(4)])
    queue.state("1", "PREEMPTED")
    executor.wait(0.0)
    assert list(queue.folders) == ["1", "2"]
    queue.state("2", "FAILED")
    executor.wait(0.0)
    assert list(queue.folders) == ["1", "2", "3", "4"]
    queue.train("3")
    queue.train("4")
    assert sorted(o.spec.seed for o in observations(executor.wait(0.0))) == [0, 1, 2, 3]
    executor.close()


def test_a_job_that_squeue_forgot_is_looked_up_and_its_answer_counts(
    make: Make, queue: Played
) -> None:
    executor = make(retries=0)
    executor.submit([fake_spec(0)])
    executor.submit([fake_spec(1)])
    queue.train("1")
    queue.there.clear()
    queue.accounts["2"] = "OUT_OF_MEMORY"
    back = {o.spec.seed: o for o in observations(executor.wait(0.0) + executor.wait(0.0))}
    assert back[0].ok
    assert back[1].info[CAUSE] == "memory"
    executor.close()


def test_a_run_that_takes_too_long_is_cancelled(make: Make, queue: Played) -> None:
    executor = make(timeout=1e-6, retries={"timeout": 0})
    executor.submit([fake_spec(0)])
    assert executor.wait(0.0) == []  # it waits, which is not its fault
    queue.begin("1")
    (failed,) = observations(executor.wait(0.0) + executor.wait(0.0))
    assert failed.info[CAUSE] == "timeout"
    assert failed.place is not None
    assert failed.place.host == "node7"
    assert queue.cancelled == ["1"]
    executor.close()


def test_a_controller_that_is_away_costs_nothing(
    make: Make, queue: Played, caplog: pytest.LogCaptureFixture
) -> None:
    executor = make()
    queue.refuse = [LaterError("Unable to contact slurm controller")] * 2
    with caplog.at_level(logging.WARNING):
        executor.submit([fake_spec(0)])
        queue.deaf = True
        assert executor.wait(0.0) == executor.wait(0.0) == []
        queue.deaf = False
        executor.wait(0.0)
    assert caplog.text.count("squeue does not answer") == 1
    assert queue.folders == {}
    executor.wait(0.0)
    queue.train("1")
    assert len(observations(executor.wait(0.0))) == 1
    executor.close()


def test_a_job_that_was_queued_though_sbatch_failed_is_not_queued_twice(
    make: Make, queue: Played
) -> None:
    executor = make()
    queue.refuse = [LaterError("Socket timed out")]
    executor.submit([fake_spec(0)])
    (folder,) = DriverFolder(next((executor._cache / "slurm").iterdir())).packs()
    queue.there["77"], queue.folders["77"] = Job("77", folder.name, "PENDING"), folder
    executor.wait(0.0)
    queue.train("77")
    assert len(observations(executor.wait(0.0))) == 1
    assert list(queue.folders) == ["77"]
    executor.close()


def test_a_number_that_a_crashed_controller_gave_twice_is_of_the_job_with_the_name(
    make: Make, queue: Played
) -> None:
    """The controller forgot job 1 and gave its number to a pack that came later."""
    executor = make()
    executor.submit([fake_spec(0)])
    queue.there.clear()
    forgotten = queue.folders.pop("1")
    executor.submit([fake_spec(1)])
    assert list(queue.there) == ["1"]
    executor.wait(0.0)  # the first one is lost, and starts again under a number of its own
    executor.wait(0.0)
    assert set(queue.folders) == {"1", "2"}
    assert queue.cancelled == []
    assert not forgotten.path.exists()
    queue.train("1")
    queue.train("2")
    back = observations(executor.wait(0.0) + executor.wait(0.0))
    assert sorted(o.spec.seed for o in back) == [0, 1]
    executor.close()
    assert queue.cancelled == []


def test_what_slurm_refuses_ends_the_sweep_and_fails_no_run(make: Make, queue: Played) -> None:
    executor = make()
    queue.refuse = [MixoptError("invalid partition")]
    with pytest.raises(MixoptError, match="invalid partition"):
        executor.submit([fake_spec(0)])
    assert executor.wait(0.0) == []
    executor.close()


def test_closing_cancels_jobs_also_those_that_the_driver_never_heard_of(
    make: Make, queue: Played, tmp_path: Path
) -> None:
    executor = make()
    executor.submit([fake_spec(0)])
    name = queue.there["1"].name
    queue.there["9"] = Job("9", name, "RUNNING")
    queue.there["8"] = Job("8", "somebody-elses", "RUNNING")
    executor.close()
    assert sorted(queue.cancelled) == ["1", "9"]
    assert list((tmp_path / "slurm").iterdir()) == []


def test_jobs_of_a_driver_that_died_are_taken_over_and_not_doubled(
    make: Make, queue: Played
) -> None:
    """One waits, one has ended meanwhile, one was lost with its folder's driver; packs differ."""
    dead = make()
    dead.submit([fake_spec(0), fake_spec(1)])
    dead.submit([fake_spec(2)])
    dead.submit([fake_spec(3)])
    queue.train("2")
    del queue.there["3"]
    dead._mine.release()  # what the system does when a process dies
    executor = make()
    executor.submit([fake_spec(1), fake_spec(2), fake_spec(3)])
    assert list(queue.folders) == ["1", "2", "3", "4"]
    assert [s.seed for s in queue.folders["4"].task().pack.specs] == [3]  # type: ignore[union-attr]
    for number in ("1", "4"):
        queue.train(number)
    assert sorted(o.spec.seed for o in observations(executor.wait(0.0))) == [1, 2, 3]
    executor.submit([fake_spec(0)])  # asked for after its pack came back
    assert [o.spec.seed for o in observations(executor.wait(0.0))] == [0]
    assert list(queue.folders) == ["1", "2", "3", "4"]
    executor.close()
    assert not dead._mine.path.exists()


def test_jobs_of_a_driver_that_lives_are_left_to_it(make: Make, queue: Played) -> None:
    living, other = make(), None
    living.submit([fake_spec(0)])
    other = make()
    other.submit([fake_spec(0)])
    assert list(queue.folders) == ["1", "2"]
    other.close()
    assert queue.cancelled == ["2"]
    living.close()


def test_a_second_job_may_not_train_a_pack_that_is_claimed(tmp_path: Path) -> None:
    folder = PackFolder(tmp_path)
    assert folder.claim("1")
    assert not folder.claim("2")


def test_half_a_line_of_progress_waits(tmp_path: Path) -> None:
    folder, line = PackFolder(tmp_path), {"run_id": "a", "tokens": 5, "metrics": {"loss": 1.0}}
    text = json.dumps(line) + "\n"
    (tmp_path / "progress.jsonl").write_text(text + text[:10])
    ((run_id, point),), read = folder.points(0)
    assert (run_id, point.tokens) == ("a", 5)
    (tmp_path / "progress.jsonl").write_text(text + text)
    again, end = folder.points(read)
    assert len(again) == 1
    assert folder.points(end) == ([], end)


def commands(folder: Path, **scripts: str) -> dict[str, str]:
    """Stand-ins for Slurm's commands, alone in the path."""
    for name, script in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_commands_get_their_arguments_as_words_and_are_read(tmp_path: Path) -> None:
    queue = Queue(
        commands(
            tmp_path,
            sbatch=f'printf "%s\\n" "$@" > {tmp_path}/words; echo "42;cluster"',
            squeue='echo "42|mixopt-x|RUNNING|None"; echo "7|odd|PENDING|a|b"',
            sacct='echo "CANCELLED by 0"',
        )
    )
    assert queue.submit(["--qos=a b"], ["job.sh", "$(touch x)"]) == "42"
    words = (tmp_path / "words").read_text().splitlines()
    assert words == ["--parsable", "--qos=a b", "job.sh", "$(touch x)"]
    assert queue.jobs() == [
        Job("42", "mixopt-x", "RUNNING", "None"),
        Job("7", "odd", "PENDING", "a|b"),
    ]
    assert queue.last_state("42") == "CANCELLED"


@pytest.mark.parametrize(
    ("sign", "error"),
    [
        ("Unable to contact slurm controller", LaterError),
        ("QOSMaxSubmitJobPerUserLimit", LaterError),
        ("invalid partition specified: gpu", MixoptError),
    ],
)
def test_not_now_is_told_from_never(tmp_path: Path, sign: str, error: type[MixoptError]) -> None:
    said = f"sbatch: error: {sign}"
    queue = Queue(commands(tmp_path, sbatch=f'echo "{said}" >&2; exit 1', squeue="exit 1"))
    with pytest.raises(
        error, match=said.rsplit(": ", maxsplit=1)[-1].split(" (", maxsplit=1)[0]
    ) as caught:
        queue.submit([], [])
    assert type(caught.value) is error
    assert queue.jobs() is None


def test_a_machine_without_slurm_is_said(tmp_path: Path) -> None:
    queue = Queue({"PATH": str(tmp_path)})
    with pytest.raises(MixoptError, match="no command 'squeue' here"):
        queue.jobs()


def test_a_driver_inside_a_job_hands_on_nothing_of_that_job() -> None:
    before = {"SLURM_MEM_PER_NODE": "1", "SLURM_CONF": "x", "HOME": "y", "LC_ALL": "C"}
    assert clean(before) == {"SLURM_CONF": "x", "HOME": "y", "LC_ALL": "C"}
