"""The page "From laptop to cluster", followed on a cluster of three nodes with its job server."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from sandbox import MIXOPT, SPEC, hearing_ctrl_c

from mixopt.tracking import open_store

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(420)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guide" / "clusters.md").read_text(encoding="utf-8")
TOKEN = "0123456789abcdef" * 4
CLUSTER = """
    import sys, time
    from ray._private.utils import write_ray_address
    from ray.cluster_utils import Cluster
    small = {"object_store_memory": 100_000_000}
    ports = {"dashboard_port": int(sys.argv[1]), "dashboard_agent_listen_port": int(sys.argv[2])}
    head = {"num_cpus": 0, "include_dashboard": True, "temp_dir": sys.argv[3], **ports, **small}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    # A job's driver connects to the cluster that the head's temporary folder names; Ray's test
    # cluster writes its address into the usual folder alone, which others on this machine do too.
    write_ray_address(cluster.address, sys.argv[3])
    for _ in range(2):
        cluster.add_node(num_cpus=1, **small)
    print("up", flush=True)
    sys.stdin.read()
    cluster.shutdown()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of the job server of a cluster that asks for a token: a head without CPUs, two machines."""
    port = free_port()
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    # The jobs' `python` is this one, as on a machine where mixopt is installed.
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env["PYTHONPATH"] = str(ROOT)
    folder = tempfile.mkdtemp(prefix="ray-")  # short, since Ray has sockets in it
    program = [sys.executable, "-c", textwrap.dedent(CLUSTER), str(port), str(free_port()), folder]
    cluster = subprocess.Popen(
        program, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    try:
        assert "up" in cluster.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        cluster.stdin.close()
        cluster.wait(120)
        shutil.rmtree(folder, ignore_errors=True)


def steps() -> list[list[str]]:
    """The commands of the page's steps on a cluster, in their order."""
    part = PAGE[PAGE.index("## On a cluster") : PAGE.index("### What has to last")]
    blocks = re.findall(r"```bash\n(.*?)```", part, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("mixopt ")]


class Laptop:
    """A machine with the working folder (or without), from which commands are given."""

    def __init__(self, folder: Path, address: str, shared: Path) -> None:
        self.folder, self.address, self.shared = folder, address, shared
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
        self.env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        folder.mkdir()

    def words(self, command: list[str]) -> list[str]:
        text = [word.replace("/shared", str(self.shared)) for word in command]
        return [*MIXOPT, *(word.replace("http://head:8265", self.address) for word in text)]

    def run(
        self, *command: str, ok: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.words(list(command)),
            cwd=self.folder,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def start(self, command: list[str]) -> "subprocess.Popen[str]":
        with hearing_ctrl_c():
            return subprocess.Popen(
                self.words(command),
                cwd=self.folder,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )


def until(client: "subprocess.Popen[str]", text: str) -> None:
    assert client.stdout is not None
    seen = []
    for line in client.stdout:
        seen.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} never came:\n{''.join(seen)}")


def with_a_trainer_of_its_own(laptop: Laptop) -> None:
    (laptop.folder / "my_trainer.py").write_text(
        "from mixopt.testing.trainers import FakeTrainer\nclass Mine(FakeTrainer): ...\n"
    )
    trainer = {"use": "my_trainer:Mine", "config": {"noise": 0.002}, "runtime": {"sleep": 8.0}}
    spec = {**SPEC, "name": "mine", "trainer": trainer}
    (laptop.folder / "spec.yaml").write_text(yaml.safe_dump(spec))
    (laptop.folder / "data").mkdir()


def test_the_page_from_laptop_to_cluster_works(address: str, tmp_path: Path) -> None:
    submit, jobs, logs, stop, resume = steps()
    shared = tmp_path / "shared"
    laptop = Laptop(tmp_path / "laptop", address, shared)
    with_a_trainer_of_its_own(laptop)

    refused = laptop.run(*submit, ok=False, env={"RAY_AUTH_MODE": "disabled"})
    assert "asks for a token: export RAY_AUTH_MODE=token" in refused.stderr
    homeless = laptop.run(*submit[:-2], ok=False)
    assert "where are the sweep's results to stay? Give --out" in homeless.stderr

    client = laptop.start(submit)
    until(client, "[design] 1")
    client.send_signal(signal.SIGINT)
    rest, _ = client.communicate(timeout=120)
    assert "Detached; the sweep goes on" in rest
    assert client.returncode == 0
    again = laptop.run(*submit, ok=False)
    assert "is running already as job mixopt-mine-" in again.stderr
    assert "not taken along: data" in again.stderr

    client = laptop.start(["logs", "mine", "--follow", "--address", address])
    until(client, "[design]")
    client.kill()  # a closed laptop
    client.wait()

    other = Laptop(tmp_path / "other", address, shared)  # without spec and code
    assert "running" in other.run(*jobs).stdout
    assert "Preparing the data of mine" in other.run(*logs).stdout
    other.run(*stop)
    before = open_store("mlflow", shared / "runs/mine", "mine", {}, read_only=True).observations()
    assert before

    finished = other.run(*resume)
    assert "Going on from" in finished.stdout
    assert "Recommended mixture" in finished.stdout
    result = open_store("mlflow", shared / "runs/mine", "mine", {}, read_only=True)
    after = result.observations()
    assert [o.run_id for o in after][: len(before)] == [o.run_id for o in before]
    assert len({o.run_id for o in after}) == len(after) > len(before)
    assert all(o.ok for o in after)
    assert result.pending() == []
    assert (shared / "runs/mine/report.html").is_file()
    assert (shared / "runs/mine/code/my_trainer.py").is_file()

    # A changed working folder goes on with the same sweep: there is nothing left to train.
    (laptop.folder / "note.py").write_text("changed = True\n")
    last = laptop.run(*submit)
    assert "Recommended mixture" in last.stdout
    assert len(result.observations()) == len(after)
    laptop.run(*jobs, "--json", "jobs.json")
    listed = json.loads((laptop.folder / "jobs.json").read_text())["jobs"]
    assert [job["state"] for job in listed] == ["SUCCEEDED", "SUCCEEDED", "STOPPED"]


def test_a_plain_ray_job_is_told_what_is_missing(address: str, tmp_path: Path) -> None:
    """`ray job submit --working-dir . -- mixopt run spec.yaml`: its results would be lost."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    done = subprocess.run(
        ["ray", "job", "submit", "--working-dir", ".", "--", *MIXOPT, "run", "spec.yaml"],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RAY_API_SERVER_ADDRESS": address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "is inside of the job's package, which Ray deletes" in done.stdout + done.stderr
