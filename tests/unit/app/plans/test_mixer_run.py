"""`mixopt mixer`: from the command line to a session, and back to it after a kill."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mixopt.app.commands import app
from mixopt.app.plans.mixer_run import Asked
from mixopt.errors import InputError, MixoptError

CALL = ["mixer", "odm", "--domains", "web=1M,code=2k", "--steps", "20", "--tokens", "2k"]


def test_everything_on_the_command_line_is_in_the_setup(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("bounds: {web: [0.2, 0.7]}\nbudget: 1M\nepochs: 2\n")
    asked = Asked(
        "aioli",
        "web=1M,code=2k,math",
        tokens="1.5k",
        steps="2000",
        targets="loss/a=3,loss/b",
        start="web=0.5,code=0.25,math=0.25",
        space=space,
        settings=("every=100", "memory=null", "eta=0.5", "rounds=2"),
        seed=7,
    )
    session = asked.session()
    setup = session.setup
    assert setup.space.names == ("web", "code", "math")
    assert setup.space.bounds["web"] == (0.2, 0.7)
    assert setup.space.budget == 1_000_000
    assert (setup.tokens, setup.steps, setup.seed) == (1500, 2000, 7)
    assert setup.start == (0.5, 0.25, 0.25)
    assert setup.target_weights == (0.75, 0.25)
    made = vars(session.mixer)
    assert (made["every"], made["memory"], made["eta"]) == (100, None, 0.5)


def test_a_run_goes_on_from_its_state(tmp_path: Path) -> None:
    state = tmp_path / "run.json"
    call = [*CALL, "--set", "every=5", "--state", str(state)]
    facts = {"tokens": [250, 250], "values": {"train_loss": [3, 2]}}
    told = [json.dumps({"step": step, **facts}) + "\n" for step in (5, 10, 15, 20)]
    whole = CliRunner().invoke(app, [*CALL, "--set", "every=5"], input="".join(told))
    CliRunner().invoke(app, call, input=told[0])
    rest = CliRunner().invoke(app, call, input="".join(told[1:]))
    lines, others = (r.output.splitlines() for r in (whole, rest))
    assert lines[0] == others[0]
    assert lines[2:] == others[1:]
    assert json.loads(lines[-1])["type"] == "end"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "oddm"}, "did you mean 'odm'"),
        ({"domains": "web"}, "nothing to mix"),
        ({"domains": "web,web"}, "each name once"),
        ({"tokens": "few"}, "--tokens"),
        ({"steps": "1.5"}, "--steps is '1.5'"),
        ({"start": "web=0.9"}, "sum to 0.9"),
        ({"start": "wbe=1"}, "did you mean 'web'"),
        ({"targets": "a=0"}, "have no weight"),
        ({"settings": ("every=x",)}, "every is the text 'x'"),
        ({"settings": ("evry=1",)}, "no setting 'evry'"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, str], message: str) -> None:
    given = {"name": "odm", "domains": "web,code", "tokens": "1k", "steps": "10"} | changes
    with pytest.raises(MixoptError, match=message):
        Asked(**given).session()  # type: ignore[arg-type]


def test_files_that_are_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("bonds: {web: [0, 1]}\n")
    with pytest.raises(InputError, match=r"bonds.*give the keys of 'space'"):
        Asked("odm", "web,code", "1k", "10", space=bad).session()
    bad.write_text("{}")
    with pytest.raises(InputError, match="delete it to start anew"):
        Asked("odm", "web,code", "1k", "10", state=bad).session()


def test_a_state_of_another_version_is_named_by_its_file_and_kept(tmp_path: Path) -> None:
    state = tmp_path / "run.json"
    asked = Asked("odm", "web,code", "1k", "10", state=state)
    asked.keep(asked.session())
    saved = json.loads(state.read_text())
    saved["state"]["format"] = 99
    state.write_text(json.dumps(saved))
    with pytest.raises(InputError, match=r"run\.json: .*format 99.*delete the file"):
        asked.session()
    assert json.loads(state.read_text()) == saved
    state.unlink()
    assert asked.session().step == 0


def test_bounds_that_nothing_meets_and_probes_that_say_nothing(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("bounds: {web: [0.7, 1], code: [0.6, 1]}\n")
    with pytest.raises(InputError, match="lower some of them"):
        Asked("odm", "web,code", "1k", "10", space=space).session()
    with pytest.raises(InputError, match="all probes draw the same"):
        Asked("aioli", "web,code", "1k", "1000", settings=("focus=0.5",)).session()


def test_a_domain_that_is_exhausted_is_drawn_no_more_and_the_run_goes_on(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("budget: 1000\nepochs: 1\n")
    call = ["mixer", "odm", "--domains", "web=300,code=5000", "--steps", "20", "--tokens", "1k"]
    call += ["--set", "every=5", "--space", str(space)]
    told = [
        json.dumps({"step": 5, "tokens": [300, 0], "values": {"train_loss": [3, None]}}),
        json.dumps({"step": 10, "tokens": [0, 250], "values": {"train_loss": [None, 2]}}),
        json.dumps({"step": 15, "tokens": [0, 250], "values": {"train_loss": [None, 2]}}),
        json.dumps({"step": 20, "tokens": [0, 200]}),
    ]
    result = CliRunner().invoke(app, call, input="\n".join(told) + "\n")
    lines = [json.loads(line) for line in result.output.splitlines()]
    assert [line["sampling"]["web"] for line in lines[2:5]] == pytest.approx([0, 0, 0], abs=1e-9)
    assert lines[-1]["type"] == "end"
    assert not lines[-1]["record"]["frozen"]
