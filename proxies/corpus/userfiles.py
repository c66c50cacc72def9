"""The users' own text: which files a domain's paths name, on disk or behind fsspec URLs."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from mixopt import lazy
from mixopt.errors import InputError

Kind = Literal["txt", "jsonl", "parquet", "arrow"]

KINDS: dict[str, Kind] = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
PACKED = (".gz", ".zst")
"""Suffixes that .txt and .jsonl may carry; what a file really holds is read off its first bytes."""
_NAMES = ".txt, .jsonl (also .gz or .zst), .parquet or a folder saved by Hugging Face datasets"


@dataclass(frozen=True)
class TextFile:
    """One file of text.

    Attributes:
        label: its name relative to the path that the user gave; for messages.
        path: where it is: a local path, or a URL that fsspec opens.
        kind: what it holds.
        size: in bytes, as stored.
        stamp: changes when the file does: its time of change, or what its file system has.
    """

    label: str
    path: str
    kind: Kind
    size: int
    stamp: str

    def open(self) -> IO[bytes]:
        """The file, opened for reading bytes."""
        if not is_url(self.path):
            return Path(self.path).open("rb")
        system, inside = _file_system(self.path)
        return cast(IO[bytes], system.open(inside, "rb"))


def is_url(path: str) -> bool:
    """Whether fsspec is to open it."""
    return "://" in path


def find_files(name: str, paths: Sequence[str]) -> list[TextFile]:
    """The text files that a domain's paths name.

    Args:
        name: the domain, for messages.
        paths: files, or folders that are searched to the bottom; local, or fsspec URLs.

    Returns:
        Every file, in the order given, folders sorted. Of a saved `DatasetDict` the split `train`.

    Raises:
        InputError: a path does not exist, has another suffix, or a folder holds no such file.
    """
    found: list[TextFile] = []
    for given in paths:
        inside = list(_remote(name, given) if is_url(given) else _local(name, given))
        if not inside:
            raise InputError(
                f"domain {name!r}: the folder {given!r} holds no {_NAMES}; "
                "put text there or correct the path"
            )
        found += inside
    return found


def kind_of(path: str) -> Kind | None:
    """What a file holds by its name, or None if it is no text file."""
    root, suffix = os.path.splitext(path.lower())
    if suffix not in PACKED:
        return KINDS.get(suffix)
    inner = os.path.splitext(root)[1]
    if inner == ".json":  # the usual name of packed .jsonl files
        return "jsonl"
    kind = KINDS.get(inner)
    return kind if kind in ("txt", "jsonl") else None


def _local(name: str, given: str) -> Iterator[TextFile]:
    path = Path(given).expanduser()
    if not path.exists():
        raise InputError(
            f"domain {name!r}: {given!r} does not exist; name a file or folder of "
            f"{_NAMES} that this process can read"
        )
    if path.is_file():
        yield _local_file(path.name, path, _known(name, given))
        return
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        label = file.relative_to(path).as_posix()
        kind = kind_of(label)
        if kind is not None and _wanted(name, given, path.joinpath, label):
            yield _local_file(label, file, kind)


def _local_file(label: str, path: Path, kind: Kind) -> TextFile:
    stat = path.stat()
    return TextFile(label, str(path.resolve()), kind, stat.st_size, str(stat.st_mtime_ns))


def _remote(name: str, given: str) -> Iterator[TextFile]:
    system, root = _file_system(given)
    try:
        found: dict[str, dict[str, Any]] = system.find(root, detail=True)
    except (OSError, ValueError) as error:
        raise InputError(f"domain {name!r}: {given!r} cannot be listed ({error})") from error
    if not found:
        raise InputError(
            f"domain {name!r}: {given!r} does not exist or is empty; name a file or folder of "
            f"{_NAMES}, and check the access rights of this process"
        )
    for path, info in sorted(found.items()):
        single = path.rstrip("/") == root.rstrip("/")
        label = path.rpartition("/")[2] if single else path[len(root.rstrip("/")) + 1 :]
        kind = _known(name, given) if single else kind_of(label)
        if kind is not None:
            url = str(system.unstrip_protocol(path))
            yield TextFile(label, url, kind, int(info["size"]), str(system.ukey(path)))


def _known(name: str, given: str) -> Kind:
    kind = kind_of(given)
    if kind is None:
        raise InputError(
            f"domain {name!r}: {given!r} ends in {os.path.splitext(given)[1]!r}; give {_NAMES}, "
            "or convert or rename the file"
        )
    return kind


def _wanted(name: str, given: str, join: Any, label: str) -> bool:
    """Whether a file belongs to the text: of a saved `DatasetDict`, only those of `train`."""
    if not join("dataset_dict.json").exists():
        return True
    if not join("train").is_dir():
        raise InputError(
            f"domain {name!r}: {given!r} is a saved DatasetDict without a split 'train'; name the "
            "folder of the split that is meant"
        )
    return label.startswith("train/")


def _file_system(url: str) -> tuple[Any, str]:
    try:
        return cast("tuple[Any, str]", lazy.require("fsspec.core").url_to_fs(url))
    except (ValueError, ImportError) as error:
        raise InputError(
            f"{url!r} cannot be opened: {error}; install the package that fsspec names for this "
            "kind of URL, or copy the files to a disk"
        ) from error
