"""`mixopt card`."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import SweepArgument, app
from mixopt.app.output import console
from mixopt.app.promotion import promote
from mixopt.app.registry import artefact
from mixopt.app.results import publish
from mixopt.app.running import launch
from mixopt.app.running.registries import model_name, open_registry
from mixopt.errors import StoreError


@app.command()
def card(
    sweep: SweepArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write here (default: stdout)."),
    ] = None,
) -> None:
    """Print the model card of a sweep's last promotion: what, why, evidence, limits.

    Example: mixopt card runs/quickstart -o card.md
    """
    with launch.open_sweep(sweep) as opened:
        decision = promote.decision_in(opened)
        if decision is None:
            raise StoreError(
                f"{opened.spec.name!r} was not promoted yet, so that it has no card; 'mixopt "
                "promote' makes one, passed or not"
            )
        with open_registry(opened.spec, opened.folder) as registry:
            known = () if registry is None else registry.versions(model_name(opened.spec))
        registered = decision.id in {v.promotion for v in known}
        promoted = artefact.Promoted(opened, publish.conclude(opened), decision)
        text = artefact.make_card(promoted, registered=registered)
    console.write_text(out, text)
