"""The commands as a user runs them: real processes, Ray and MLflow; and misused."""

import html
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

    @pytest.mark.slow
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
        assert json.loads((finished / "realised_plan.json").read_text())["files"] == ["mix.json"]
        how = ("-f", "hf-datasets", "-o", "mix.py", "--equal-lengths")
        mixopt("export", "spec.yaml", *how, cwd=finished)
        assert "interleave_datasets" in (finished / "mix.py").read_text()
        refused = mixopt("export", "runs/tiny", "-f", "hf-dataset", cwd=finished, ok=False)
        assert "did you mean 'hf-datasets'" in refused.stderr

    @pytest.mark.slow
    def test_status_and_list_read_the_store_alone(self, finished: Path) -> None:
        values = json.loads((finished / "out.json").read_text())
        (finished / "elsewhere").mkdir(exist_ok=True)
        store = finished / "runs" / "tiny"
        shown = mixopt("status", store, "--json", "-", cwd=finished / "elsewhere")
        state = json.loads(shown.stdout)
        assert (state["state"], state["done"]) == ("finished", values["runs"])
        assert state["answer"][0] == values["headline"]
        assert values["headline"] in shown.stderr
        assert sum(host["runs"] for host in state["hosts"]) == values["runs"]
        assert mixopt("status", "--watch", cwd=finished).stdout.startswith("tiny: finished")
        listed = json.loads(mixopt("list", "--json", "-", cwd=finished).stdout)
        assert [s["name"] for s in listed["sweeps"]] == ["tiny"]
        unknown = mixopt("status", "tin", cwd=finished, ok=False)
        assert "did you mean 'tiny'" in unknown.stderr

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
        ({"objective": {"minimize": "los"}}, "objective (line 2): unknown metric 'los'"),
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


@pytest.mark.slow
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
    assert json.loads(higher.stdout)["objective"] == "-accuracy"
    assert json.loads(higher.stdout)["headline"] in higher.stderr
    refused = mixopt("fit", "runs.csv", "--minimize", "los", cwd=tmp_path, ok=False)
    assert "did you mean 'loss'" in refused.stderr
    refused = mixopt("fit", "runs.csv", "--law", "log-liner", cwd=tmp_path, ok=False)
    assert "did you mean 'log-linear'" in refused.stderr


NOISY = """
import subprocess, sys
from mixopt.testing.trainers import FakeTrainer

class Noisy(FakeTrainer):
    def train(self, specs, cache, report=lambda *_: None):
        print("step 1 of 1")
        sys.stdout.flush()
        subprocess.run(["echo", "a child speaks"])
        return super().train(specs, cache, report)

class Broken(FakeTrainer):
    def train(self, specs, cache, report=lambda *_: None):
        sys.exit("no licence")
"""
HERE = {"execution": {"use": "local"}}


@pytest.mark.slow
def test_with_json_to_stdout_there_is_nothing_else(tmp_path: Path) -> None:
    """Whatever trainer, children and commands print."""
    (tmp_path / "noisy.py").write_text(NOISY)
    write(tmp_path, trainer={"use": "noisy:Noisy", "config": {"noise": 0.002}}, **HERE)
    ran = mixopt("run", "spec.yaml", "--json", "-", cwd=tmp_path)
    values = json.loads(ran.stdout)
    for text in ("step 1 of 1", "a child speaks", values["headline"], values["verdict"]):
        assert text in ran.stderr
    reported = mixopt("report", "runs/tiny", "--json", "-", cwd=tmp_path)
    again = json.loads(reported.stdout)
    assert {k: values[k] for k in again} == again
    assert values["headline"] in reported.stderr
    exported = json.loads(mixopt("export", "runs/tiny", "-o", "-", cwd=tmp_path).stdout)
    assert exported["predictions"] == values["predicted"]
    page = html.unescape((tmp_path / "runs/tiny/report.html").read_text())
    assert values["headline"] in page
    assert values["verdict"] in page


@pytest.mark.slow
def test_a_sweep_of_failures_says_why_everywhere_and_ends_with_one(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    for name, runs in (("few", 3), ("many", 20)):  # fewer than stop a sweep, and more
        recipe = {"use": "random", "runs": runs, "batch": runs}
        write(tmp_path, name=name, trainer={"use": "noisy:Broken"}, strategy=recipe, **HERE)
        ran = mixopt("run", "spec.yaml", "--json", "-", cwd=tmp_path, ok=False)
        assert ran.returncode == 1
        values = json.loads(ran.stdout)
        assert values["recommended"] is None
        assert values["trained"] == values["failed"] == values["runs"]
        page = html.unescape((tmp_path / f"runs/{name}/report.html").read_text())
        for text in (ran.stderr, page, values["verdict"]):
            assert "called exit(no licence)" in text
    assert mixopt("report", "runs/few", cwd=tmp_path, ok=False).returncode == 1
    refused = mixopt("export", "runs/few", cwd=tmp_path, ok=False)
    assert "no licence" in refused.stderr
    assert refused.stdout == ""


def test_the_schema_is_json(tmp_path: Path) -> None:
    schema = json.loads(mixopt("schema", cwd=tmp_path).stdout)
    assert "objective" in schema["properties"]
