"""A real Slurm on this machine: sweeps by command, a killed driver, nodes and a controller lost."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from sandbox import MIXOPT, SPEC, result, write

from mixopt.errors import MixoptError
from mixopt.execution.slurm import SlurmExecutor
from mixopt.runs import Observation
from mixopt.testing.executor_contract import drain, fake_spec, observations
from mixopt.testing.slurm_cluster import SlurmCluster, slurm_cluster, slurm_is_installed

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    if not slurm_is_installed():
        pytest.skip("Slurm is not installed (see .ci/packages)")
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), nodes=2) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def repaired(slurm: SlurmCluster) -> Iterator[None]:
    """A test that fails half-way leaves the next one no node that is down."""
    yield
    if not slurm.are_idle():
        slurm.repair()


def jobs(cluster: SlurmCluster, *states: str) -> list[str]:
    """Numbers of the jobs in these states."""
    wanted = f"--states={','.join(states or ('PENDING', 'RUNNING', 'COMPLETING'))}"
    return cluster.ask("squeue", "--me", "--noheader", wanted, "--format=%i").split()


def make(folder: Path, **settings: Any) -> SlurmExecutor:
    return SlurmExecutor(folder, **{"poll": 0.3, "max_slots": 4, **settings})


def test_a_driver_that_was_killed_leaves_jobs_that_the_next_one_takes_over(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    """Nothing is submitted twice: the second driver trains what is left."""
    trainer = {**SPEC["trainer"], "runtime": {"sleep": 1.5}}
    execution = {"use": "slurm", "poll": 0.3, "max_slots": 4, "pack_size": 1}
    write(tmp_path, trainer=trainer, execution=execution)
    before = set(jobs(slurm, "all"))
    driver = subprocess.Popen([*MIXOPT, "run", "spec.yaml"], cwd=tmp_path, stdout=subprocess.PIPE)
    slurm.wait_until(lambda: len(jobs(slurm)) >= 3 and bool(jobs(slurm, "RUNNING")))
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    left = set(jobs(slurm))
    values = result(tmp_path)
    assert left
    assert left <= set(jobs(slurm, "COMPLETED"))
    assert values["runs"] == len(set(jobs(slurm, "all")) - before) > 8
    assert not jobs(slurm)
    assert list((tmp_path / "runs" / "cache" / "slurm").iterdir()) == []
    with sqlite3.connect(next(tmp_path.glob("runs/**/mlflow.db"))) as store:
        (odd,) = store.execute("select count(*) from runs where status = 'RUNNING'").fetchone()
    assert odd == 0


def test_ctrl_c_cancels_the_jobs(slurm: SlurmCluster, tmp_path: Path) -> None:
    executor = make(tmp_path)
    for seed in range(6):  # more than there is room for
        executor.submit([fake_spec(seed, faults={str(seed): "hang"})])
    slurm.wait_until(lambda: len(jobs(slurm, "RUNNING")) == 4)
    executor.close()
    slurm.wait_until(lambda: not jobs(slurm))


def test_a_node_that_is_lost_costs_no_run_and_neither_does_the_controller(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    executor = make(tmp_path)
    specs = [fake_spec(seed) for seed in range(3)]
    executor.submit(specs, {"sleep": 6.0})
    slurm.wait_until(lambda: bool(jobs(slurm, "RUNNING")))
    node = slurm.ask("squeue", "--me", "--noheader", "--states=RUNNING", "--format=%N").split()[0]
    time.sleep(1.0)
    slurm.kill(node)
    folder = next(path for path in (tmp_path / "slurm").iterdir())
    for worker in subprocess.run(
        ["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False
    ).stdout.split():
        os.kill(int(worker), signal.SIGKILL)  # a machine goes with all that is on it
    slurm.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")
    back: list[Observation] = []  # what runs on may end at any moment, with a controller or not

    def runs_again() -> bool:
        back.extend(observations(executor.wait(0.5)))
        return len(jobs(slurm, "RUNNING")) == 1

    slurm.wait_until(runs_again)
    again = slurm.ask("squeue", "--me", "--noheader", "--states=RUNNING", "--format=%j").strip()
    slurm.wait_until(lambda: slurm.has_saved(again))
    slurm.kill("slurmctld")
    executor.submit([fake_spec(9)])
    back.extend(observations(executor.wait(1.0)))
    slurm.start("slurmctld")
    back.extend(observations(drain(executor, 4 - len(back), seconds=120.0)))
    executor.close()
    assert sorted(o.spec.seed for o in back) == [0, 1, 2, 9]
    assert all(o.ok for o in back)


MEETING = """
from mixopt.runs.nodes import Nodes
from mixopt.testing.trainers import FakeTrainer

class Meeting(FakeTrainer):
    def train(self, specs, cache, report):
        here = Nodes.here()
        (cache / f"met-{here.index}-of-{here.count}").write_text(here.address)
        return super().train(specs, cache, report)
"""


def test_several_machines_train_a_pack_and_meet_at_the_first(
    slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meeting.py").write_text(MEETING)
    monkeypatch.syspath_prepend(tmp_path)
    executor = make(tmp_path, nodes_per_pack=2)
    executor.submit([replace(fake_spec(0), trainer="meeting:Meeting")], {"sleep": 1.5})
    (seen,) = observations(drain(executor, 1))
    executor.close()
    assert seen.ok, seen.error
    first, second = (tmp_path / f"met-{index}-of-2" for index in range(2))
    assert first.read_text() == second.read_text() != ""


def test_what_the_cluster_has_not_is_refused_in_its_words(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    executor = make(tmp_path, partition="gpu")
    with pytest.raises(MixoptError, match="invalid partition specified: gpu"):
        executor.submit([fake_spec(0)])
    executor.close()


def test_check_says_how_many_jobs_there_are_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, execution={"use": "slurm", "max_slots": 7})
    assert yaml.safe_load(path.read_text())["execution"]["use"] == "slurm"
    done = subprocess.run(
        [*MIXOPT, "check", "spec.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "a Slurm cluster" in done.stdout
    assert "at most 7 at once" in done.stdout
