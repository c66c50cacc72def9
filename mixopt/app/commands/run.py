"""`mixopt run`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, OutOption, SpecArgument, app
from mixopt.app.commands.ending import leave
from mixopt.app.output import console
from mixopt.app.results import publish, recorded
from mixopt.app.running import driving, durable, expected, launch
from mixopt.app.spec.spec_file import read_spec
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError, SpecError
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered
from mixopt.execution.limits import Halt
from mixopt.execution.sweep import SweepError
from mixopt.strategies import Strategy

HALTED = 3
"""Exit status of a sweep that stopped before its end, at a limit or after failures."""


@app.command()
def run(
    spec: SpecArgument,
    out: OutOption = None,
    address: Annotated[
        str | None,
        typer.Option(help="Of a running Ray cluster, e.g. auto; in place of execution.address."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Run a sweep, or go on with it: train, fit laws, propose, confirm, report.

    Ctrl-C stops it; the same command goes on where it stopped and trains nothing twice. Ends with 0
    when it is done, 1 where nothing could be concluded, 2 for a wrong spec, 3 where it stopped at a
    limit (execution.stop_after) or paused after failures (execution.pause_after).

    Example: mixopt run experiments/quickstart/spec.yaml --json result.json
    """
    checked = launch.at_address(read_spec(spec), address)
    if address is not None:
        launch.reach(checked)
    carry_out(checked, out, json)


def carry_out(
    checked: Spec,
    out: Path | None,
    json: Path | None,
    first: Callable[[launch.Sweep], None] = lambda _: None,
) -> None:
    """Run a sweep and show what came of it.

    Args:
        checked: its spec.
        out: its folder, where that is not the usual one.
        json: where a program's copy goes.
        first: called with the sweep, opened, before anything is trained.

    Raises:
        typer.Exit: 1 where nothing was concluded, 3 where the sweep stopped before its end, 130
            after Ctrl-C.
    """
    started, folder = time.monotonic(), launch.folder_of(checked, out)
    with console.results_to(json) as write:
        console.say(f"Preparing the data of {checked.name} ...")
        with launch.new_sweep(checked, out) as (sweep, recipe):
            durable.keep_code(folder)
            console.show_start(sweep)
            for line in expected.of_sweep(sweep.problem, recipe):
                console.say(line)
            if where := recorded.place(sweep, checked):
                console.say(where)
            recorded.introduce(sweep)
            first(sweep)
            try:
                ran = _run(sweep, recipe)
                answer = publish.finish(sweep, trained=ran.trained, stopped=ran.stopped)
                recorded.summarize(sweep, ran.state, answer)
            except KeyboardInterrupt:
                recorded.summarize(sweep, "stopped")
                console.say(
                    f"Stopped. {len(sweep.store.observations())} runs are in the store; the same "
                    "command goes on from there."
                )
                raise typer.Exit(130) from None
        rules = checked.promotion is not None
        _show(answer, sweep, publish.next_steps(folder, checked.store.use, rules=rules))
        if ran.halt is not None:
            console.say(f"The sweep stopped before its end: {ran.halt}.")
        seconds = round(time.monotonic() - started, 2)
        halted = None if ran.halt is None else vars(ran.halt)
        write({**answer.summary(), "trained": ran.trained, "halted": halted, "seconds": seconds})
    if ran.halt is not None:
        raise typer.Exit(HALTED)
    leave(answer)


@dataclass(frozen=True)
class _Ran:
    """How many runs came in; why the sweep cannot go on, or why it stopped where it could."""

    trained: int
    stopped: str = ""
    halt: Halt | None = None

    @property
    def state(self) -> str:
        """For the record."""
        return "failed" if self.stopped else "finished" if self.halt is None else "stopped"


def _run(sweep: launch.Sweep, recipe: Strategy) -> _Ran:
    before = len(sweep.store.observations())
    try:
        with console.SweepProgress(sweep.problem.objective.unit(sweep.info.unit)) as progress:
            status = driving.run(sweep, recipe, progress)
            return _Ran(status.trained, halt=status.halt)
    except SpecError:
        raise
    except (SweepError, InputError) as error:
        return _Ran(len(sweep.store.observations()) - before, str(error))


def _show(
    answer: Outcome | Unanswered, sweep: launch.Sweep, steps: Mapping[str, str] | None = None
) -> None:
    without = {publish.TAKE_ALONG, publish.LARGE_RUN}  # there is no mixture to go on with
    told = {k: v for k, v in (steps or {}).items() if k not in without}
    if isinstance(answer, Unanswered):
        console.show_unanswered(answer, told)
    else:
        mixture = answer.dependence is None
        console.show_outcome(answer, sweep.problem.space, steps if mixture else told)
