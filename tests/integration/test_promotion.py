"""Promotion as a user runs it: from the command to a registered version, in MLflow."""

import json
import signal
import subprocess
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sandbox import MIXOPT, SPEC, hearing_ctrl_c, write
from typer.testing import CliRunner

from mixopt.app.commands import app
from mixopt.app.output import console
from mixopt.errors import InputError, MixoptError
from mixopt.lazy import require
from mixopt.tracking.mlflow import MLflowStore

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]

LOCAL = {"use": "local"}


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def mixopt(*arguments: str, cwd: Path, ok: bool = True) -> Done:
    """A command in this process, which has imported MLflow already."""
    with chdir(cwd):
        made = CliRunner().invoke(app, list(arguments))
    code, error = made.exit_code, made.exception
    told = made.stderr
    if isinstance(error, MixoptError):
        code, told = (2 if isinstance(error, InputError) else 1), console.error_text(error)
    elif error is not None and not isinstance(error, SystemExit):
        raise error
    assert (code == 0) is ok, told
    return Done(code, made.stdout, told)


RULES: dict[str, Any] = {"scale": {"params": 2000, "tokens": "20k"}, "seeds": 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("promoted")
    write(folder, execution=LOCAL, promotion=RULES)
    mixopt("run", "spec.yaml", cwd=folder)
    return folder


def uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'runs' / 'tiny' / 'mlflow.db'}"


def test_from_the_command_to_a_champion_and_back_from_the_large_run(finished: Path) -> None:
    planned = mixopt("promote", "runs/tiny", "--dry-run", "--json", "plan.json", cwd=finished)
    assert json.loads((finished / "plan.json").read_text())["runs"] == 8
    assert "fresh seeds of each; 8 runs to train" in planned.stderr
    asked = mixopt("promote", "runs/tiny", cwd=finished, ok=False)
    assert asked.returncode == 2
    assert "say --yes" in asked.stderr

    done = mixopt("promote", "runs/tiny", "--yes", "--json", "out.json", cwd=finished)
    told = json.loads((finished / "out.json").read_text())
    assert told["passed"] is True
    assert told["predeclared"] is True
    assert told["headline"] in done.stdout
    assert told["registered"]["aliases"] == {"candidate": "1", "champion": ""}
    card = (finished / told["card"]).read_text()
    assert told["headline"] in card.replace("\\", "")
    assert mixopt("card", "runs/tiny", cwd=finished).stdout == card
    assert told["headline"] in (finished / "runs" / "tiny" / "report.html").read_text()

    again = mixopt("promote", "runs/tiny", "--to", "champion", cwd=finished)  # nothing to train
    assert "version 1 (candidate -> 1, champion -> 1)" in again.stdout
    exported = mixopt("export", "models:/mixopt.tiny@champion", cwd=finished)
    plan = json.loads(exported.stdout)
    assert plan["weights"] == pytest.approx(told["mixture"], abs=1e-6)
    assert plan["provenance"]["promotion"] == told["promotion"]
    absent = mixopt("export", "models:/mixopt.tiny@winner", cwd=finished, ok=False)
    assert "no version '@winner'" in absent.stderr
    metrics = dict.fromkeys(SPEC["objective"]["minimize"], 1.0)
    (finished / "large.json").write_text(
        json.dumps(
            {
                "promotion": told["promotion"],
                "metrics": metrics,
                "baselines": {"natural": {k: v + 0.1 for k, v in metrics.items()}},
            }
        )
    )
    kept = mixopt("promote", "runs/tiny", "--result", "large.json", cwd=finished)
    assert "measured 0.1000 over natural" in kept.stdout

    client = require("mlflow.tracking").MlflowClient(uri(finished))
    version = client.get_model_version_by_alias("mixopt.tiny", "champion")
    assert version.tags["mixopt.promotion"] == told["promotion"]
    with MLflowStore(uri(finished), "tiny", read_only=True) as store:
        assert {"rules", "promotion plans", "promotion"} <= set(store.annotations())


def test_rules_that_move_are_refused_with_the_remedy(finished: Path) -> None:
    write(finished, execution=LOCAL, promotion={**RULES, "gain": 0.5})
    for command in (("run",), ("promote",), ("promote", "--dry-run")):
        refused = mixopt(command[0], "spec.yaml", *command[1:], cwd=finished, ok=False)
        assert "promotion.gain (0.0 before, 0.5 now)" in refused.stderr
        assert "another name" in refused.stderr
    write(finished, execution=LOCAL, promotion=RULES)


def test_what_does_not_pass_is_judged_and_not_registered(tmp_path: Path) -> None:
    write(tmp_path, execution=LOCAL, promotion={**RULES, "gain": 10.0})
    mixopt("run", "spec.yaml", cwd=tmp_path)
    done = mixopt("promote", "spec.yaml", "-y", "--to", "champion", cwd=tmp_path, ok=False)
    assert done.returncode == 4
    assert "Not promoted (gain over natural)" in done.stdout
    assert "NO: gain over natural" in done.stdout
    card = (tmp_path / "runs" / "tiny" / "card.md").read_text()
    assert card.startswith("# tiny: not promoted")
    client = require("mlflow.tracking").MlflowClient(uri(tmp_path))
    assert client.search_registered_models() == []


def test_bad_input_is_said_in_words(tmp_path: Path, finished: Path) -> None:
    nothing = mixopt("promote", "runs/none", cwd=tmp_path, ok=False)
    assert "no sweep here" in nothing.stderr
    write(tmp_path, execution=LOCAL, promotion=RULES, store={"use": "memory"})
    memory = mixopt("promote", "spec.yaml", "-y", cwd=tmp_path, ok=False)
    assert "kept in 'memory', which has no registry" in memory.stderr
    write(tmp_path, execution=LOCAL, promotion=RULES)
    early = mixopt("promote", "spec.yaml", "-y", cwd=tmp_path, ok=False)
    assert "no run has finished yet" in early.stderr
    other = mixopt("promote", "runs/tiny", "--to", "winner", cwd=finished, ok=False)
    assert "give 'candidate' or 'champion'" in other.stderr
    (finished / "odd.json").write_text('{"promotion": "0123", "metrics": {"a": 1}}')
    foreign = mixopt("promote", "runs/tiny", "--result", "odd.json", cwd=finished, ok=False)
    assert "belongs to another study" in foreign.stderr


def test_one_that_is_killed_goes_on_and_a_second_is_kept_out(tmp_path: Path) -> None:
    """`kill -9` in the midst of training; meanwhile the lock keeps another promotion out."""
    trainer = {**SPEC["trainer"], "runtime": {"sleep": 0.0}}
    write(tmp_path, execution=LOCAL, promotion=RULES, trainer=trainer)
    mixopt("run", "spec.yaml", cwd=tmp_path)
    slow = {**trainer, "runtime": {"sleep": 1.5}}
    write(tmp_path, execution=LOCAL, promotion=RULES, trainer=slow)
    command = [*MIXOPT, "promote", "spec.yaml", "--yes"]
    with hearing_ctrl_c():
        first = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    for line in first.stderr:
        if "[promotion] 1/8 runs" in line or "[promotion] 2/8 runs" in line:
            break
    first.send_signal(signal.SIGSTOP)  # it would be done before a busy machine starts the second
    second = mixopt("promote", "spec.yaml", "--yes", cwd=tmp_path, ok=False)
    assert f"is being run by process {first.pid}" in second.stderr
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=120)
    with MLflowStore(uri(tmp_path), "tiny", read_only=True) as store:
        before = {o.run_id for o in store.observations()}
    write(tmp_path, execution=LOCAL, promotion=RULES, trainer=trainer)
    done = mixopt("promote", "spec.yaml", "--yes", "--json", "out.json", cwd=tmp_path)
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["passed"], done.stdout
    with MLflowStore(uri(tmp_path), "tiny", read_only=True) as store:
        after = [o.run_id for o in store.observations()]
    assert before <= set(after)
    promoted = [name for name in after if name not in before]
    assert 0 < len(promoted) < 8  # some had come in before the kill
