"""`mixopt list`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, app
from mixopt.app.output import console, show_status
from mixopt.app.running import studies
from mixopt.app.running.durable import RUNS
from mixopt.app.state.state import SweepState, read_state
from mixopt.errors import MixoptError


@app.command(name="list")
def list_(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the sweeps.")] = RUNS,
    json: JsonOption = None,
) -> None:
    """The sweeps of a folder: state, progress, best run, cost.

    Example: mixopt list
    """
    with console.results_to(json) as write:
        states = [_read(path) for path in studies.studies(folder)]
        if states:
            width = console.out.width if console.out.is_terminal else show_status.PIPE_WIDTH
            show_status.show(show_status.list_table(states, width))
        else:
            console.say(f"No sweep in {folder.resolve()}; 'mixopt run <spec.yaml>' starts one")
        rows = [
            s.to_dict() if isinstance(s, SweepState) else {"name": s[0], "error": s[1]}
            for s in states
        ]
        write({"folder": str(folder), "sweeps": rows})


def _read(path: Path) -> SweepState | tuple[str, str]:
    """Its state; name and reason where it cannot be read, so that others are still listed."""
    try:
        return read_state(path, time.time())
    except MixoptError as error:
        return path.name, console.error_text(error)
