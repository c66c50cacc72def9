"""`mixopt compile`."""

from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import app
from mixopt.app.commands.export import (
    EpochsOption,
    LengthsOption,
    ManifestOption,
    OutOption,
    SeedOption,
    SourceArgument,
    TokensOption,
    UniqueOption,
)
from mixopt.app.output import console
from mixopt.app.plans import compiling
from mixopt.app.plans.manifest import Told, whole
from mixopt.export.realised import as_json


@app.command(name="compile")
def compile_(
    source: SourceArgument,
    tokens: TokensOption = None,
    out: OutOption = None,
    order: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every block as a line of JSON; needs --block."),
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(metavar="COUNT", help="Tokens of a block of the order, e.g. those of a step."),
    ] = None,
    manifest: ManifestOption = None,
    tokens_per_example: LengthsOption = None,
    unique: UniqueOption = None,
    max_epochs: EpochsOption = None,
    target_tokenizer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="tokenizer.json of the target: shares of text are kept."),
    ] = None,
    source_tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="That of the mixture, where no manifest says tokens and bytes."
        ),
    ] = None,
    sample: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN=FILE", help="Text of a domain (.jsonl or plain); repeat."),
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Exact tokens, documents and epochs per domain, and an order of blocks.

    In the order, every prefix keeps each domain within one block of its share, and any machine
    makes the same one from the plan (mixopt.export.token_plan.read_plan).

    Example: mixopt compile mixture.json --tokens 1T --block 4M -o plan.json --order blocks.jsonl
    """
    told = Told(
        manifest=manifest,
        tokens_per_example=tokens_per_example or (),
        unique=unique or (),
        tokens=tokens,
        max_epochs=max_epochs or (),
        seed=seed,
    )
    tokenizers = compiling.Tokenizers(target_tokenizer, source_tokenizer, sample or ())
    compiled = compiling.compile_source(source, told, whole(block, "--block"), tokenizers)
    file = None if str(out) == "-" else out
    compiling.write(compiled, file, order)
    if file is None:
        console.write_text(None, as_json(compiled.to_dict()))
    for path in (file, order):
        if path is not None:
            console.say(f"Wrote {path}")
    for line in compiling.lines(compiled):
        console.say(line)
