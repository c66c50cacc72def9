"""`mixopt price`."""

from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, SweepArgument, app
from mixopt.app.output import console
from mixopt.app.output.price_table import one_price, reasons
from mixopt.app.results import publish
from mixopt.app.running import launch
from mixopt.evidence.priced import caution, change_in_words, price_as_json


@app.command()
def price(
    sweep: SweepArgument,
    tier: Annotated[
        str, typer.Argument(help="Domains with one tag, as licence=nc; or a group of the spec.")
    ],
    at_most: Annotated[
        float,
        typer.Option(
            "--at-most",
            metavar="SHARE",
            help="Largest share of them together: 0 to leave them out.",
        ),
    ] = 0.0,
    json: JsonOption = None,
) -> None:
    """What it costs in the predicted objective to leave a tier of domains out, or to cap it.

    Trains nothing: asks the model that made the answer. The best mixture under the new bound is
    searched, and the difference comes with its interval.

    Example: mixopt price runs/quickstart licence=nc --at-most 0.05
    """
    with console.results_to(json) as write:
        with launch.open_sweep(sweep) as opened:
            outcome = publish.conclude(opened)
            row = publish.price_of(opened, outcome, tier, at_most)
        level = outcome.checkup.trust.level
        console.out.print(one_price(outcome, row))
        for line in reasons([row]):
            console.say(line)
        if row.mixture is not None:
            shares = sorted(row.mixture.to_dict().items(), key=lambda item: -item[1])
            largest = ", ".join(f"{name} {share:.1%}" for name, share in shares if share > 0)
            console.say(f"Then best ({change_in_words(row)}): {largest}")
        if outcome.checkup.trust.line:
            console.say(outcome.checkup.trust.line)
        write({**price_as_json(row, level), "caution": caution(level)})
