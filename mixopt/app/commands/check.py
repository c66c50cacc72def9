"""`mixopt check`."""

from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, OutOption, SpecArgument, app
from mixopt.app.output import console, show_check, show_status
from mixopt.app.running.dry_run import dry_run
from mixopt.app.running.run_plans import Rates, check_rates
from mixopt.app.spec.spec_file import read_spec


@app.command()
def check(
    spec: SpecArgument,
    out: OutOption = None,
    flops_per_second: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="6 N D a second of one GPU (of a slot, where packs have none), e.g. 2e14; by "
            "default as runs of this sweep took.",
        ),
    ] = None,
    price_per_hour: Annotated[
        float | None,
        typer.Option(metavar="PRICE", help="Of the same (default: execution.price_per_hour)."),
    ] = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Keep data that has to be prepared in the cache.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """What a sweep would do and cost: a dry run that trains nothing.

    Reads the data, checks all that 'mixopt run' checks, counts runs, packs and room for them (on
    the cluster of execution.address, if it answers, else on this machine). Nothing is written: data
    that has to be prepared is forgotten again, unless --prepare keeps it.

    Example: mixopt check spec.yaml --flops-per-second 2e14 --price-per-hour 2.5
    """
    rates = Rates(flops_per_second, price_per_hour)
    check_rates(rates)
    checked = read_spec(spec)
    with console.results_to(json) as write:
        with console.working(f"Looking at the data of {checked.name}"):
            result = dry_run(checked, out, rates, keep=prepare)
        show_status.show(show_check.check_page(result))
        write(result.to_dict())
