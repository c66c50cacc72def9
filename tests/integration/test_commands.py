"""The commands as a user runs them: real processes, Ray and MLflow; stopped, killed, misused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

MIXOPT = [sys.executable, "-m", "mixopt"]
SPEC: dict[str, Any] = {
    "version": 1,
    "name": "tiny",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer", "config": {"noise": 0.002}},
    "scales": [{"params": 1000, "tokens": "10k"}],
    "objective": {"minimize": ["loss/web", "loss/code", "loss/math"]},
    "strategy": {
        "use": "auto",
        "design": 6,
        "proposals": 2,
        "batch": 2,
        "confirm_seeds": 2,
        "law": "log-linear",
    },
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**SPEC, **changes}))
    return path


def mixopt(*arguments: object, cwd: Path, ok: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*MIXOPT, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode == 0) is ok, done.stderr
    assert "Traceback" not in done.stderr
    return done


def result(cwd: Path, *arguments: object) -> Mapping[str, Any]:
    mixopt("run", "spec.yaml", "--json", "out.json", *arguments, cwd=cwd)
    values: Mapping[str, Any] = json.loads((cwd / "out.json").read_text())
    return values


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    write(folder)
    done = mixopt("run", "spec.yaml", "--json", "out.json", cwd=folder)
    assert "Recommended mixture" in done.stdout
    assert "mixopt ui runs/tiny" in done.stdout
    return folder


@pytest.mark.ray
@pytest.mark.mlflow
class TestFinishedSweep:
    def test_the_json_has_what_programs_read(self, finished: Path) -> None:
        values = json.loads((finished / "out.json").read_text())
        assert sum(values["recommended"].values()) == pytest.approx(1.0)
        assert {"recommended", "natural", "only-web"} <= set(values["validated"])
        assert all(set(v) == {"mean", "sd", "seeds"} for v in values["validated"].values())
        assert values["runs"] == values["trained"] > 8
        assert values["seconds"] > 0
        assert values["flops"] > 0

    def test_running_it_again_trains_nothing_and_answers_the_same(self, finished: Path) -> None:
        before = json.loads((finished / "out.json").read_text())
        after = result(finished)
        assert after["trained"] == 0
        assert after["runs"] == before["runs"]
        assert after["recommended"] == before["recommended"]
        assert after["validated"] == before["validated"]

    def test_report_and_export_read_the_store(self, finished: Path) -> None:
        mixopt("report", "runs/tiny", "--out", "again.html", cwd=finished)
        page = (finished / "again.html").read_text()
        assert "only-web" in page
        exported = json.loads(mixopt("export", "runs/tiny", cwd=finished).stdout)
        expected = json.loads((finished / "out.json").read_text())["recommended"]
        used = {domain: share for domain, share in expected.items() if share > 0}
        assert exported["weights"] == pytest.approx(used, abs=1e-6)
        paths = [part for domain in used for part in ("--path", f"{domain}=/data/{domain}")]
        mixopt("export", "spec.yaml", "-f", "megatron", "-o", "mix.json", *paths, cwd=finished)
        assert "/data/web" in json.loads((finished / "mix.json").read_text())["train"]
        mixopt("export", "spec.yaml", "-f", "hf-datasets", "-o", "mix.py", cwd=finished)
        assert "interleave_datasets" in (finished / "mix.py").read_text()
        refused = mixopt("export", "runs/tiny", "-f", "hf-dataset", cwd=finished, ok=False)
        assert "did you mean 'hf-datasets'" in refused.stderr

    def test_another_spec_under_the_same_name_is_refused(self, finished: Path) -> None:
        write(finished, trainer={**SPEC["trainer"], "config": {"noise": 0.1}})
        refused = mixopt("run", "spec.yaml", cwd=finished, ok=False)
        write(finished)
        assert "differs in: trainer" in refused.stderr
        assert "another name" in refused.stderr


def start(cwd: Path) -> "subprocess.Popen[str]":
    """A sweep in a process of its own, once the first runs are in."""
    process = subprocess.Popen(
        [*MIXOPT, "run", "spec.yaml"],
        cwd=cwd,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    deadline = time.monotonic() + 60
    for line in process.stderr:
        if line.startswith("[design]") and not line.startswith("[design] 0/"):
            return process
        assert time.monotonic() < deadline
    raise AssertionError("the sweep ended before it was stopped")


@pytest.mark.ray
@pytest.mark.mlflow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_a_sweep_that_was_stopped_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    slow = {**SPEC["trainer"], "config": {"noise": 0.002, "sleep": 1.0}}
    write(tmp_path, trainer=slow, strategy={**SPEC["strategy"], "singles": False})
    process = start(tmp_path)
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=60)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on" in " ".join(errors.split())
        assert "Traceback" not in errors
    values = result(tmp_path)
    assert 0 < values["trained"] < values["runs"]
    assert values["validated"]["recommended"]["seeds"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "this mixopt reads version 1"),
        ({"objective": {"minimize": "los"}}, "objective: unknown metric 'los'"),
        ({"space": {"bounds": {"web": [0.9, 1.0], "code": [0.2, 1.0]}}}, "web"),
        ({"trainer": {"use": "mixopt.testing.trainers:Fake"}}, "did you mean 'FakeTrainer'"),
        ({"strategy": {"use": "auto", "desing": 9}}, "did you mean 'design'"),
        ({"store": {"uri": "sqlite:////proc/none/mlflow.db"}}, "cannot write"),
    ],
    ids=["version", "metric", "bounds", "trainer", "setting", "store"],
)
def test_bad_specs_are_refused_in_words(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write(tmp_path, **changes)
    refused = mixopt("run", "spec.yaml", cwd=tmp_path, ok=False)
    assert message in refused.stderr


def test_fit_reads_a_table_without_a_cluster(tmp_path: Path) -> None:
    rows = ["w/web,w/code,m/loss,m/accuracy"]
    for i in range(21):
        web = i / 20
        rows.append(f"{web},{1 - web},{2 + (web - 0.6) ** 2},{0.5 - (web - 0.6) ** 2}")
    (tmp_path / "runs.csv").write_text("\n".join(rows) + "\n")
    mixopt(
        "fit",
        "runs.csv",
        "--minimize",
        "loss",
        "--json",
        "out.json",
        "--report",
        "fit.html",
        cwd=tmp_path,
    )
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["recommended"]["web"] == pytest.approx(0.6, abs=0.1)
    assert "web" in (tmp_path / "fit.html").read_text()
    higher = mixopt("fit", "runs.csv", "--maximize", "accuracy", "--json", "-", cwd=tmp_path)
    assert '"objective": "-accuracy"' in higher.stdout
    refused = mixopt("fit", "runs.csv", "--minimize", "los", cwd=tmp_path, ok=False)
    assert "did you mean 'loss'" in refused.stderr
    refused = mixopt("fit", "runs.csv", "--law", "log-liner", cwd=tmp_path, ok=False)
    assert "did you mean 'log-linear'" in refused.stderr


def test_the_schema_is_json(tmp_path: Path) -> None:
    schema = json.loads(mixopt("schema", cwd=tmp_path).stdout)
    assert "objective" in schema["properties"]
