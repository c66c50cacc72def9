"""`mixopt mixer`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import app
from mixopt.app.plans.mixer_run import Asked
from mixopt.mixers.protocol import answers


@app.command(name="mixer")
def mixer_(
    steps: Annotated[str, typer.Option("--steps", help="Of the run.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="A mixer, or module:attribute.")] = "",
    domains: Annotated[
        str, typer.Option("--domains", metavar="A[=TOKENS],B,...", help="Names, in order.")
    ] = "",
    tokens: Annotated[str, typer.Option("--tokens", help="Of the run, e.g. 2M.")] = "",
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="FILE", help="Of a run of a sweep: says all but --steps."),
    ] = None,
    targets: Annotated[
        str,
        typer.Option(
            "--targets", metavar="A[=WEIGHT],...", help="Metrics to steer by (default: domains)."
        ),
    ] = "",
    start: Annotated[
        str, typer.Option("--start", help="uniform, natural, or A=SHARE,B=SHARE,...")
    ] = "uniform",
    space: Annotated[
        Path | None,
        typer.Option("--space", metavar="FILE", help="JSON or YAML: bounds, groups, ties, epochs."),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SETTING=VALUE", help="A setting of the mixer; repeat."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the run.")] = 0,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="Kept after every report; go on from it."),
    ] = None,
) -> None:
    """Steer the mixture of another trainer's run over stdin and stdout.

    It says what it needs and asks for segments, one JSON object a line; the trainer answers each
    with what it drew and measured. See docs/guide/online.md.

    A program that a sweep starts (proxies.command:CommandTrainer) gives --run and --steps alone.

    Example: mixopt mixer odm --domains web,code --steps 1000 --tokens 1M
    """
    asked = Asked(name, domains, tokens, steps, targets, start, space, set or (), seed, state)
    steered = asked if run is None else asked.of_file(run)
    before = steered.session()
    for session, line in answers(before, sys.stdin):
        if session is not before:  # saved before the trainer hears of it
            steered.keep(session)
            before = session
        sys.stdout.write(json.dumps(line, allow_nan=False) + "\n")
        sys.stdout.flush()
