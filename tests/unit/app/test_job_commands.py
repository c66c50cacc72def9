"""The commands that send a sweep to a cluster and find it there; the server is in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from mixopt.app.commands.application import app
from mixopt.app.jobs import submission
from mixopt.app.output import show_jobs
from mixopt.errors import InputError, MixoptError

Call = Callable[..., Result]
SPEC: dict[str, Any] = {
    "version": 1,
    "name": "mine",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer"},
    "scales": [{"params": 1000, "tokens": "10k"}],
    "objective": {"minimize": "loss/web"},
}


@dataclass(frozen=True)
class Job:
    identifier: str
    sweep: str = "mine"
    out: str = "/shared/mine"
    spec: str = "spec.yaml"
    python: str = "python"
    state: str = "RUNNING"
    started: float = 1_000_000_000.0
    ended: float = 0.0
    message: str = ""
    exit_code: int | None = None
    runtime_env: dict[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.state != "RUNNING"


class Server:
    shown = "http://head:8265"

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.log, self.ends = "trained\n", "SUCCEEDED"

    def list(self) -> list[Job]:
        return self.jobs[::-1]

    def find(self, name: str) -> Job:
        try:
            return next(job for job in self.list() if name in {job.sweep, job.identifier})
        except StopIteration:
            raise InputError(f"no job of a sweep {name!r}") from None

    def state(self, identifier: str) -> Job:
        return self.find(identifier)

    def submit(self, sweep: str, entrypoint: str, facts: Any, runtime_env: Any) -> str:
        self.jobs.append(Job(f"job-{len(self.jobs)}", sweep, out=facts["out"]))
        return self.jobs[-1].identifier

    def _end(self, state: str) -> None:
        self.jobs[-1] = replace(self.jobs[-1], state=state, exit_code=3, message="it says why")

    def stop(self, identifier: str) -> None:
        self._end("STOPPED")

    def logs(self, identifier: str) -> str:
        return self.log

    def follow(self, identifier: str, write: Any) -> None:
        write(self.log)
        self._end(self.ends)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(submission, "connect", lambda address: made)
    monkeypatch.setattr(show_jobs, "_PAUSE_SECONDS", 0.0)
    return made


@pytest.fixture
def call(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://head:8265")
    monkeypatch.delenv("MIXOPT_RUNS", raising=False)
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    return lambda *words: CliRunner().invoke(app, list(words))


def test_a_sweep_is_submitted_listed_stopped_and_resumed(call: Call, server: Server) -> None:
    sent = call("submit", "spec.yaml", "--out", "/shared/mine", "--detach")
    assert sent.exit_code == 0
    assert "From any machine: mixopt logs|stop|resume 'mine'" in sent.stderr
    listed = json.loads(call("jobs", "--json", "-").stdout)["jobs"]
    assert [(j["sweep"], j["state"], j["out"]) for j in listed] == [
        ("mine", "RUNNING", "/shared/mine")
    ]
    assert "runtime_env" not in listed[0]  # which has variables of the environment
    assert call("logs", "mine").stdout == "trained\n"
    assert "'mixopt resume mine" in call("stop", "mine").stderr
    assert isinstance(call("stop", "mine").exception, InputError)
    resumed = call("resume", "mine")
    assert resumed.exit_code == 0
    assert resumed.stdout == "trained\n"
    assert [job.state for job in server.jobs] == ["STOPPED", "SUCCEEDED"]


def test_following_ends_as_the_sweep_does(call: Call, server: Server) -> None:
    server.ends = "FAILED"
    failed = call("submit", "spec.yaml", "--out", "/shared/mine")
    assert failed.exit_code == 3
    assert failed.stdout == "trained\n"
    assert "failed. it says why" in failed.stderr
    assert call("logs", "job-0", "--follow").exit_code == 3


def test_an_empty_cluster_and_an_unknown_name_are_said(call: Call) -> None:
    assert "No sweep was submitted" in call("jobs").stderr
    assert isinstance(call("logs", "mine").exception, MixoptError)


def test_the_list_of_jobs_keeps_its_lines_whole_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    job = Job("mixopt-mine-a4dd9ebb", out="/shared/a/rather/long/folder/of/many/runs/mine")
    show_jobs.show_list([job])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert job.out in lines[1]
    assert job.identifier in lines[1]
