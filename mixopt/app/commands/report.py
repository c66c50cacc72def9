"""`mixopt report`."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, SweepArgument, app
from mixopt.app.commands.ending import leave
from mixopt.app.output import console
from mixopt.app.results import publish, reports, watching
from mixopt.app.running import launch
from mixopt.errors import InputError


@app.command()
def report(
    sweep: SweepArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write (default: in the sweep's folder)."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the answer as well, the mixture against its baselines: .svg, .png or .pdf.",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", "-w", help="While the sweep runs, write again whenever runs have come in."
        ),
    ] = False,
    json: JsonOption = None,
) -> None:
    """Write a sweep's report anew from its store, also while it is running.

    Ends with 1 where the runs do not allow an answer yet; the report then says why.

    Example: mixopt report runs/quickstart --picture answer.svg
    """
    if watch and picture is not None:
        raise InputError("--watch writes the page alone; draw the --picture once it has ended")
    drawn = None
    with console.results_to(json) as write:
        if watch:
            answer, path = _watch(sweep, out)
        else:
            with launch.open_sweep(sweep) as opened:
                answer = publish.concluded(opened)
                path = reports.write_report(opened, answer, out)
                drawn = picture and reports.write_picture(opened, answer, picture)
        console.say(f"{answer.headline} {answer.verdict.line}")
        console.say(f"Report: {path}")
        if drawn is not None:
            console.say(f"Picture: {drawn}")
        write(answer.summary())
    leave(answer)


def _watch(sweep: Path, out: Path | None) -> tuple[watching.Answer, Path]:
    try:
        return watching.follow(lambda: launch.open_sweep(sweep), out, console.say)
    except KeyboardInterrupt:
        console.say("Stopped watching; the sweep goes on, and the report is of now.")
        raise typer.Exit(130) from None
