"""A command that a mixer steers: what it is told, what is refused, and what comes of its runs."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mixopt.app.commands import app
from mixopt.errors import InputError
from mixopt.mixers import Measured, MixerSpec, Recorded, SteeredRun
from mixopt.mixers.steered_run import finished, write_run
from mixopt.ports import capabilities_of
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies.command import CommandTrainer

PROGRAM = Path(__file__).parents[4] / "docs" / "examples" / "steered_training.py"
PLAIN = RunSpec(Mixture.of({"web": 0.5, "code": 0.5}), Scale(1000, 6400))
STEERED = replace(PLAIN, mixer=MixerSpec("odm", {"every": 20}))


def trainer(program: Path = PROGRAM, **changes: Any) -> CommandTrainer:
    given = ["{weights_json}", "{tokens}", "{seed}", "{metrics_file}", "{mixer_file}"]
    return CommandTrainer(
        **{
            "argv": [sys.executable, str(program), *given],
            "domains": {"web": 1e6, "code": 1e6},
            "metrics": ["web", "code"],
            "mixing": {"signals": ["train_loss", "heldout"]},
            **changes,
        }
    )


def test_a_command_trains_with_and_without_a_mixer(tmp_path: Path) -> None:
    plain, steered = trainer().train([PLAIN, STEERED], tmp_path)
    assert plain.ok, plain.error
    assert steered.ok, steered.error
    assert "mixer" not in plain.info
    record = Recorded.of(steered)
    assert record is not None
    assert record.course.time_average.to_dict()["code"] > 0.5  # fewer words, learnt faster
    assert sum(steered.tokens.values()) == 6400
    assert steered.realised is not None
    assert not steered.realised.follows(PLAIN.mixture)
    assert steered.flops == PLAIN.scale.flops
    assert steered.metrics != plain.metrics


def test_branches_and_references_are_paid_for(tmp_path: Path) -> None:
    spec = replace(PLAIN, mixer=MixerSpec("fd", {"every": 50, "probe_steps": 10}))
    file = tmp_path / "mixer.json"
    write_run(file, spec, ["web", "code"], tmp_path / "state.json")
    run = SteeredRun.open(file, steps=200)
    session = run.session()
    while (segment := session.segment) is not None:
        tokens = tuple(32.0 * segment.steps * share for share in segment.sampling)
        values = {name: np.array([1.0, 2.0]) for name in segment.measure}
        session = session.after(Measured(session.step + segment.steps, tokens, values))
        run.keep(session)
    told = finished(file)
    branched = session.state.work["branch_steps"]
    assert branched > 0
    assert told.cost_ratio == pytest.approx(1 + branched / 200)
    assert told.record["cost_ratio"] == told.cost_ratio
    assert sum(told.realised.tokens.values()) == 6400


def test_the_same_from_any_language(tmp_path: Path) -> None:
    """`mixopt mixer --run` says what `SteeredRun` says, and goes on after a kill."""
    file = tmp_path / "mixer.json"
    write_run(file, STEERED, ["web", "code"], tmp_path / "state.json")
    call = ["mixer", "--run", str(file), "--steps", "60"]

    def report(step: int) -> str:
        told = {"step": step, "tokens": [320, 320], "values": {"train_loss": [3, 2]}}
        return json.dumps(told) + "\n"

    first = CliRunner().invoke(app, call, input=report(20))
    assert json.loads(first.output.splitlines()[0])["domains"] == ["web", "code"]
    assert SteeredRun.open(file, 60).session().step == 20
    rest = CliRunner().invoke(app, call, input=report(40) + report(60))
    assert json.loads(rest.output.splitlines()[-1])["type"] == "end"
    assert finished(file).record["updates"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "mixer.json", "--steps", "60", "--seed", "3"], "says --seed itself"),
        (["odm", "--run", "mixer.json", "--steps", "60"], "says NAME itself"),
        (["--run", "none.json", "--steps", "60"], "cannot read none.json"),
        (["--run", "other.json", "--steps", "60"], "format None"),
        (["--run", "mixer.json", "--steps", "61"], "is of a run of 60 steps"),
        (["--steps", "60"], "needs NAME, --domains and --tokens"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("mixer.json"), STEERED, ["web", "code"], Path("state.json"))
    Path("other.json").write_text("{}")
    run = SteeredRun.open("mixer.json", 60)
    run.keep(run.session())
    done = CliRunner().invoke(app, ["mixer", *arguments])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixing": {"signal": ["heldout"]}}, "mixing: there is no 'signal'; known: "),
        ({"mixing": {"signals": "heldout"}}, "signals is 'heldout'; give a list"),
        ({"mixing": {"signals": ["held"]}}, "mixing: unknown signal 'held'"),
        ({"mixing": {"branches": 1}}, "branches is 1; give true or false"),
        ({"argv": ["true", "{tokens}"]}, "is given no mixer; put {mixer_file}"),
    ],
)
def test_settings_that_are_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        trainer(**changes)
    assert message in str(caught.value)


def test_what_a_command_cannot_do_is_declared_and_refused(tmp_path: Path) -> None:
    mute = trainer(argv=[sys.executable, "-c", "", "{tokens}"], mixing={})
    assert capabilities_of(mute).mixing is None
    (seen,) = mute.train([STEERED], tmp_path)
    assert "where {mixer_file} is in its argv" in seen.error
    offer = capabilities_of(trainer()).mixing
    assert offer is not None
    assert offer.signals == {"train_loss", "heldout"}
    doremi = replace(PLAIN, mixer=MixerSpec("doremi"))
    (seen,) = trainer().train([doremi], tmp_path)
    assert "needs the signal 'excess'" in seen.error


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "its mixer was never asked"),
        (
            "from mixopt.mixers import SteeredRun\n"
            "run = SteeredRun.open(sys.argv[5], 200)\nrun.keep(run.session())",
            "its mixer is at step 0 of 200: the program ended before its run",
        ),
    ],
)
def test_a_program_that_does_not_follow_its_mixer_fails(
    tmp_path: Path, body: str, message: str
) -> None:
    """Its run would pass for one of the mixer, and was not."""
    program = tmp_path / "program.py"
    program.write_text(
        f"import json, sys\n{body}\n"
        "json.dump({'tokens': 6400, 'web': 1, 'code': 1}, open(sys.argv[4], 'w'))\n"
    )
    (seen,) = trainer(program).train([STEERED], tmp_path / "cache")
    assert not seen.ok
    assert message in seen.error
