"""A comparison of online methods from its YAML to screen, report, store and export."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sandbox import write
from typer.testing import CliRunner

from mixopt.app.commands import app
from mixopt.app.running.launch import open_sweep
from mixopt.mixers import Recorded

TRAINER = {"use": "mixopt.testing.mixing_trainer:MixingTrainer", "config": {"steps": 60}}


def change(strategy: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "trainer": TRAINER,
        "strategy": strategy,
        "objective": {"minimize": ["loss/mean"]},
        "execution": {"use": "local"},
        **more,
    }


def mixopt(*arguments: str, ok: bool = True) -> str:
    """What a command says, in this process."""
    done = CliRunner().invoke(app, list(arguments))
    assert (done.exit_code == 0) is ok, done.output
    return done.output if ok else str(done.exception)


@pytest.mark.mlflow
@pytest.mark.slow
def test_online_methods_go_from_yaml_to_screen_report_store_and_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    methods = {"odm": {"every": 5}, "doge": {"rate": 0.1, "mu": 0.05, "targets": "heldout"}}
    write(tmp_path, **change({"use": "online", "methods": methods, "confirm_seeds": 2}))
    screen = mixopt("run", "spec.yaml", "--json", "out.json")
    assert "its time average" in screen
    assert "Trained with fresh seeds" in screen
    result = json.loads((tmp_path / "out.json").read_text())
    assert {"recommended", "natural", "odm", "odm time-average"} <= set(result["validated"])
    assert result["trust"]["gates"][0]["name"] == "comparison with fresh seeds"
    page = next(tmp_path.glob("runs/*/report.html")).read_text()
    assert "Mixing while training" in page
    with open_sweep(Path("spec.yaml")) as sweep:
        runs = [o for o in sweep.store.observations() if o.spec.mixer is not None]
    assert {o.spec.mixer.name for o in runs if o.spec.mixer} == {"odm", "doge"}
    assert all(Recorded.of(o) is not None for o in runs)
    again = mixopt("run", "spec.yaml", "--json", "again.json")  # nothing is trained twice
    assert json.loads((tmp_path / "again.json").read_text())["runs"] == result["runs"]
    assert "its time average" in again
    mixopt("export", "spec.yaml", "-o", "mixture.json")
    assert (tmp_path / "mixture.json").exists()


@pytest.mark.slow
def test_a_program_of_ones_own_is_steered_in_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of the guide: every comparison that online methods owe, by a command."""
    monkeypatch.chdir(tmp_path)
    program = Path(__file__).parents[2] / "docs" / "examples" / "steered_training.py"
    text = program.read_text()
    config = yaml.safe_load(text[text.index("    trainer:") : text.index('The "model"')])
    config["trainer"]["config"]["argv"][:2] = [sys.executable, str(program)]
    spec = change(
        {"use": "online", "methods": {"odm": {"every": 20}}, "confirm_seeds": 2},
        trainer=config["trainer"],
        objective={"minimize": ["web", "code"]},
        scales=[{"params": 1000, "tokens": 6400}],
    )
    write(tmp_path, **spec)
    mixopt("run", "spec.yaml", "--json", "out.json")
    result = json.loads((tmp_path / "out.json").read_text())
    assert {"recommended", "time-average", "natural"} <= set(result["validated"])
    with open_sweep(Path("spec.yaml")) as sweep:
        runs = sweep.store.observations()
    assert all(o.ok for o in runs)
    assert all((Recorded.of(o) is None) == (o.spec.mixer is None) for o in runs)


@pytest.mark.parametrize(
    ("strategy", "config", "message"),
    [
        ({"use": "doremi"}, {"signals": ["heldout"]}, "needs the signal 'excess'"),
        ({"use": "online", "methods": ["moe"]}, {}, "needs the signal 'gate_load'"),
        ({"use": "aioli", "mixer": {"focus": 1 / 3}}, {}, "1 over 3 domains"),
    ],
)
def test_what_the_trainer_cannot_measure_is_refused_before_anything_is_trained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    strategy: dict[str, Any],
    config: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = TRAINER | {"config": config}
    write(tmp_path, **change(strategy, trainer=trainer))
    assert message in mixopt("run", "spec.yaml", ok=False)
    assert not list(tmp_path.glob("runs/*/*.db"))


def test_a_trainer_that_runs_no_mixers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = {"use": "mixopt.testing.trainers:FakeTrainer", "config": {}}
    strategy = {"use": "odm"}
    objective = {"minimize": ["loss/web"]}
    write(tmp_path, **change(strategy, trainer=plain, objective=objective))
    assert "this trainer runs no mixers" in mixopt("run", "spec.yaml", ok=False)
