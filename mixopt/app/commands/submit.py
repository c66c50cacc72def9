"""`mixopt submit` and `mixopt resume`: a sweep as a job of a Ray cluster."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import AddressOption, JobArgument, SpecArgument, app
from mixopt.app.jobs import submission
from mixopt.app.output import console, show_jobs

DetachOption = Annotated[
    bool, typer.Option("--detach", help="Do not follow the log; the job goes on either way.")
]


@app.command()
def submit(
    spec: SpecArgument,
    address: AddressOption,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the sweep on the cluster, absolute, on a disk that stays "
            "(default: $MIXOPT_RUNS/<name>).",
        ),
    ] = None,
    working_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="What goes along: spec and trainers of your own.")
    ] = Path(),
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="What of it stays; may be repeated.")
    ] = None,
    python: Annotated[
        str, typer.Option(metavar="PATH", help="The Python of the cluster that has mixopt.")
    ] = "python",
    detach: DetachOption = False,
) -> None:
    """Run a sweep on a Ray cluster, as a job that needs this machine no more.

    Submitted again, it goes on where it was: its name and --out decide, not the files sent.

    Example: mixopt submit spec.yaml --address http://head:8265 --out /shared/runs/mine
    """
    ready = submission.ready(spec, out, folder=working_dir, exclude=exclude or (), python=python)
    jobs = submission.connect(address)
    console.say(f"Sending {ready.package.summary}")
    identifier = submission.send(jobs, ready)
    show_jobs.show_started(ready.spec.name, identifier, ready.facts["out"], jobs.shown)
    if not detach:
        raise typer.Exit(show_jobs.follow(jobs, jobs.state(identifier)))


@app.command()
def resume(name: JobArgument, address: AddressOption, detach: DetachOption = False) -> None:
    """Go on with a sweep on a cluster, by its name, from any machine.

    It runs the code that its newest job had; to run other code, submit it again.

    Example: mixopt resume mine --address http://head:8265
    """
    jobs = submission.connect(address)
    identifier = submission.resume(jobs, name)
    job = jobs.state(identifier)
    show_jobs.show_started(job.sweep, identifier, job.out, jobs.shown)
    if not detach:
        raise typer.Exit(show_jobs.follow(jobs, job))
