"""`mixopt fit`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, app
from mixopt.app.output import console
from mixopt.app.results import publish
from mixopt.app.running import expected
from mixopt.app.spec.spec_file import read_spec
from mixopt.runs.columns import EPOCHS
from mixopt.runs.reading import read_table
from mixopt.study import Study


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
    down_weight: Annotated[
        bool,
        typer.Option(
            "--down-weight", help="Weigh metrics by their reliability, measured on repeated runs."
        ),
    ] = False,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="Use only these rows, e.g. \"params == 1e6 and split == 'train'\".",
        ),
    ] = None,
    law: Annotated[str, typer.Option(help="Law to fit; an unknown name lists them all.")] = "auto",
    at: Annotated[
        str | None,
        typer.Option(
            metavar="PARAMS/TOKENS",
            help="Scale that the answer is for, e.g. 1B/25B (default: the largest that ran).",
        ),
    ] = None,
    spec: Annotated[
        Path | None, typer.Option(metavar="SPEC", help="Take priors and constraints from it.")
    ] = None,
    renormalize: Annotated[
        bool, typer.Option("--renormalize", help="Scale weights that do not sum to 1.")
    ] = False,
    optimism: Annotated[
        bool,
        typer.Option(
            "--optimism",
            help="Say by how much the law predicts too well what it chooses (eight more fits).",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML report as well.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Fit laws to a table of runs: diagnostics, and the mixture they propose.

    Needs no cluster. Every run counts as evidence, whoever trained it.

    Example: mixopt fit runs.csv --minimize code --where "params == 1e6"
    """
    with console.working(f"Reading {table}"):
        runs = read_table(table, metrics, where=where, renormalize=renormalize)
    objective = publish.table_objective(
        runs, minimize, maximize, standardize=standardize, down_weight=down_weight
    )
    space = publish.table_space(runs, read_spec(spec) if spec else None)
    target = publish.scale_asked(at) if at else None
    study = Study(space, objective, law=law, target=target, seed=seed)
    with console.results_to(json) as write:
        if spec is not None and any(str(name).startswith(EPOCHS) for name in runs.facts):
            console.say(f"Columns {EPOCHS}<domain> are not used: with --spec sizes are those of it")
        for line in expected.of_table(runs, objective, space):
            console.say(line)
        outcome = publish.fit_table(runs, study, console.working)
        more: list[str] = []
        if optimism:
            with console.working("Asking halves of the runs what becomes of what the law chooses"):
                more.append(publish.how_optimistic(study, seed))
        outcome = replace(outcome, notes=(*outcome.notes, *more))
        console.show_outcome(outcome, space)
        console.show_checkup(outcome)
        if report is not None:
            study.report(report, title=table.stem, notes=more)
            console.say(f"Report: {report}")
        write(outcome.summary())
