"""`mixopt export`."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt import export
from mixopt.app.commands.application import app
from mixopt.app.output import console, show_formats
from mixopt.app.plans.manifest import Told, facts_of, settings
from mixopt.app.plans.plan_source import read_source
from mixopt.app.plans.writing import write_together
from mixopt.errors import InputError

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A sweep (folder or spec.yaml), a JSON mixture or schedule, models:/name@alias.",
    ),
]
PathOption = Annotated[
    list[str] | None,
    typer.Option("--path", metavar="DOMAIN=PATH", help="Where a domain's data is; repeat."),
]
PathsOption = Annotated[
    Path | None, typer.Option("--paths", metavar="FILE", help="JSON or YAML from domain to path.")
]
ManifestOption = Annotated[
    Path | None,
    typer.Option(
        "--manifest", metavar="FILE", help="JSON or YAML with tokens, documents, path by domain."
    ),
]
LengthsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tokens-per-example",
        metavar="DOMAIN=NUMBER",
        help="Mean tokens of an example, by the target's tokenizer; repeat.",
    ),
]
UniqueOption = Annotated[
    list[str] | None,
    typer.Option("--unique", metavar="DOMAIN=TOKENS", help="Unique tokens of a domain; repeat."),
]
TokensOption = Annotated[
    str | None, typer.Option("--tokens", metavar="COUNT", help="Of the target run, e.g. 1T.")
]
EpochsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--max-epochs",
        metavar="[DOMAIN=]NUMBER",
        help="Passes allowed over a domain; more is refused. Repeat for single domains.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Write here (default, and '-': stdout)."),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of what is drawn.")]


@app.command(name="export")
def export_(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A sweep (folder or spec.yaml), a JSON mixture or schedule, models:/name@alias.",
        ),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", "-f", help="A format; --list shows them all.")
    ] = "json",
    out: OutOption = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Of the format, where it has several.")
    ] = None,
    tokens: TokensOption = None,
    path: PathOption = None,
    paths: PathsOption = None,
    manifest: ManifestOption = None,
    tokens_per_example: LengthsOption = None,
    equal_lengths: Annotated[
        bool, typer.Option("--equal-lengths", help="Examples are packed to one length.")
    ] = False,
    unique: UniqueOption = None,
    max_epochs: EpochsOption = None,
    sequence_length: Annotated[
        str | None, typer.Option("--sequence-length", metavar="COUNT", help="Tokens of a sequence.")
    ] = None,
    batch_tokens: Annotated[
        str | None, typer.Option("--batch-tokens", metavar="COUNT", help="Tokens of a step.")
    ] = None,
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", help="With which tokens are counted; it is noted.")
    ] = "",
    seed: SeedOption = 0,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option of the format; repeat."),
    ] = None,
    mean: Annotated[
        bool, typer.Option("--mean", help="Of a schedule: its mean mixture, without the order.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show all formats.")] = False,
    describe: Annotated[
        bool, typer.Option("--describe", help="Show what the format can hold, and its options.")
    ] = False,
) -> None:
    """Write a mixture or schedule in a trainer's own format, checked by its rules.

    With --out, what the weights will really give is written beside it, as realised_plan.json.

    Example: mixopt export runs/quickstart -f olmo-core --tokens 1T --paths paths.json -o mix.yaml
    """
    if list_:
        show_formats.show_formats()
        return
    if describe:
        export.exporter(format, version)
        show_formats.show_format(format, version)
        return
    if source is None:
        raise InputError("no source is given; name a sweep or a JSON mixture, or --list formats")
    chosen = export.exporter(format, version)
    chosen.settings(settings(set), f"export format {format!r}")
    told = Told(
        path or (),
        paths,
        manifest,
        tokens_per_example or (),
        unique or (),
        tokens,
        max_epochs or (),
        sequence_length,
        batch_tokens,
        equal_lengths,
        seed,
        tokenizer,
    )
    given = read_source(source)
    out = None if out is None or str(out) == "-" else out
    about = {**given.about, "name": out.name if out is not None else ""}
    exported = export.export(
        given.plan,
        format,
        facts_of(given, told),
        version=version,
        mean=mean,
        about=about,
        **settings(set),
    )
    if out is None:
        console.write_text(None, exported.text)
    else:
        written = write_together(out.parent, exported.all_files)
        console.say(f"Wrote {', '.join(str(file) for file in written)}")
    for line in exported.lines():
        console.say(line)
