"""`mixopt transport`."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, SpecArgument, app
from mixopt.app.output import console
from mixopt.app.output.show_transport import Measuring, transport_table
from mixopt.app.running.transport import measure
from mixopt.app.spec.spec_file import read_spec


@app.command()
def transport(
    spec: SpecArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the costs are written.")
    ] = Path("transport.json"),
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SET",
            help="Validation set that mixtures are held against (repeatable; default: those that "
            "the objective names).",
        ),
    ] = None,
    documents: Annotated[
        int, typer.Option(min=4, max=4096, help="Pieces of text of each domain and set.")
    ] = 64,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Take <domain>.npy and target.npy, a row for each document."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples.")] = 0,
    json: JsonOption = None,
) -> None:
    """Measure how far mixtures of documents are from what is scored, for the law 'projektor'.

    Trains nothing. A sample of every domain is embedded, by its words or as you say, and the
    Sinkhorn divergence of mixtures of the samples from the target's is written as a formula.

    Example: mixopt transport spec.yaml, then in the spec
    strategy: {use: auto, law: {use: projektor, costs: transport.json}}
    """
    given = read_spec(spec)
    with console.results_to(json) as write:
        with Measuring() as tell:
            costs = measure(
                given,
                target or (),
                documents=documents,
                embeddings=embeddings,
                seed=seed,
                tell=tell,
            )
        values = costs.to_dict()
        console.write_json(out, values)
        console.out.print(transport_table(costs))
        console.say(
            f"Wrote {out}: a formula of the distance, whose error at mixtures left out is "
            f"{costs.error:.3g} where mixtures differ by {costs.spread:.3g} (sd)."
        )
        write(values)
