"""`mixopt jobs`, `mixopt logs` and `mixopt stop`: the sweeps of a Ray cluster, by name."""

from typing import Annotated

import typer

from mixopt.app.commands.application import AddressOption, JobArgument, JsonOption, app
from mixopt.app.jobs import submission
from mixopt.app.output import console, show_jobs


@app.command("jobs")
def list_jobs(address: AddressOption, json: JsonOption = None) -> None:
    """List the sweeps of a cluster: state, since when, where their results are.

    Example: mixopt jobs --address http://head:8265
    """
    with console.results_to(json) as write:
        known = submission.connect(address).list()
        show_jobs.show_list(known)
        write({"jobs": [show_jobs.facts(job) for job in known]})


@app.command()
def logs(
    name: JobArgument,
    address: AddressOption,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
) -> None:
    """Show what a sweep's newest job has written.

    Example: mixopt logs mine --follow --address http://head:8265
    """
    jobs = submission.connect(address)
    job = jobs.find(name)
    if follow:
        raise typer.Exit(show_jobs.follow(jobs, job))
    show_jobs.show_log(jobs.logs(job.identifier))


@app.command()
def stop(
    name: JobArgument,
    address: AddressOption,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for its end.")] = 30.0,
) -> None:
    """Stop a sweep's job; 'mixopt resume' goes on from what was trained.

    Example: mixopt stop mine --address http://head:8265
    """
    jobs = submission.connect(address)
    job = submission.stop(jobs, name, wait)
    show_jobs.show_stopped(job, jobs.shown)
