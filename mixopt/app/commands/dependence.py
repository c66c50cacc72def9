"""`mixopt dependence`."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, SpecArgument, app
from mixopt.app.commands.run import carry_out
from mixopt.app.running import launch
from mixopt.app.spec.spec_file import read_spec
from mixopt.app.spec.values import Spec, StrategySpec

STRATEGY = "dependence"


@app.command()
def dependence(
    spec: SpecArgument,
    seeds: Annotated[
        int, typer.Option(help="Runs without any injection, 3 or more: they tell the noise.")
    ] = 3,
    tail: Annotated[
        float, typer.Option(metavar="SHARE", help="Part of a run that comes after the checkpoint.")
    ] = 0.2,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the test (default: runs/<name>-dependence)."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Of a running Ray cluster, e.g. auto; in place of execution.address."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Do the injections of a spec interfere? From one checkpoint, each alone, none, and all.

    Trains short runs in a sweep of its own, with the spec's trainer, data and smallest scale, and
    says which experiment changes what another shows. Ctrl-C stops it, the same command goes on.

    Example: mixopt dependence experiments/injections --json told.json
    """
    checked = launch.at_address(tested(read_spec(spec), seeds, tail), address)
    if address is not None:
        launch.reach(checked)
    carry_out(checked, out, json)


def tested(spec: Spec, seeds: int, tail: float) -> Spec:
    """The spec of the test; one whose strategy is the test stays as it is."""
    if spec.strategy.use == STRATEGY:
        return spec
    return spec.model_copy(
        update={
            "name": f"{spec.name}-{STRATEGY}",
            "strategy": StrategySpec(use=STRATEGY, seeds=seeds, tail=tail),
            "scales": spec.scales[:1],
            "knobs": {},
            "warm_start": [],
            "promotion": None,
        }
    )
