"""`mixopt init`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mixopt.app.commands.application import app
from mixopt.app.output import console
from mixopt.app.results import publish
from mixopt.app.spec import first_spec
from mixopt.app.spec.spec_file import EXPERIMENTS, json_schema, read_spec
from mixopt.errors import InputError
from mixopt.lazy import load
from mixopt.runs import quantity, short_number
from mixopt.runs.files import write_atomically

_SURVEY = "proxies.corpus.survey:survey"


@app.command()
def init(
    data: Annotated[Path, typer.Argument(help="The folder with one folder or file per domain.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the spec (default: the name of DATA)."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the sweep (default: that of DATA).")
    ] = None,
) -> None:
    """Look at a folder of text and write a first spec for it, with its reasons.

    Example: mixopt init my-data
    """
    called = name or first_spec.study_name(str(data))
    folder = out or EXPERIMENTS / called
    target = folder / "spec.yaml"
    if target.exists():
        raise InputError(f"{target} exists; give another folder with --out, or delete it")
    with console.working(f"Looking at {data}"):
        seen = load(_SURVEY)(data)
    notes = first_spec.check_sizes(seen.domains)
    lines = [
        f"{domain}: {'' if part.whole else 'about '}{quantity(part.size)} bytes of text "
        f"(about {short_number(part.tokens)} tokens) in {part.files} "
        f"{'file' if part.files == 1 else 'files'}"
        for domain, part in {**seen.domains, **seen.validation}.items()
    ]
    for line in lines:
        console.say(line)
    for domain, part in {**seen.domains, **seen.validation}.items():
        notes += [f"{domain}: {note}" for note in part.notes]
    for note in (*seen.skipped, *notes):
        console.note(note)
    text = first_spec.spec_text(called, seen, lines)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(target, text.encode())
    write_atomically(folder / "spec.schema.json", (json.dumps(json_schema()) + "\n").encode())
    read_spec(target)
    mixopt = publish.command()
    console.say(f"Wrote {target}. Read it, then: {mixopt} check {folder}")
    console.say(f"Once that looks right: {mixopt} run {folder}")
