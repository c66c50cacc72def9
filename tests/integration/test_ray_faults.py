"""What a Ray cluster does to packs: dead workers, stray errors, Ctrl-C, a lost machine."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from programs import last_line
from sandbox import hearing_ctrl_c

from mixopt.errors import InputError, MixoptError
from mixopt.lazy import load
from mixopt.testing.executor_contract import drain, fake_spec, observations

pytestmark = pytest.mark.ray


@pytest.fixture
def make(ray_cluster: None, tmp_path: Path) -> Any:
    """Makes executors that join the session's cluster."""
    return lambda **settings: load("mixopt.execution.ray:RayExecutor")(tmp_path, **settings)


def test_a_killed_worker_is_retried_and_its_runs_come_once(make: Any, tmp_path: Path) -> None:
    executor = make(retries=1, cpus_per_pack=2)  # one pack at a time, so halves end in order
    faults = {"1": "crash-once"}
    specs = [fake_spec(seed, faults=faults) for seed in range(3)]
    executor.submit(specs)
    back = observations(drain(executor, 3))
    assert executor.wait(1.0) == []
    assert [o.spec for o in back] == specs
    assert all(o.ok for o in back)
    assert (tmp_path / f"fake-{specs[1].run_id}.attempt").exists()  # it did die


def test_spent_retries_fail_the_pack_with_the_cause(make: Any) -> None:
    executor = make(retries=1)
    executor.submit([fake_spec(seed, faults={"1": "crash"}) for seed in range(2)])
    executor.submit([fake_spec(2)])
    back = {o.spec.seed: o for o in observations(drain(executor, 3))}
    assert [back[seed].ok for seed in range(3)] == [True, False, True]  # 0 was in the pack of 1
    assert "2 attempts" in back[1].error
    assert "WorkerCrashedError" in back[1].error


def test_workers_have_one_thread_and_other_processes(make: Any) -> None:
    executor = make()
    executor.submit([fake_spec(0)])
    (seen,) = observations(drain(executor, 1))
    assert seen.info["omp_num_threads"] == "1"
    assert seen.info["pid"] != os.getpid()


def test_a_pack_that_fits_no_node_is_refused(make: Any) -> None:
    with pytest.raises(InputError, match="no node of the Ray cluster has 64 CPU and 3 GPU"):
        make(cpus_per_pack=64, gpus_per_pack=3)
    make(cpus_per_pack=64, max_slots=1).close()  # an autoscaler may bring one


def test_closing_kills_what_is_under_way_and_leaves_the_cluster(make: Any) -> None:
    executor = make()
    executor.submit([fake_spec(0, faults={"0": "hang"})])
    executor.wait(1.0)
    executor.close()  # waits for no run: this one takes an hour
    with pytest.raises(MixoptError, match="closed"):
        executor.submit([fake_spec(0)])
    other = make()
    for seed in (1, 2):  # both CPUs are free again
        other.submit([fake_spec(seed)])
    assert len(observations(drain(other, 2))) == 2


@pytest.mark.slow
def test_a_driver_of_its_own_finds_trainers_in_its_folder_and_stops_at_ctrl_c(
    tmp_path: Path,
) -> None:
    """Ctrl-C reaches every process of the group, as in a terminal; nothing is left behind."""
    (tmp_path / "my_trainer.py").write_text(
        "from mixopt.testing.trainers import FakeTrainer\nclass Mine(FakeTrainer): ...\n"
    )
    script = """
        import json, sys, time
        sys.path.insert(0, "")  # as `python -c` and notebooks have it, and `mixopt run` sets it
        from dataclasses import replace
        from pathlib import Path
        from mixopt.execution.ray import RayExecutor
        from mixopt.testing.executor_contract import drain, fake_spec, observations
        executor = RayExecutor("cache", max_slots=1)
        executor.submit([replace(fake_spec(0), trainer="my_trainer:Mine")])
        seen = observations(drain(executor, 1))[0]
        print(json.dumps([seen.ok, seen.error]), flush=True)
        try:
            executor.submit([fake_spec(0, faults={"0": "hang"})])
            executor.submit([fake_spec(0, faults={"0": "crash"})])
            print("waits", flush=True)
            while True:
                executor.wait(60)
        except KeyboardInterrupt:
            executor.close()
            print("stopped", flush=True)
    """
    with hearing_ctrl_c():
        driver = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # its own process group, as a terminal gives it
        )
    assert driver.stdout is not None
    assert json.loads(driver.stdout.readline()) == [True, ""]
    assert driver.stdout.readline() == "waits\n"
    os.killpg(driver.pid, signal.SIGINT)
    out, err = driver.communicate(timeout=120)
    assert out == "stopped\n"
    assert "Traceback" not in err
    assert driver.returncode == 0


def test_a_wrong_address_is_said_at_once(tmp_path: Path) -> None:
    script = "from mixopt.execution.ray import RayExecutor; RayExecutor('.', address='127.0.0.1:9')"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "no Ray cluster answers at '127.0.0.1:9'" in done.stderr
    assert time.monotonic() - started < 60


@pytest.mark.slow
def test_a_lost_machine_costs_no_run(tmp_path: Path) -> None:
    """Two nodes, one killed while it trains: its pack starts again on the other. About 40 s."""
    script = """
        import json, time
        from ray.cluster_utils import Cluster
        from mixopt.execution.ray import RayExecutor
        from mixopt.testing.executor_contract import drain, fake_spec, observations
        small = {"num_cpus": 1, "object_store_memory": 100_000_000}
        head = {"include_dashboard": False, **small}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        node = cluster.add_node(**small)
        executor = RayExecutor("cache", address=cluster.address)
        before = executor.slots
        for seed in range(4):
            executor.submit([fake_spec(seed)], {"sleep": 4.0})
        time.sleep(2.0)
        cluster.remove_node(node, allow_graceful=False)
        back = observations(drain(executor, 4, 150))
        ended = time.monotonic() + 60
        while executor.slots != 1 and time.monotonic() < ended:  # asked every few seconds
            time.sleep(0.2)
        print(json.dumps([before, executor.slots, sorted([o.spec.seed, o.ok] for o in back)]))
        executor.close()
        cluster.shutdown()
    """
    before, after, back = last_line(tmp_path, script)
    assert (before, after) == (2, 1)
    assert back == [[seed, True] for seed in range(4)]


@pytest.mark.slow
def test_a_driver_that_is_cut_off_from_the_cluster_ends_and_fails_no_run(tmp_path: Path) -> None:
    """Ray's own process on its machine goes: what was under way is left for the next driver."""
    script = """
        import json, time
        from ray.cluster_utils import Cluster
        from mixopt.errors import MixoptError
        from mixopt.execution.ray import RayExecutor
        from mixopt.testing.executor_contract import fake_spec
        small = {"num_cpus": 2, "object_store_memory": 100_000_000}
        head = {"include_dashboard": False, **small}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        executor = RayExecutor("cache", address=cluster.address, retries={"crash": 0})
        for seed in range(4):  # twice as many as there is room for
            executor.submit([fake_spec(seed)], {"sleep": 600.0})
        while sum(w.began is not None for w in executor._running.values()) < 2:
            executor.wait(0.5)
        cluster.head_node.kill_raylet(check_alive=False)
        back, said = [], ""
        try:
            while not back:
                back = executor.wait(1.0)
        except MixoptError as error:
            said = str(error)
        executor.close()
        print(json.dumps([[str(event) for event in back], said]), flush=True)
    """
    back, said = last_line(tmp_path, script, ends_well=False)
    assert back == []
    assert "this machine's part of the Ray cluster has ended" in said
    assert "start the cluster again, then the sweep" in said
