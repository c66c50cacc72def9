"""Ray's own autoscaler, over its provider of pretended machines: nodes come for a queue, and go."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(240)]

LISTS = (
    *("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands"),
    *("setup_commands", "head_setup_commands", "worker_setup_commands"),
    *("head_start_ray_commands", "worker_start_ray_commands"),
)  # of a configuration; Ray asks for them, and its provider of pretended machines for none
SMALL = 100_000_000  # bytes of an object store
START = """
    import sys
    from ray.scripts.scripts import main
    sys.exit(main())
"""
SWEEP = """
    import json, sys, time
    import ray
    from mixopt.execution.ray import RayExecutor
    from mixopt.testing.executor_contract import drain, fake_spec, observations

    def nodes():
        alive = [n["Resources"] for n in ray.nodes() if n["Alive"]]
        return sorted("disk" if n.get("disk") else "plain" for n in alive if n.get("CPU"))

    def until(count):
        deadline = time.monotonic() + 120
        while len(nodes()) != count and time.monotonic() < deadline:
            time.sleep(0.2)
        return nodes()

    ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")  # stays after the executor
    executor = RayExecutor("cache", max_slots=8, per_scale=[
        {"params": 10_000, "cpus_per_pack": 2, "resources": {"disk": 1}}])
    before = nodes()
    from dataclasses import replace
    from mixopt.runs import Scale
    specs = [fake_spec(seed) for seed in range(2)]
    specs.append(replace(fake_spec(2), scale=Scale(10_000, 10_000)))
    for spec in specs:
        executor.submit([spec], {"sleep": 3.0})
    while_busy = until(3)  # what was asked for stands, whichever pack has ended by then
    back = observations(drain(executor, 3, 120))
    executor.close()
    print(json.dumps([before, while_busy, [o.error for o in back], until(0)]))
"""


ENV = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def head(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Of a cluster, and the log of its autoscaler, which may start machines of two kinds.

    Ray's `AutoscalingCluster` stops every Ray of the machine when it starts, others' included; this
    one has processes, ports and a temporary folder of its own.
    """
    folder = tempfile.mkdtemp(prefix="ray-")  # short, since Ray has sockets in it
    where = f"127.0.0.1:{free_port()}"
    config = {
        "cluster_name": "pretended",
        "max_workers": 8,
        "idle_timeout_minutes": 0.05,
        "provider": {
            "type": "fake_multinode",
            "gcs_address": where,
            "launch_multiple": True,
            "disable_node_updaters": True,  # nobody logs in there
            "disable_launch_config_check": True,
            "use_node_id_as_ip": True,  # they all have the same
        },
        **{key: {} for key in ("auth", "docker", "file_mounts")},
        **{key: [] for key in LISTS},
        "file_mounts_sync_continuously": False,
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "plain": machine({"CPU": 1}, most=4),
            "disk": machine({"CPU": 2, "disk": 1}, most=1),
        },
    }
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps(config))
    ports = [f"--port={where.rpartition(':')[2]}", f"--dashboard-agent-listen-port={free_port()}"]
    place = ["--node-ip-address=127.0.0.1", f"--temp-dir={folder}", "--include-dashboard=false"]
    words = ["start", "--head", "--block", "--num-cpus=0", f"--object-store-memory={SMALL}"]
    words.append(f"--autoscaling-config={file}")
    env = {**os.environ, **ENV, "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    env |= {"RAY_enable_autoscaler_v2": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(START), *words, *ports, *place],
        env=env,
        stdout=(tmp_path / "head.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        answers(where)
        yield where, Path(folder) / "session_latest" / "logs" / "monitor.log"
    finally:
        process.send_signal(signal.SIGTERM)  # which ends all of its processes
        try:
            process.wait(120)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def machine(resources: dict[str, int], most: int) -> dict[str, object]:
    """A kind of machines, none of them at the start."""
    held = {**resources, "object_store_memory": SMALL}
    return {"resources": held, "node_config": {}, "min_workers": 0, "max_workers": most}


def answers(where: str) -> None:
    """Wait until somebody listens."""
    host, _, port = where.partition(":")
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the head did not start"
            time.sleep(0.2)


def test_machines_come_for_what_waits_and_go_when_it_is_trained(
    head: tuple[str, Path], tmp_path: Path
) -> None:
    """Two small packs and a large one: two plain machines and one with a disk, and no more."""
    address, log = head
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SWEEP), address],
        cwd=tmp_path,
        env={**os.environ, **ENV},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:] + (tmp_path / "head.log").read_text()[-2000:]
    before, busy, errors, after = json.loads(done.stdout.splitlines()[-1])
    assert before == []
    assert errors == ["", "", ""]
    assert busy == ["disk", "plain", "plain"]
    assert after == []
    said = log.read_text()  # it was asked, and did not only see tasks that wait
    asked = re.findall(r"({.*}): (\d+) from request_resources", said)
    wishes = [(literal_eval(amounts), int(count)) for amounts, count in asked]
    assert ({"CPU": 1.0}, 2) in wishes
    assert ({"CPU": 2.0, "disk": 1.0}, 1) in wishes
