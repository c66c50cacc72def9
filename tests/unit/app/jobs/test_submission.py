"""Sending a sweep to a cluster: what is refused before, and what the job is told."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mixopt.app.jobs import submission
from mixopt.app.output import show_jobs
from mixopt.app.running import durable
from mixopt.app.spec.spec_file import parse_spec
from mixopt.errors import InputError, MixoptError, SpecError, StoreError

SPEC: dict[str, Any] = {
    "version": 1,
    "name": "my-sweep",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer"},
    "scales": [{"params": 1000, "tokens": "10k"}],
    "objective": {"minimize": "loss/web"},
}
OUT = "/shared/my runs/my-sweep"


@dataclass(frozen=True)
class Job:
    identifier: str
    sweep: str = "my-sweep"
    out: str = OUT
    spec: str = "spec.yaml"
    python: str = "python"
    state: str = "RUNNING"
    message: str = ""
    exit_code: int | None = None
    runtime_env: dict[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.state not in {"RUNNING", "PENDING"}


class Server:
    """Stands for `mixopt.execution.ray.jobs.Jobs`."""

    shown = "http://head:8265"

    def __init__(self, *jobs: Job) -> None:
        self.jobs, self.sent = list(jobs), []
        self.breaks, self.log = 0, ["one\n", "two\n", "three\n"]

    def list(self) -> list[Job]:
        return self.jobs

    def find(self, name: str) -> Job:
        return next(job for job in self.jobs if name in {job.sweep, job.identifier})

    def state(self, identifier: str) -> Job:
        return self.find(identifier)

    def submit(self, sweep: str, entrypoint: str, facts: Any, runtime_env: Any) -> str:
        files = sorted(p.name for p in Path(runtime_env.get("working_dir", "/none")).rglob("*"))
        self.sent.append((sweep, entrypoint, facts, runtime_env, files))
        return "new"

    def stop(self, identifier: str) -> None:
        self.jobs = [replace(job, state="STOPPED") for job in self.jobs]

    def follow(self, identifier: str, write: Any) -> None:
        for number, text in enumerate(self.log):
            if number == 2 and self.breaks:
                self.breaks -= 1
                raise MixoptError("the connection is gone")
            write(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIXOPT_RUNS", raising=False)
    return tmp_path


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**SPEC, **changes}))
    return path


def test_the_job_runs_the_command_that_a_person_would_type(folder: Path) -> None:
    environment = {"pip": ["lab==1"], "env_vars": {"HF_TOKEN": "x"}}
    spec = write(folder, execution={"runtime_env": environment})
    (folder / "mine.py").touch()
    ready = submission.ready(spec, OUT)
    server = Server(Job("old", state="FAILED"))
    assert submission.send(server, ready) == "new"
    ((sweep, entrypoint, facts, sent, files),) = server.sent
    assert sweep == "my-sweep"
    assert entrypoint == f"exec python -m mixopt run spec.yaml --out '{OUT}'"
    assert facts == {"out": OUT, "spec": "spec.yaml", "python": "python"}
    assert sent["pip"] == ["lab==1"]
    assert sent["env_vars"] == {"HF_TOKEN": "x", "MIXOPT_RUNS": "/shared/my runs"}
    assert files == ["mine.py", "spec.yaml"]


def test_what_a_shell_would_take_for_code_is_quoted(folder: Path) -> None:
    (folder / "a $(touch pwned)").mkdir()
    spec = write(folder / "a $(touch pwned)")
    ready = submission.ready(spec, "/shared/`id`/x", python="/opt/my env/python")
    assert ready.entrypoint == (
        "exec '/opt/my env/python' -m mixopt run 'a $(touch pwned)/spec.yaml' "
        "--out '/shared/`id`/x'"
    )


@pytest.mark.parametrize("out", [None, "runs/mine", "~/runs", "/shared/../tmp"])
def test_results_need_a_place_that_lasts(folder: Path, out: str | None) -> None:
    with pytest.raises(InputError, match=r"absolute path on .*/shared/runs/my-sweep"):
        submission.ready(write(folder), out)


def test_the_place_may_come_from_the_environment_or_be_a_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = {"use": "mlflow", "uri": "http://mlflow:5000"}
    spec = write(folder, store=store, execution={"cache": "/shared/cache"})
    ready = submission.ready(spec, None)
    assert ready.out is None
    assert ready.entrypoint == "exec python -m mixopt run spec.yaml"
    assert ready.runtime_env == {}
    with pytest.raises(InputError, match=r"execution\.cache"):
        submission.ready(write(folder, store=store), None)
    monkeypatch.setenv("MIXOPT_RUNS", "/shared/all")
    assert str(submission.ready(write(folder), None).out) == "/shared/all/my-sweep"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"execution": {"runtime_env": {"working_dir": "."}}}, "execution.runtime_env.working_dir"),
        ({"execution": {"address": "head:6379"}}, "execution.address"),
        ({"execution": {"runtime_env": {"pips": []}}}, "execution.runtime_env"),
        ({"execution": {"retries": {"spot": 3}}}, "execution"),
        ({"execution": {"per_scale": [{"params": 5, "timeout": 0}]}}, "execution.per_scale"),
        ({"store": {"use": "memory"}}, "store.use"),
        (
            {"trainer": {**SPEC["trainer"], "config": {"values": {"web": "data/w.txt"}}}},
            "trainer.config.values.web",
        ),
    ],
)
def test_what_cannot_run_as_a_job_is_refused_here(
    folder: Path, changes: dict[str, Any], path: str
) -> None:
    (folder / "data").mkdir()
    (folder / "data/w.txt").touch()
    with pytest.raises(SpecError) as refused:
        submission.ready(write(folder, **changes), OUT)
    assert refused.value.path == path


def test_a_spec_outside_of_the_working_folder_is_refused(folder: Path) -> None:
    (folder / "inner").mkdir()
    with pytest.raises(InputError, match="is not in the working folder"):
        submission.ready(write(folder), OUT, folder=folder / "inner")
    (folder / "inner/link.yaml").symlink_to(folder / "spec.yaml")
    with pytest.raises(InputError, match="is not in the working folder"):
        submission.ready(folder / "inner/link.yaml", OUT, folder=folder / "inner")
    with pytest.raises(InputError, match="left out of the package"):
        submission.ready(folder / "spec.yaml", OUT, exclude=["*.yaml"])


def test_one_sweep_has_one_job(folder: Path) -> None:
    ready = submission.ready(write(folder), OUT)
    with pytest.raises(InputError, match="is running already as job old; 'mixopt logs my-sweep'"):
        submission.send(Server(Job("old")), ready)
    submission.send(Server(Job("old", out="/elsewhere")), ready)
    with pytest.raises(InputError, match="is running already"):
        submission.resume(Server(Job("old")), "my-sweep")


def test_a_sweep_is_resumed_by_its_name_with_the_code_kept_beside_it() -> None:
    environment = {"working_dir": "gcs://_ray_pkg_1.zip", "pip": ["lab==1"]}
    server = Server(Job("old", state="STOPPED", runtime_env=environment))
    submission.resume(server, "my-sweep")
    ((sweep, entrypoint, facts, sent, _),) = server.sent
    assert sweep == "my-sweep"
    assert entrypoint == (f"cd '{OUT}/code' && exec python -m mixopt run spec.yaml --out '{OUT}'")
    assert facts["out"] == OUT
    assert sent == {"pip": ["lab==1"]}
    for lost in ({"out": ""}, {"runtime_env": {"py_modules": ["gcs://_ray_pkg_2.whl"]}}):
        job = replace(Job("old", state="STOPPED"), **lost)
        with pytest.raises(InputError, match="'mixopt submit' with its spec goes on with it"):
            submission.resume(Server(job), "my-sweep")


def test_stopping_waits_for_the_end() -> None:
    assert submission.stop(Server(Job("old")), "my-sweep", 5).state == "STOPPED"
    with pytest.raises(InputError, match="does not run: job old is failed"):
        submission.stop(Server(Job("old", state="FAILED")), "my-sweep", 5)


def test_a_log_is_shown_once_although_the_connection_broke(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show_jobs, "_PAUSE_SECONDS", 0.0)
    server = Server(Job("old", state="SUCCEEDED"))
    server.breaks = 2
    assert show_jobs.follow(server, server.jobs[0]) == 0
    assert capsys.readouterr().out == "one\ntwo\nthree\n"
    failed = Server(Job("old", state="FAILED", exit_code=1, message="exit code 1"))
    assert show_jobs.follow(failed, failed.jobs[0]) == 1
    failed.breaks = 99
    with pytest.raises(MixoptError, match="the connection is gone"):
        show_jobs.follow(failed, failed.jobs[0])


def test_a_log_that_ends_before_its_job_is_taken_up_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show_jobs, "_PAUSE_SECONDS", 0.0)

    class Closing(Server):
        def follow(self, identifier: str, write: Any) -> None:
            super().follow(identifier, write)
            if len(self.log) == 4:  # the job has ended meanwhile
                self.jobs = [replace(job, state="SUCCEEDED") for job in self.jobs]
            else:
                self.log.append("four\n")

    server = Closing(Job("old"))
    assert show_jobs.follow(server, server.jobs[0]) == 0
    assert capsys.readouterr().out == "one\ntwo\nthree\nfour\n"


def test_ctrl_c_detaches(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted(Server):
        def follow(self, identifier: str, write: Any) -> None:
            raise KeyboardInterrupt

    assert show_jobs.follow(Interrupted(), Job("old")) == 0
    assert "the sweep goes on" in capsys.readouterr().err


def test_a_job_refuses_places_that_go_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "runtime_resources" / "_ray_pkg_0123"
    package.mkdir(parents=True)
    monkeypatch.chdir(package)
    spec, lasting = parse_spec(SPEC), tmp_path / "shared"
    cache = lasting / "cache"
    assert durable.package_folder() == package
    durable.check_durable(spec, lasting, cache)
    with pytest.raises(StoreError, match=r"is inside of the job.s package.*--out"):
        durable.check_durable(spec, Path("runs/mine"), cache)
    with pytest.raises(SpecError, match="no other machine sees"):
        durable.check_durable(spec, lasting, Path("runs/cache"))
    inside = parse_spec({**SPEC, "store": {"use": "mlflow", "uri": "sqlite:///runs/x.db"}})
    with pytest.raises(StoreError, match=r"the store .* is inside"):
        durable.check_durable(inside, lasting, cache)
    server = parse_spec({**SPEC, "store": {"use": "mlflow", "uri": "http://mlflow:5000"}})
    durable.check_durable(server, Path("runs/mine"), cache)


def test_a_job_keeps_its_newest_code_beside_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, out = tmp_path / "_ray_pkg_1", tmp_path / "shared" / "mine"
    package.mkdir()
    (package / "trainer.py").write_text("1")
    durable.keep_code(out)
    assert not out.exists()  # this is no job
    monkeypatch.chdir(package)
    durable.keep_code(out)
    (package / "trainer.py").rename(package / "other.py")
    durable.keep_code(out)
    assert [p.name for p in (out / "code").iterdir()] == ["other.py"]
    assert [p.name for p in out.iterdir()] == ["code"]
