"""`mixopt compare`."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, app
from mixopt.app.output import console, show_compare
from mixopt.app.results import comparison


@app.command()
def compare(
    sweeps: Annotated[
        list[Path], typer.Argument(help="Two sweeps or more: names, folders or specs.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML page as well.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Sweeps side by side: answers, mixtures, gains, cost, and what differs in their specs.

    Says what cannot be compared (other metrics, units, scales, data), and compares the rest.

    Example: mixopt compare quickstart quickstart-large --out compared.html
    """
    with console.results_to(json) as write:
        compared = comparison.compare_sweeps(sweeps)
        show_compare.show_compared(compared)
        if out is not None:
            comparison.write_page(compared, out)
            console.say(f"Page: {out}")
        write(compared.to_dict())
