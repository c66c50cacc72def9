"""A live MLflow server with a password: sweeps work, and the password is shown nowhere."""

import base64
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sandbox import mixopt, write

from mixopt.errors import StoreError
from mixopt.tracking.location import check, locate
from mixopt.tracking.mlflow import MLflowStore

USER, PASSWORD = "me", "hush-Hush/7"
ALLOWED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
WRITTEN = PASSWORD.replace("/", "%2F")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Gate(BaseHTTPRequestHandler):
    """Passes requests with the password on to the server behind."""

    protocol_version = "HTTP/1.1"
    behind = 0

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != ALLOWED:
            self.answer(401, b"who are you?")
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=60)
        kept = {"content-type", "accept"}
        headers = {k: v for k, v in self.headers.items() if k.lower() in kept}
        connection.request(self.command, self.path, body=body, headers=headers)
        response = connection.getresponse()
        self.answer(response.status, response.read(), response.getheader("Content-Type"))
        connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def answer(self, status: int, body: bytes, kind: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a server that asks for a password."""
    folder, behind = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(behind), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    gate = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Gate,), {"behind": behind}))
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    try:
        _wait(behind)
        yield f"127.0.0.1:{gate.server_address[1]}"
    finally:
        gate.shutdown()
        gate.server_close()
        server.terminate()
        server.wait(timeout=120)


def _wait(port: int) -> None:
    for _ in range(240):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError("mlflow server did not start in 2 minutes")


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.mlflow
@pytest.mark.timeout(400)
class TestPasswords:
    def test_a_sweep_runs_reports_and_resumes_and_the_password_is_kept_nowhere(
        self, address: str, tmp_path: Path
    ) -> None:
        uri = f"http://{USER}:{WRITTEN}@{address}"
        environment = {"env_vars": {"HF_TOKEN": "token-of-mine", "HOME_OF": "/home/of/mine"}}
        spec = write(
            tmp_path,
            store={"uri": uri},
            execution={"use": "ray", "runtime_env": environment},
        )
        done = mixopt("run", "spec.yaml", "--json", "out.json", cwd=tmp_path)
        again = mixopt("run", "spec.yaml", "--json", "again.json", cwd=tmp_path)
        report = mixopt("report", "spec.yaml", cwd=tmp_path)
        shown = "".join(d.stdout + d.stderr for d in (done, again, report))
        assert (tmp_path / "out.json").is_file()
        assert b'"trained": 0' in (tmp_path / "again.json").read_bytes()
        refused = mixopt("report", "runs/tiny", cwd=tmp_path, ok=False)
        assert f"the password of http://{USER}:***@{address} was not kept" in refused.stderr
        spec.unlink()
        with MLflowStore(uri, "tiny", read_only=True) as store:
            kept = str(store.annotations()["spec"])
            sweep = store._client.get_run(store.sweep_id)
            runs = store._client.search_runs([sweep.info.experiment_id])
            tags = [str(run.data) for run in runs]
        for secret in (PASSWORD, WRITTEN, "token-of-mine", "/home/of/mine"):
            assert secret.encode() not in everything(tmp_path)
            assert secret not in shown + refused.stderr + kept + "".join(tags)

    def test_a_variable_of_the_environment_stands_for_the_password(
        self, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRACKING_PASSWORD", WRITTEN)
        uri = f"http://{USER}:$TRACKING_PASSWORD@{address}"
        write(tmp_path, name="variable", store={"uri": uri}, execution={"use": "local"})
        mixopt("run", "spec.yaml", cwd=tmp_path)
        mixopt("report", "runs/variable", cwd=tmp_path)
        assert b"$TRACKING_PASSWORD" in (tmp_path / "runs/variable/spec.json").read_bytes()
        assert WRITTEN.encode() not in everything(tmp_path)

    @pytest.mark.parametrize(
        ("who", "message"),
        [
            (f"{USER}:wrong-one@", "refuses this user and password"),
            ("", "asks for a password; write"),
        ],
    )
    def test_a_wrong_password_is_refused_at_once(
        self, address: str, who: str, message: str
    ) -> None:
        with pytest.raises(StoreError, match=message) as caught:
            check(locate(f"http://{who}{address}"))
        assert "wrong-one" not in str(caught.value)

    def test_the_environment_is_as_it_was(self, address: str) -> None:
        before = dict(os.environ)
        with MLflowStore(f"http://{USER}:{WRITTEN}@{address}", "environment") as store:
            assert PASSWORD not in store.uri
        assert {k: v for k, v in os.environ.items() if "TRACKING" in k} == {
            k: v for k, v in before.items() if "TRACKING" in k
        }
