"""`mixopt retry`."""

from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, SweepArgument, app
from mixopt.app.commands.run import carry_out
from mixopt.app.output import console
from mixopt.app.running import launch, retrying


@app.command()
def retry(
    sweep: SweepArgument,
    cause: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only runs whose reason has this text in it."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only this run; the beginning of its id will do."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Train failed runs again, and go on with the sweep as 'mixopt run' does.

    Without --cause or --run, all failed runs but those that diverged: they would diverge again. The
    failure stays on record as an earlier attempt of the run. Ends as 'mixopt run' does.

    Example: mixopt retry quickstart --cause "Input/output error"
    """
    spec, folder = launch.runnable(sweep)
    with launch.open_sweep(sweep) as opened:  # refuses before any data is prepared
        chosen = retrying.choose(opened.store.observations(), cause, run)
    if not chosen.runs:
        console.say("No run has failed for a reason that may be gone; the sweep goes on as it is.")

    def mark(opened: launch.Sweep) -> None:
        again = retrying.choose(opened.store.observations(), cause, run)
        for line in again.lines:
            console.say(line)
        retrying.mark(opened.store, again)

    carry_out(spec, folder, json, mark)
