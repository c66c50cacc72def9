"""The commands as a user runs them: real processes, Ray and MLflow; and misused."""

import json
from pathlib import Path
from typing import Any

import pytest
from sandbox import SPEC, mixopt, result, write


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
