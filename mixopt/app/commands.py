"""The commands. Each parses its arguments, calls the library, shows the result, and no more."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mixopt import export
from mixopt.app import console, launch, preparation, publish
from mixopt.app.spec_file import json_schema, read_spec
from mixopt.errors import InputError, MixoptError, SpecError
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.verdict import Unanswered
from mixopt.execution.sweep import SweepError
from mixopt.runs.reading import read_table
from mixopt.strategies import Strategy
from mixopt.study import Study

app = typer.Typer(
    name="mixopt",
    help="Find the data mixture for the next large language-model run, and prove it.",
    epilog="Start with: mixopt run experiments/quickstart/spec.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SpecArgument = Annotated[
    Path, typer.Argument(help="The spec.yaml of the sweep, or the folder that holds it.")
]
SweepArgument = Annotated[
    Path, typer.Argument(help="The sweep: its folder (runs/<name>), or its spec.yaml.")
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON ('-': to stdout)."),
]


@app.command()
def run(
    spec: SpecArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the sweep (default: runs/<name>).")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Run a sweep, or go on with it: train proxies, fit laws, propose, confirm, report.

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
            try:
                trained, stopped = _run(sweep, recipe)
                answer = publish.finish(sweep, trained=trained, stopped=stopped)
            except KeyboardInterrupt:
                console.say(
                    f"Stopped. {len(sweep.store.observations())} runs are in the store; the same "
                    "command goes on from there."
                )
                raise typer.Exit(130) from None
        _show(answer, sweep, publish.next_steps(folder, checked.store.use))
        seconds = round(time.monotonic() - started, 2)
        write({**answer.summary(), "trained": trained, "seconds": seconds})
    _leave(answer)


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


def _leave(answer: Outcome | Unanswered) -> None:
    """End with 1 where nothing was concluded."""
    if isinstance(answer, Unanswered):
        raise typer.Exit(1)


@app.command()
def fit(
    table: Annotated[
        Path,
        typer.Argument(help="Runs as CSV or parquet: columns w/<domain>, m/<metric>, params, ..."),
    ],
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Second file of a two-file layout; RegMix's and Olmix's are found by their names.",
        ),
    ] = None,
    minimize: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC", help="Metric to minimise; repeat for a mean (default: all)."
        ),
    ] = None,
    maximize: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC", help="Metric where higher is better; repeat for a mean."),
    ] = None,
    standardize: Annotated[
        bool,
        typer.Option("--standardize", help="Weigh metrics in units of their sd over the runs."),
    ] = False,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="Use only these rows, e.g. \"params == 1e6 and split == 'train'\".",
        ),
    ] = None,
    law: Annotated[str, typer.Option(help="Law to fit; an unknown name lists them all.")] = "auto",
    spec: Annotated[
        Path | None, typer.Option(metavar="SPEC", help="Take priors and constraints from it.")
    ] = None,
    renormalize: Annotated[
        bool, typer.Option("--renormalize", help="Scale weights that do not sum to 1.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML report as well.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Fit laws to a table of runs: diagnostics, and the mixture that they propose.

    Needs no cluster. Every run counts as evidence, whoever trained it.

    Example: mixopt fit runs.csv --minimize code --where "params == 1e6"
    """
    with console.working(f"Reading {table}"):
        runs = read_table(table, metrics, where=where, renormalize=renormalize)
    objective = publish.table_objective(runs, minimize, maximize, standardize=standardize)
    space = publish.table_space(runs, read_spec(spec) if spec else None)
    study = Study(space, objective, law=law, seed=seed)
    with console.results_to(json) as write:
        outcome = publish.fit_table(runs, study, console.working)
        console.show_outcome(outcome, space)
        console.show_checkup(outcome)
        if report is not None:
            publish.write_table_report(report, outcome, study, title=table.stem)
            console.say(f"Report: {report}")
        write(outcome.summary())


@app.command()
def report(
    sweep: SweepArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write (default: in the sweep's folder)."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Write a sweep's report anew from its store (also while the sweep is running).

    Ends with 1 where the runs do not allow an answer yet; the report then says why.

    Example: mixopt report runs/quickstart
    """
    with console.results_to(json) as write:
        with launch.open_sweep(sweep) as opened:
            answer = publish.concluded(opened)
            path = publish.write_report(opened, answer, out)
        console.say(f"{answer.headline} {answer.verdict.line}")
        console.say(f"Report: {path}")
        write(answer.summary())
    _leave(answer)


@app.command(name="export")
def export_(
    sweep: SweepArgument,
    format: Annotated[
        str, typer.Option("--format", "-f", help=f"One of: {', '.join(export.EXPORTERS)}.")
    ] = "json",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write here (default: stdout)."),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN=PATH", help="Where a domain's data is; repeat."),
    ] = None,
    tokens_per_example: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN=NUMBER", help="For formats that count examples; repeat."),
    ] = None,
    mean: Annotated[
        bool, typer.Option("--mean", help="Of a schedule: its mean mixture, without the order.")
    ] = False,
) -> None:
    """Export the recommended mixture (or schedule) into a trainer's own format.

    Example: mixopt export runs/quickstart --format hf-datasets -o mixture.py
    """
    options: dict[str, Any] = {}
    if path:
        options["paths"] = _pairs(path, "--path")
    if tokens_per_example:
        sizes = _pairs(tokens_per_example, "--tokens-per-example")
        options["tokens_per_example"] = {k: _number(v) for k, v in sizes.items()}
    with launch.open_sweep(sweep) as opened:
        text = publish.export_sweep(opened, format, mean=mean, **options)
    console.write_text(out, text)
    if out is not None:
        console.say(f"Wrote {out}")


@app.command()
def ui(
    sweep: SweepArgument = preparation.RUNS / "quickstart",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Open MLflow's pages on a sweep's store; Ctrl-C closes them.

    Example: mixopt ui runs/quickstart
    """
    store = launch.store_location(sweep)
    if store.is_server:
        console.say(f"The runs are on a server that has pages of its own: {store.shown}")
        return
    console.say(f"MLflow on http://127.0.0.1:{port} (Ctrl-C closes it)")
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": store.uri,  # as an argument, everybody could read a password
        # MLflow's job workers take 2 GB and serve none of its tracking pages.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    try:
        done = subprocess.run(command, env=environment, check=False)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    raise typer.Exit(done.returncode)


@app.command()
def schema() -> None:
    """Print the JSON schema of spec.yaml, for editors that complete and check it.

    Example: mixopt schema > spec.schema.json
    """
    console.write_json(None, json_schema())


def _pairs(given: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"{option} {text!r}: write it as DOMAIN=VALUE")
        pairs[name] = value
    return pairs


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{text!r} is no number") from None


def main() -> None:
    """The entry point: errors that mixopt raises on purpose end in words, not in a traceback."""
    # A trainer of the user's own is found in the folder that the command runs from.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        app()
    except MixoptError as error:
        console.show_error(error)
        sys.exit(2 if isinstance(error, InputError) else 1)
