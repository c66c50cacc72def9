"""Paths as what `datasets.load_dataset` takes, for formats that hand them to it.

`load_dataset("data/a.jsonl")` would ask the hub for a dataset of that name. So every source is
written with its loader: a file, pattern or URL by its ending (`json`, `parquet`, `csv`, `text`,
`arrow`), a folder by a path that cannot be a name of the hub, and only a name by itself.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mixopt.errors import InputError

LOADERS = {
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


def sources_of(domain: str, paths: Sequence[str]) -> dict[str, Any]:
    """What `load_dataset` takes for the paths of a domain: one source, or files of one kind.

    Raises:
        InputError: a file of a kind that no loader reads, or paths that no one call loads.
    """
    made = [source_of(domain, path) for path in paths]
    if len(made) == 1:
        return made[0]
    kinds = {(s["path"], s.get("sep")) for s in made if "data_files" in s}
    if len(kinds) != 1 or not all("data_files" in s for s in made):
        raise InputError(
            f"paths of domain {domain!r}: {', '.join(paths)} are not files of one kind, which one "
            "loader would read; give files of one kind, or a folder"
        )
    return {**made[0], "data_files": [s["data_files"] for s in made]}


def source_of(domain: str, path: str) -> dict[str, Any]:
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
            f"datasets reads ({', '.join(LOADERS)}, also compressed: {', '.join(_COMPRESSED)}); "
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
    return next((LOADERS[e] for e in _endings(path)[-1:] if e in LOADERS), None)
