"""`mixopt tokenize`."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from mixopt.app.commands.application import app
from mixopt.app.output import console
from mixopt.app.plans import tokenizing
from mixopt.app.plans.manifest import pairs
from mixopt.errors import MixoptError
from mixopt.evidence.numbers import plural
from mixopt.runs import quantity, short_number


@app.command()
def tokenize(
    domains: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=PATH ...", help="Domains: a file, folder or URL of text each."
        ),
    ],
    tokenizer: Annotated[
        Path, typer.Option(metavar="FILE", help="The tokenizer.json of the target run.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder that all machines see.")
    ],
    use: Annotated[str, typer.Option(help="The executor: ray, slurm or local.")] = "ray",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster: host:port, or 'auto' on its machines.")
    ] = None,
) -> None:
    """Text into shards of tokens for Megatron and for proxies, one task a shard.

    What is there already is left, so that a call that was stopped goes on.

    Example: mixopt tokenize web=data/web code=data/code --tokenizer tokenizer.json --out shards
    """
    config: dict[str, Any] = {
        "domains": {n: str(Path(p).resolve()) if "://" not in p else p for n, p in _named(domains)},
        "tokenizer": str(tokenizer.resolve()),
        "out": str(out.resolve()),
    }
    settings = {} if address is None else {"address": address}
    with console.working("Tokenizing"):
        seen, notes = tokenizing.tokenize(config, (use, settings), _tell)
    failed = [o for o in seen if not o.ok]
    for note in notes:
        console.note(note)
    for name, sums in tokenizing.by_domain([o for o in seen if o.ok]).items():
        shards = plural(int(sums["shards"]), "shard")
        console.say(
            f"{name}: {short_number(sums['tokens'])} tokens of {quantity(sums['bytes'])} bytes "
            f"in {short_number(sums['documents'])} documents, {shards}"
        )
    if failed:
        again = "correct that and run the same command again; what is there is left"
        raise MixoptError(f"{len(failed)} of {len(seen)} shards failed: {failed[0].error}; {again}")
    sources = {n: {"shards": str(out / n), "format": "megatron"} for n, _ in _named(domains)}
    lines = yaml.safe_dump({"domains": sources, "tokenizer": str(tokenizer)}, sort_keys=False)
    console.say("In a spec, under trainer.config:")
    console.write_text(None, lines)


def _named(domains: list[str]) -> list[tuple[str, str]]:
    return list(pairs(domains, "domain").items())


def _tell(done: int, shards: int) -> None:
    console.say(f"{done} of {shards} shards")
