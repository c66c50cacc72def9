"""`mixopt merge`."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import JsonOption, SpecArgument, app
from mixopt.app.output import console
from mixopt.app.output.show_merge import coefficient_table, score_table
from mixopt.app.running.merging import learn_merge
from mixopt.app.spec.spec_file import read_spec


@app.command()
def merge(
    spec: SpecArgument,
    target: Annotated[
        str,
        typer.Option(
            metavar="SET", help="Validation set to merge for (default: that of the objective)."
        ),
    ] = "",
    guard: Annotated[
        float | None,
        typer.Option(
            metavar="WEIGHT",
            help="Minimise the entropy of what is predicted, and not the loss, held so much to "
            "the average of the experts; 0 holds it to nothing.",
        ),
    ] = None,
    sequences: Annotated[
        int, typer.Option(min=1, max=4096, help="Of the target's unscored text that are read.")
    ] = 32,
    steps: Annotated[int, typer.Option(min=1, max=100_000, help="Of Adam.")] = 500,
    rate: Annotated[float, typer.Option(help="Of Adam.")] = 1e-3,
    start: Annotated[float, typer.Option(help="All coefficients before the first step.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Of the experts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write the model, as safetensors."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Merge the experts of a spec into one model, by coefficients learned on a target's text.

    One coefficient per expert and parameter tensor (AdaMerging), on text that no metric scores.
    Experts that are missing are trained first.

    Example: mixopt merge spec.yaml --target code --out merged.safetensors
    """
    given = read_spec(spec)
    with console.results_to(json) as write:
        with console.working("Merging experts"):
            name, learned = learn_merge(
                given,
                target,
                guard=guard,
                sequences=sequences,
                seed=seed,
                settings={"start": start, "rate": rate, "steps": steps},
            )
        values = {"target": name, "guard": guard, **learned.to_dict()}
        console.out.print(score_table(values, name))
        console.out.print()
        console.out.print(coefficient_table(values))
        if learned.metrics[name] > learned.uniform[name]:
            console.note(
                f"on {name} the learned merge is worse than the average of the experts: leave out "
                "--guard, which learns from the loss, or raise it (10 held it in our runs)"
            )
        if out is not None:
            learned.save(out)
            console.say(f"Wrote {out}: the parameters of the merged model.")
        write(values)
