"""Hugging Face `datasets`: a Python file around `interleave_datasets`.

`interleave_datasets` draws *examples*, not tokens: with probabilities p and t mean tokens per
example, domain i gets p_i t_i / sum(p t) of the tokens. With `tokens_per_example` the shares of
tokens are turned into the probabilities that give them; without, the file says that they were not.

`load_dataset("data/a.jsonl")` would ask the hub for a dataset of that name. So every source is
written with its loader: a file, pattern or URL by its ending (`json`, `parquet`, `csv`, `text`,
`arrow`), a folder by a path that cannot be a name of the hub, and only a name by itself.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from mixopt.errors import InputError
from mixopt.export.shares import exact_shares, paths_of, shares_of_examples
from mixopt.space import Mixture

_LOADERS = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".md": "text",
    ".arrow": "arrow",
}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4")
_HUB = "https://huggingface.co/datasets/"
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)  # of a dataset on the hub

_STRATEGIES = ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement")

_FILE = '''"""The training mixture, for Hugging Face datasets. Written by mixopt."""

from datasets import interleave_datasets, load_dataset

# Domain to probability of the next *example* coming from it.
# {unit}
PROBABILITIES = {probabilities}
# Domain to what `load_dataset` takes: loader and files, a folder, or a name of the hub.{fill_in}
SOURCES = {sources}
SEED = {seed}
STOPPING_STRATEGY = "{stopping_strategy}"


def mixture(split="train", streaming=True, **options):
    """The domains interleaved; `options` go to `load_dataset`."""
    missing = [domain for domain in PROBABILITIES if not SOURCES.get(domain)]
    if missing:
        raise ValueError(f"SOURCES does not say where these domains are: {{', '.join(missing)}}")
    parts = []
    for domain in PROBABILITIES:
        source = dict(SOURCES[domain])
        path = source.pop("path")
        how = {{**source, "split": split, "streaming": streaming, **options}}
        parts.append(load_dataset(path, **how))
    return interleave_datasets(
        parts,
        probabilities=list(PROBABILITIES.values()),
        seed=SEED,
        stopping_strategy=STOPPING_STRATEGY,
    )
{provenance}'''

_CONVERTED = "Converted from shares of tokens with the mean tokens per example of every domain."
_AS_IS = (
    "WARNING: these are shares of tokens, used as they are. If the domains' examples differ in\n"
    "# length, export again with tokens_per_example, or pack the examples to one length first."
)

_FILL_IN = (
    '\n# No paths were given: put one in place of each empty {}, e.g. {"path": "org/name"},'
    '\n# {"path": "./folder"} or {"path": "json", "data_files": "data/*.jsonl.gz"}.'
)


def export(
    mixture: Mixture,
    *,
    paths: Mapping[str, str] | None = None,
    tokens_per_example: Mapping[str, float] | None = None,
    seed: int = 0,
    stopping_strategy: Literal[
        "first_exhausted", "all_exhausted", "all_exhausted_without_replacement"
    ] = "all_exhausted",
    provenance: Mapping[str, Any] | None = None,
) -> str:
    """A Python file whose `mixture()` gives the interleaved dataset.

    Args:
        mixture: shares of training tokens.
        paths: domain to a file, a pattern of files (`data/*.jsonl.gz`), a URL of files, a folder,
            or a name of the hub (`org/name`). What is a folder here, begins with `/`, `./`, `../`
            or `~`, or ends with `/` is a folder. Left out, the file says what to fill in.
        tokens_per_example: domain to mean tokens per example.
        seed: of the interleaving.
        stopping_strategy: of `interleave_datasets`.
        provenance: written as a comment.

    Raises:
        InputError: paths are given and one is missing or of no known form, or an option has a bad
            value.
    """
    if stopping_strategy not in _STRATEGIES:
        raise InputError(
            f"stopping_strategy is {stopping_strategy!r}; give one of: {', '.join(_STRATEGIES)}"
        )
    drawn = shares_of_examples(mixture, tokens_per_example) if tokens_per_example else mixture
    shares = exact_shares(drawn)
    sources: dict[str, dict[str, str]] = {domain: {} for domain in shares}
    if paths is not None:
        sources = {d: _source(d, path) for d, path in paths_of(shares, paths).items()}
    note = ""
    if provenance:  # as a comment: ASCII JSON has no line break but its own
        lines = json.dumps(provenance, indent=2, default=str).splitlines()
        note = "\n\n# Provenance:\n" + "".join(f"# {line}\n" for line in lines)
    return _FILE.format(
        unit=_CONVERTED if tokens_per_example else _AS_IS,
        probabilities=_literal(shares),
        fill_in="" if paths is not None else _FILL_IN,
        sources=_literal(sources),
        seed=int(seed),
        stopping_strategy=stopping_strategy,
        provenance=note,
    )


def _source(domain: str, path: str) -> dict[str, str]:
    """What `load_dataset` takes for a path: its first argument as `path`, and more by keyword.

    Raises:
        InputError: a file of a kind that no loader of `datasets` reads.
    """
    local = str(Path(path).expanduser()) if path.startswith("~") else path
    on_hub = path.removeprefix(_HUB).rstrip("/")
    if path.startswith(_HUB) and _NAME.fullmatch(on_hub):
        return {"path": on_hub}
    if "://" not in path and (path.endswith("/") or Path(local).is_dir()):
        return {"path": _folder(local)}
    loader = _loader(path)
    if loader is not None:
        more = {"sep": "\t"} if loader == "csv" and _endings(path)[-1:] == [".tsv"] else {}
        return {"path": loader, "data_files": local, **more}
    if "://" in path or "*" in path or Path(local).is_file():
        raise InputError(
            f"path of domain {domain!r}: {path!r} has none of the endings that a loader of "
            f"datasets reads ({', '.join(_LOADERS)}, also compressed: {', '.join(_COMPRESSED)}); "
            "rename it, give a pattern of files such as 'data/*.jsonl', or a folder"
        )
    if _NAME.fullmatch(path) and not path.startswith("."):
        return {"path": path}
    return {"path": _folder(local)}


def _folder(path: str) -> str:
    """A folder written so that it cannot be taken for a name of the hub."""
    return path if path.startswith(("/", "./", "../")) else f"./{path}"


def _endings(path: str) -> list[str]:
    """The endings of a file's name, lower case, without that of a compression."""
    endings = [e.lower() for e in PurePosixPath(path.partition("?")[0]).suffixes]
    return endings[:-1] if endings and endings[-1] in _COMPRESSED else endings


def _loader(path: str) -> str | None:
    """The loader of `datasets` for a file, by its ending."""
    return next((_LOADERS[e] for e in _endings(path)[-1:] if e in _LOADERS), None)


def _literal(values: Mapping[str, Any]) -> str:
    """JSON that is Python as well: both read a string alike where only controls are escaped."""
    return json.dumps(values, indent=4, ensure_ascii=False)
