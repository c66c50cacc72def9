"""`mixopt status`."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from mixopt.app.commands.application import JsonOption, app
from mixopt.app.output import console, show_status
from mixopt.app.running import studies
from mixopt.app.state.state import SweepState, read_state

_READ_SHARE = 5  # watching takes at most a fifth of the time for reading


@app.command()
def status(
    study: Annotated[
        Path | None,
        typer.Argument(help="The sweep: name, folder or spec.yaml (default: the last one)."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Draw again until the sweep has ended.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Seconds between two looks with --watch.")
    ] = 5.0,
    json: JsonOption = None,
) -> None:
    """Where a sweep stands: progress, cost, best run, failures, hosts.

    Reads the store alone, while the sweep runs or long after; it keeps no driver out.

    Example: mixopt status quickstart --watch
    """
    path = study or studies.latest()
    with console.results_to(json) as write:
        state = read_state(path, time.time())
        if watch and not state.ended:
            state = _watch(path, state, interval)
        else:
            show_status.show(show_status.status_page(state))
        write(state.to_dict())


def _watch(path: Path, state: SweepState, interval: float) -> SweepState:
    """Show a sweep until it has ended: in place on a terminal, a line for each change elsewhere."""
    if console.out.is_terminal:
        with Live(show_status.status_page(state), console=console.out, auto_refresh=False) as live:
            while not state.ended:
                state = _next(path, interval)
                live.update(show_status.status_page(state), refresh=True)
        return state
    before = ""
    while not state.ended:
        line = show_status.status_line(state)
        if line != before:
            show_status.show(line)
        before = line
        state = _next(path, interval)
    show_status.show(show_status.status_page(state))
    return state


def _next(path: Path, interval: float) -> SweepState:
    time.sleep(interval)
    began = time.monotonic()
    state = read_state(path, time.time())
    time.sleep(max((time.monotonic() - began) * _READ_SHARE - interval, 0.0))
    return state
