"""`mixopt export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mixopt import export
from mixopt.app import console, launch, publish
from mixopt.app.commands.application import SweepArgument, app
from mixopt.errors import InputError


@app.command(name="export")
def export_(
    sweep: SweepArgument,
    format: Annotated[
        str, typer.Option("--format", "-f", help=f"One of: {', '.join(export.EXPORTERS)}.")
    ] = "json",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write here (default: stdout)."),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN=PATH", help="Where a domain's data is; repeat."),
    ] = None,
    tokens_per_example: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN=NUMBER", help="For formats that count examples; repeat."),
    ] = None,
    mean: Annotated[
        bool, typer.Option("--mean", help="Of a schedule: its mean mixture, without the order.")
    ] = False,
) -> None:
    """Export the recommended mixture (or schedule) into a trainer's own format.

    Example: mixopt export runs/quickstart --format hf-datasets -o mixture.py
    """
    options: dict[str, Any] = {}
    if path:
        options["paths"] = _pairs(path, "--path")
    if tokens_per_example:
        sizes = _pairs(tokens_per_example, "--tokens-per-example")
        options["tokens_per_example"] = {k: _number(v) for k, v in sizes.items()}
    with launch.open_sweep(sweep) as opened:
        text = publish.export_sweep(opened, format, mean=mean, **options)
    console.write_text(out, text)
    if out is not None:
        console.say(f"Wrote {out}")


def _pairs(given: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"{option} {text!r}: write it as DOMAIN=VALUE")
        pairs[name] = value
    return pairs


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{text!r} is no number") from None
