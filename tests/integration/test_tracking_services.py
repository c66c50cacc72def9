"""Stores that people share, for real: PostgreSQL, a server with a password, and both going away."""

import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sandbox import hearing_ctrl_c, mixopt, write

from mixopt import MixtureSpace, Objective, Scale
from mixopt.errors import StoreError
from mixopt.execution.local import LocalExecutor
from mixopt.execution.sweep import run_sweep
from mixopt.lazy import require
from mixopt.strategies import Problem, strategy
from mixopt.testing.store_contract import StoreContract, example_observation, example_spec
from mixopt.testing.trainers import NAME, FakeTrainer
from mixopt.tracking import locks
from mixopt.tracking.mlflow import MLflowStore
from mixopt.tracking.opening import open_mlflow

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.mlflow,
    pytest.mark.timeout(400),
]
PASSWORD = "hush-hush-7"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing after {seconds:.0f} s")
        time.sleep(0.2)


# -- PostgreSQL ----------------------------------------------------------------------------------


class Postgres:
    """A cluster of one's own, as the user that Debian's package makes."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._bin = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._folder = folder
        self._user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        (folder / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        self._run("initdb", "-D", folder / "data", "-U", "mixopt", "-A", "scram-sha-256",
                  "--pwfile", folder / "password", "--no-sync")  # fmt: skip

    @property
    def uri(self) -> str:
        return f"postgresql+psycopg://mixopt:$PG_SECRET@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self._folder}"
        self._run("pg_ctl", "-D", self._folder / "data", "-w", "-l", self._folder / "log",
                  "-o", options, "start")  # fmt: skip

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "-w", "stop")

    def _run(self, command: str, *arguments: object) -> None:
        words = [str(self._bin / command), *map(str, arguments)]
        if os.getuid() == 0:
            words = ["runuser", "-u", "postgres", "--", *words]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=120, cwd="/")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if not list(Path("/usr/lib/postgresql").glob("*/bin")):
        pytest.skip("PostgreSQL is not installed (see .ci/packages)")
    folder = Path(
        subprocess.check_output(["mktemp", "-d", "/tmp/mixopt-pg-XXXXXX"], text=True).strip()
    )
    server = Postgres(folder)
    server.start()
    before = os.environ.get("PG_SECRET")
    os.environ["PG_SECRET"] = PASSWORD
    try:
        MLflowStore(server.uri, "first").release()  # makes the tables
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
        os.environ.pop("PG_SECRET") if before is None else os.environ.update(PG_SECRET=before)


class TestPostgres(StoreContract):
    @pytest.fixture(autouse=True)
    def _database(self, postgres: Postgres, tmp_path: Path, monkeypatch: Any) -> None:
        self.uri = postgres.uri
        monkeypatch.chdir(tmp_path)  # where a database alone has MLflow keep its files

    def make(self, folder: Path, name: str = "sweep") -> Any:
        return MLflowStore(self.uri, name, namespace=folder.name)

    def reopen(self, store: Any, folder: Path, name: str = "sweep") -> Any:
        store.release()
        return self.make(folder, name)

    def attached(self, store: Any, name: str) -> bytes:
        uri = self.uri.replace("$PG_SECRET", PASSWORD)
        client = require("mlflow.tracking").MlflowClient(uri)
        return Path(client.download_artifacts(store.sweep_id, name)).read_bytes()


def test_two_drivers_and_two_owners_are_kept_apart(postgres: Postgres, monkeypatch: Any) -> None:
    with MLflowStore(postgres.uri, "mine", owner="anna") as store:
        store.open(example_spec())
        with pytest.raises(StoreError, match=f"is being run by process {os.getpid()}"):
            MLflowStore(postgres.uri, "mine", owner="anna")
        assert len(MLflowStore(postgres.uri, "mine", read_only=True).pending()) == 1
    with pytest.raises(StoreError, match=r"is 'anna''s, and you are 'ben'.*namespace.*owner: anna"):
        MLflowStore(postgres.uri, "mine", owner="ben")
    with MLflowStore(postgres.uri, "mine", owner="ben", namespace="bens") as other:
        assert other.pending() == []
    with MLflowStore(postgres.uri, "mine", owner="anna") as again:
        assert len(again.pending()) == 1


def test_a_wrong_password_is_said_and_not_shown(postgres: Postgres, monkeypatch: Any) -> None:
    monkeypatch.setenv("PG_SECRET", "wrong-wrong")
    started = time.monotonic()
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        MLflowStore(postgres.uri, "mine")
    assert "wrong-wrong" not in str(caught.value)
    assert time.monotonic() - started < 60  # MLflow alone takes minutes


# -- away, and back ------------------------------------------------------------------------------


def slow_question(folder: Path) -> Problem:
    trainer = FakeTrainer()
    space = MixtureSpace(trainer.prepare(folder).domains)
    scale = Scale(1000, 10_000)
    return Problem(space, Objective.of(trainer.metrics), (scale,), trainer=NAME, data="fake")


def sweep_through(
    store: Any, folder: Path, runs: int, fail: Callable[[], None], mend: Callable[[], None]
) -> int:
    """A sweep during which the store goes away; how many runs came in while it was."""
    trained: list[str] = []
    came_in_meanwhile = 0
    away, enough = threading.Event(), threading.Event()

    def come_back() -> None:
        time.sleep(6.0)
        enough.wait(60)
        mend()
        away.clear()

    class Counting(LocalExecutor):
        def submit(self, pack: Any, runtime: Any = None) -> None:
            nonlocal came_in_meanwhile
            trained.extend(spec.run_id for spec in pack)
            if len(trained) == 5:
                fail()
                away.set()
                threading.Thread(target=come_back).start()
            came_in_meanwhile += away.is_set()
            if came_in_meanwhile > 6 or len(trained) == runs:
                enough.set()
            time.sleep(0.2)
            super().submit(pack, runtime)

    recipe = strategy("random", runs=runs)
    run_sweep(recipe, slow_question(folder), Counting(folder), store)
    assert len(trained) == len(set(trained)) == runs
    assert len(store.observations()) == runs
    return came_in_meanwhile


def test_a_database_that_is_away_is_waited_for(
    postgres: Postgres, tmp_path: Path, caplog: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_mlflow(tmp_path, "away", uri=postgres.uri)
    with caplog.at_level(logging.WARNING, "mixopt"):
        meanwhile = sweep_through(store, tmp_path, 30, postgres.stop, postgres.start)
    store.release()
    assert meanwhile > 5
    assert any("the sweep goes on" in m for m in caplog.messages)
    assert any("answers again" in m for m in caplog.messages)
    assert not any(PASSWORD in m for m in caplog.messages)
    with MLflowStore(postgres.uri, "away") as again:
        assert len(again.observations()) == 30
        assert again.pending() == []
        client = require("mlflow.tracking").MlflowClient(
            postgres.uri.replace("$PG_SECRET", PASSWORD)
        )
        runs = client.search_runs([again.experiment], "tags.`mixopt.entry` = 'run'")
    assert len({r.data.tags["mixopt.run_id"] for r in runs}) == len(runs) == 30
    assert {r.info.status for r in runs} == {"FINISHED"}


# -- servers ---------------------------------------------------------------------------------------


@contextmanager
def server(folder: Path, port: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), *more]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only-for-this-test",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
    }
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = EDIT\n"
        f"database_uri = sqlite:///{folder}/auth.db\nadmin_username = admin\n"
        f"admin_password = {PASSWORD}-{PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True
        )
    try:
        wait_for(lambda: answers(port))
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=120)


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
    except OSError:
        return False
    return True


def test_a_server_with_mlflows_own_passwords(tmp_path: Path, monkeypatch: Any) -> None:
    port = free_port()
    secret = f"{PASSWORD}-{PASSWORD}"
    monkeypatch.setenv("TRACKING_PASSWORD", secret)
    uri = f"http://admin:$TRACKING_PASSWORD@127.0.0.1:{port}"
    with server(tmp_path, port, "--app-name", "basic-auth"):
        with MLflowStore(uri, "sweep", namespace="team") as store:
            store.close(example_observation(example_spec()))
            store.summarize("finished", {"best": 1.0}, "done")
        with MLflowStore(uri, "sweep", namespace="team", read_only=True) as again:
            assert again.observations() == [example_observation(example_spec())]
        with pytest.raises(StoreError) as refused:
            MLflowStore(f"http://admin:wrong-wrong@127.0.0.1:{port}", "sweep")
        assert "wrong-wrong" not in str(refused.value)
        monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
        shown = mixopt("ui", tmp_path, cwd=write(tmp_path, store={"uri": uri}).parent, ok=False)
        assert "Traceback" not in shown.stderr


def test_a_server_that_is_away_for_a_while(tmp_path: Path) -> None:
    port, stack = free_port(), []

    def start() -> None:
        context = server(tmp_path, port)
        context.__enter__()
        stack.append(context)

    def stop() -> None:
        stack.pop().__exit__(None, None, None)

    start()
    try:
        store = open_mlflow(tmp_path, "away", uri=f"http://127.0.0.1:{port}")
        assert sweep_through(store, tmp_path, 20, stop, start) > 3
        store.release()
        with MLflowStore(f"http://127.0.0.1:{port}", "away") as again:
            assert len(again.observations()) == 20
    finally:
        if stack:
            stop()


def test_the_ui_opens_the_sweeps_own_runs_with_one_worker(tmp_path: Path) -> None:
    write(tmp_path, execution={"use": "local"}, strategy={"use": "random", "runs": 4})
    mixopt("run", "spec.yaml", cwd=tmp_path)
    port = free_port()
    with hearing_ctrl_c():
        process = subprocess.Popen(
            [sys.executable, "-m", "mixopt", "ui", "runs/tiny", "--port", str(port)],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f"http://127.0.0.1:{port}/#/experiments/1/runs?workflowType=" in line
        wait_for(lambda: answers(port))
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=120)


def test_a_lease_on_a_server_outlives_an_outage(postgres: Postgres, monkeypatch: Any) -> None:
    monkeypatch.setattr(locks, "RENEW_SECONDS", 0.1)
    with MLflowStore(postgres.uri, "lease") as store:
        postgres.stop()
        time.sleep(0.5)
        postgres.start()
        time.sleep(0.5)
        store.open(example_spec())
    with MLflowStore(postgres.uri, "lease") as again:
        assert len(again.pending()) == 1
