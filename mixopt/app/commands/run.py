"""`mixopt run`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from mixopt.app import console, launch, publish, recorded
from mixopt.app.commands.application import JsonOption, SpecArgument, app
from mixopt.app.commands.ending import leave
from mixopt.app.spec_file import read_spec
from mixopt.errors import InputError, SpecError
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered
from mixopt.execution.sweep import SweepError
from mixopt.strategies import Strategy


@app.command()
def run(
    spec: SpecArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the sweep (default: runs/<name>).")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Run a sweep, or go on with it: train, fit laws, propose, confirm, report.

    Ctrl-C stops it; the same command goes on where it stopped and trains nothing twice.

    Example: mixopt run experiments/quickstart/spec.yaml --json result.json
    """
    started = time.monotonic()
    checked = read_spec(spec)
    folder = launch.folder_of(checked, out)
    with console.results_to(json) as write:
        console.say(f"Preparing the data of {checked.name} ...")
        with launch.new_sweep(checked, out) as (sweep, recipe):
            console.show_start(sweep)
            if where := recorded.place(sweep, checked):
                console.say(where)
            recorded.introduce(sweep)
            try:
                trained, stopped = _run(sweep, recipe)
                answer = publish.finish(sweep, trained=trained, stopped=stopped)
                recorded.summarize(sweep, "failed" if stopped else "finished", answer)
            except KeyboardInterrupt:
                recorded.summarize(sweep, "stopped")
                console.say(
                    f"Stopped. {len(sweep.store.observations())} runs are in the store; the same "
                    "command goes on from there."
                )
                raise typer.Exit(130) from None
        _show(answer, sweep, publish.next_steps(folder, checked.store.use))
        seconds = round(time.monotonic() - started, 2)
        write({**answer.summary(), "trained": trained, "seconds": seconds})
    leave(answer)


def _run(sweep: launch.Sweep, recipe: Strategy) -> tuple[int, str]:
    """Run a sweep; how many runs came in, and why it cannot go on, where it cannot."""
    before = len(sweep.store.observations())
    try:
        with console.SweepProgress(sweep.problem.objective.unit(sweep.info.unit)) as progress:
            return launch.run(sweep, recipe, progress).trained, ""
    except SpecError:
        raise
    except (SweepError, InputError) as error:
        return len(sweep.store.observations()) - before, str(error)


def _show(
    answer: Outcome | Unanswered, sweep: launch.Sweep, steps: Mapping[str, str] | None = None
) -> None:
    if isinstance(answer, Unanswered):
        told = {k: v for k, v in (steps or {}).items() if k != publish.TAKE_ALONG}
        console.show_unanswered(answer, told)
    else:
        console.show_outcome(answer, sweep.problem.space, steps)
