"""Help needs no command, and says of each what the command says of itself."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mixopt
from mixopt import InputError
from mixopt.app.commands import app
from mixopt.app.commands.group import imported
from mixopt.app.commands.table import COMMANDS
from mixopt.app.output import console


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    command = imported(name)
    assert command.name == name
    first, *_ = inspect.cleandoc(command.help).splitlines()
    assert COMMANDS[name][1] == first
    assert f"Example: mixopt {name}" in command.help


def test_help_imports_no_command() -> None:
    program = (
        "import sys; from mixopt.app.commands import app; sys.argv = ['mixopt', '--help']\n"
        "try: app()\nexcept SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in COMMANDS)
    assert not {"numpy", "pandas", "pydantic"} & set(done.stderr.split())


def test_a_misspelt_command_is_told_the_right_one() -> None:
    result = CliRunner().invoke(app, ["exprot"])
    assert result.exit_code == 2
    words = result.output.replace("│", "").split()  # the box may break the line anywhere
    assert "did you mean" in " ".join(words)
    assert "export" in result.output


def test_the_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.output == f"mixopt {mixopt.__version__}\n"


def test_a_quiet_command_leaves_its_results_and_errors(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table, page = tmp_path / "runs.csv", tmp_path / "page.html"
    rows = ["w/a,w/b,m/loss", *(f"{i / 9:.6f},{1 - i / 9:.6f},{2 + i / 9}" for i in range(10))]
    table.write_text("\n".join(rows))
    call = ["fit", str(table), "--law", "linear", "--report", str(page)]
    try:
        CliRunner().invoke(app, ["-q", *call])
        console.show_error(InputError("wrong"))
        console.say("a note")
        assert capsys.readouterr().err == "mixopt: wrong\n"
    finally:
        console.set_verbosity(quiet=False, verbose=False)
    console.say("a note")
    assert capsys.readouterr().err == "a note\n"


def test_every_public_name_can_be_had() -> None:
    for name in mixopt.__all__:
        assert getattr(mixopt, name).__name__ == name
    assert set(mixopt.__all__) <= set(dir(mixopt))
    with pytest.raises(AttributeError, match="no attribute 'Stduy'"):
        _ = mixopt.Stduy  # type: ignore[attr-defined]
