"""`mixopt domains`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from mixopt.app.commands.application import JsonOption, app
from mixopt.app.output import console
from mixopt.app.output.show_domains import CutProgress, show_domains
from mixopt.app.results import publish
from mixopt.app.spec import first_spec
from mixopt.errors import InputError, SourceError
from mixopt.lazy import load, require

_CUT = "proxies.heap:cut_heap"
_CONFIG = "proxies.heap:HeapConfig"
_PAGE = "domains.html"
_OPTIONS = {"text_field": "--text-field", "encoding": "--encoding", "suffixes": "--suffix"}
"""Settings of a source in a spec to the options that they are here."""


@app.command()
def domains(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA ...", help="The heap: files, folders or URLs.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="New folder (default: DATA-domains)."),
    ] = None,
    k: Annotated[
        str, typer.Option("--clusters", "-k", metavar="K", help="How many, or 'auto'.")
    ] = "auto",
    field: Annotated[
        str, typer.Option(metavar="NAME", help="Take the values of this field for domains.")
    ] = "",
    embeddings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Cluster these: .npy, a row for each document."),
    ] = None,
    drop_duplicates: Annotated[
        bool, typer.Option("--drop-duplicates", help="Leave near-duplicates out.")
    ] = False,
    quality: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCORE",
            help="Part domains by quality, high is good: length, letters, variety, a field, "
            "or module:function (repeatable).",
        ),
    ] = None,
    quality_low: Annotated[
        list[str] | None,
        typer.Option(metavar="SCORE", help="The same, low is good (repeatable)."),
    ] = None,
    tiers: Annotated[
        int | None, typer.Option(metavar="N", help="Tiers of quality a domain (default: 3).")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Write this field of records too (repeatable)."),
    ] = None,
    text_field: Annotated[
        str, typer.Option(metavar="NAME", help="Field of the text (default: looked for).")
    ] = "",
    encoding: Annotated[
        str, typer.Option(metavar="NAME", help="Of the text (default: UTF-8).")
    ] = "",
    suffix: Annotated[
        list[str] | None,
        typer.Option(metavar=".EXT", help="Read files of this suffix alone (repeatable)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample and the clusters.")] = 0,
    json_out: JsonOption = None,
) -> None:
    """Cut one heap of documents into domains: clusters of words, of embeddings, or by a field.

    Example: mixopt domains crawl.jsonl.gz --out data/crawl
    """
    given: dict[str, Any] = {
        "paths": tuple(data),
        "text_field": text_field,
        "encoding": encoding,
        "suffixes": tuple(suffix or ()),
        "k": _clusters(k),
        "field": field,
        "embeddings": embeddings,
        "keep": tuple(keep or ()),
        "drop_duplicates": drop_duplicates,
        "quality": tuple(quality or ()),
        "quality_low": tuple(quality_low or ()),
        "tiers": tiers,
        "seed": seed,
    }
    config = load(_CONFIG)(**given)
    folder = out or Path(f"{_stem(data[0])}-domains")
    with console.results_to(json_out) as write:
        with CutProgress() as tell:
            try:
                cut = load(_CUT)(config, folder, tell)
            except SourceError as error:
                option = _OPTIONS[error.setting]
                raise InputError(
                    f"{error}. On the command line this setting is {option}"
                ) from error
        manifest = cut.to_dict()
        page = require("mixopt.report.heap").heap_page(
            folder.name, manifest, f"{datetime.now():%Y-%m-%d %H:%M}"
        )
        console.write_text(folder / _PAGE, page)
        show_domains(manifest)
        write(manifest)
    console.say(
        f"Wrote {folder}: a file for each domain, {cut.section.name} (the domains as a spec names "
        f"them) and {_PAGE}."
    )
    console.say(f"For a first spec: {publish.command()} init {folder}")


def _stem(path: str) -> str:
    """The name of a file or folder without its suffixes."""
    return first_spec.study_name(Path(path).resolve().name.partition(".")[0])


def _clusters(given: str) -> int | None:
    if given == "auto":
        return None
    if not given.isdecimal():
        raise InputError(f"clusters is {given!r}; give a whole number, or auto")
    return int(given)
