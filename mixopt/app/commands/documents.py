"""`mixopt documents`."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import SweepArgument, app
from mixopt.app.output import console
from mixopt.app.output.document_table import document_table
from mixopt.app.results.document_rules import document_rules
from mixopt.app.running import launch
from mixopt.runs.document_rule import rules_as_json


@app.command()
def documents(
    sweep: SweepArgument,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Write the rules here, as JSON."),
    ] = Path("documents.json"),
) -> None:
    """Which documents the answer keeps, and how often each is read: rules on their scores.

    For sweeps that sample documents (strategy quadmix, knobs on `sampling`). A rule says at which
    score a domain is cut and how often a document of any score is read; it needs the scores alone,
    so that it goes for the documents of the large run.

    Example: mixopt documents runs/quality -o documents.json
    """
    with launch.open_sweep(sweep) as opened:
        rules = document_rules(opened)
    console.out.print(document_table(rules))
    console.write_json(out, rules_as_json(rules))
    console.say(
        f"Wrote {out}: mixopt.runs.document_rule.read_rules reads it, and says of any scores how "
        "often such documents are read."
    )
