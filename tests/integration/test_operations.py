"""A sweep that pauses, is limited, retried and watched, by its commands alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sandbox import write
from typer.testing import CliRunner

from mixopt.app.commands import app
from mixopt.errors import InputError

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]

DISK = """
from pathlib import Path
from mixopt.testing.trainers import FakeTrainer

class Disk(FakeTrainer):
    def train(self, specs, cache, report=lambda *_: None):
        used = Path("used")
        used.write_text(str(int(used.read_text()) + 1 if used.exists() else 1))
        if int(used.read_text()) > 4 and not Path("mounted").exists():
            raise OSError(5, "Input/output error", f"/shared/{used.read_text()}")
        return super().train(specs, cache, report)
"""
TRAINER = {"use": "lab:Disk", "config": {"noise": 0.002}}


def mixopt(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--json", "out.json"])


def read() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(Path("out.json").read_text())
    return values


def test_a_disk_that_goes_away_pauses_the_sweep_and_retry_makes_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lab.py").write_text(DISK)
    limited = {"use": "local", "pause_after": 3, "stop_after": {"runs": 12}}
    write(tmp_path, trainer=TRAINER, execution=limited)

    paused = mixopt("run", "spec.yaml")
    assert paused.exit_code == 3
    for text in ("3 runs failed in a row", "Input/output error", "mixopt retry"):
        assert text in paused.output
    assert "Do not trust this answer" in paused.output
    assert read()["halted"]["state"] == "paused"
    assert mixopt("status", "tiny").exit_code == 0
    state = read()
    assert (state["state"], state["done"], state["failed"]) == ("paused", 7, 3)
    refused = mixopt("retry", "tiny", "--cause", "network")
    assert isinstance(refused.exception, InputError)
    assert "Input/output error" in str(refused.exception)

    (tmp_path / "mounted").touch()
    again = mixopt("retry", "tiny")
    assert again.exit_code == 3
    assert "3 failed runs will be trained again" in again.output
    assert "raise execution.stop_after.runs" in again.output
    mixopt("status", "tiny")
    state = read()
    assert (state["state"], state["done"], state["failed"]) == ("at its limit", 12, 0)
    assert state["retried"] == 3
    assert mixopt("run", "spec.yaml").exit_code == 3  # nothing is started
    assert read()["runs"] == 12

    write(tmp_path, trainer=TRAINER, execution={"use": "local", "stop_after": {"runs": 100}})
    finished = mixopt("run", "spec.yaml")
    assert finished.exit_code == 0
    assert "stopped before its end" not in finished.output
    values = read()
    assert values["halted"] is None
    assert not any("failed" in warning for warning in values["warnings"])
    mixopt("status", "tiny")
    assert read()["state"] == "finished"
