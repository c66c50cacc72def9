"""A search of schedules from its YAML to screen, report and export; nothing shows half of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from sandbox import write
from typer.testing import CliRunner

from mixopt.app.commands import app
from mixopt.app.results.publish import OUTCOME, conclude
from mixopt.app.running.launch import open_sweep
from mixopt.evidence.outcome import Outcome

TURNING = {
    "values": {"web": 2.0, "code": 1.0, "math": 1.0},
    "late": {"from": 0.7, "values": {"web": 0.5, "code": 2.5, "math": 2.0}},
    "noise": 0.002,
}
TEMPLATE = {"use": "anneal", "raised": ["code", "math"], "ends": [0.3], "shares": [0.5, 0.9]}


def change(config: dict[str, Any], strategy: dict[str, Any]) -> dict[str, Any]:
    return {
        "trainer": {"use": "mixopt.testing.trainers:FakeTrainer", "config": config},
        "strategy": strategy,
        "execution": {"use": "local"},
    }


def mixopt(*arguments: str, ok: bool = True) -> str:
    """What a command says, in this process."""
    done = CliRunner().invoke(app, list(arguments))
    assert (done.exit_code == 0) is ok, done.output
    return done.output if ok else str(done.exception)


@pytest.mark.mlflow
def test_a_schedule_goes_from_yaml_to_screen_report_and_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, **change(TURNING, {**TEMPLATE, "confirm_seeds": 2}))
    screen = mixopt("run", "spec.yaml", "--json", "out.json")
    assert "Recommended schedule" in screen
    assert "What the schedule draws in total" in screen
    assert "(70 %)" in screen
    result = json.loads((tmp_path / "out.json").read_text())
    first, last = result["schedule"]["phases"]
    assert last["mixture"]["web"] < first["mixture"]["web"]
    assert first["until"] == pytest.approx(0.7 * last["until"], abs=1)
    assert {"recommended", "time-average", "natural"} <= set(result["validated"])
    assert "The recommended schedule beats" in result["verdict"]
    assert result["beats_all_baselines"]
    assert result["predicted"]["gains"]["time-average"]["raw"] > 0

    page = next(tmp_path.glob("runs/*/report.html")).read_text()
    assert "The schedule" in page
    assert "The mixture over the run" in page
    assert "to its end" in page

    with open_sweep(tmp_path / "spec.yaml") as sweep:
        kept = Outcome.from_dict(sweep.store.annotations()[OUTCOME])
        schedule = kept.recommendation.schedule
        assert schedule is not None
        assert schedule.to_dict() == result["schedule"]
        assert conclude(sweep).to_dict() == kept.to_dict()
        assert kept.confirmation is not None
        assert kept.confirmation.recommended.schedule == schedule

    mixopt("export", "spec.yaml", "-o", "mixture.json")
    exported = json.loads(Path("mixture.json").read_text())
    shares = [phase["until_share"] for phase in exported["schedule"]]
    assert shares == pytest.approx([0.7, 1.0], abs=1e-6)
    assert exported["schedule"][1]["weights"]["web"] == pytest.approx(last["mixture"]["web"])
    assert exported["weights"] == pytest.approx(result["recommended"], abs=1e-6)
    how = ("export", "spec.yaml", "-f", "hf-datasets", "--equal-lengths")
    assert "this export is 3 files" in mixopt(*how, ok=False)
    assert "interleave_datasets" in mixopt(*how, "--mean")
