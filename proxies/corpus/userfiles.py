"""The users' own text: which files a domain's sources name, on disk or behind fsspec URLs.

Of a folder, all files are listed to the bottom, links to files and folders included, each real file
and folder once. What is read of them is chosen by name alone (`proxies.corpus.forms`); the rest is
counted with its reason.
"""

import io
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

from mixopt import lazy
from mixopt.errors import InputError, SourceError
from proxies.corpus.counts import Reasons, note, printable, sentence
from proxies.corpus.forms import KINDS, NAMES, Kind, choose, kind_of, split_name
from proxies.corpus.sources import AUTO, Source

_BUFFER = 2**16


@dataclass(frozen=True)
class TextFile:
    """One file of text, and how it is to be read.

    Attributes:
        label: its name relative to the path that the user gave; for messages.
        path: where it is: a local path, or a URL that fsspec opens.
        kind: what it holds.
        size: in bytes, as stored.
        stamp: changes when the file does: its time of change, or what its file system has.
        text_field: see `Source`.
        encoding: see `Source`.
    """

    label: str
    path: str
    kind: Kind
    size: int
    stamp: str
    text_field: str = "text"
    encoding: str = AUTO

    def open(self) -> IO[bytes]:
        """The file, opened for reading bytes."""
        if not is_url(self.path):
            return Path(self.path).open("rb", buffering=_BUFFER)
        system, inside = _file_system(self.path)
        return cast(IO[bytes], io.BufferedReader(system.open(inside, "rb"), _BUFFER))

    @property
    def layers(self) -> int:
        """How many times it is compressed by what its name says."""
        return len(split_name(self.label)[1])


@dataclass
class Listing:
    """The files of a domain.

    Attributes:
        files: that are read, in the order given, folders sorted.
        skipped: those that are not, by reason.
    """

    files: list[TextFile] = field(default_factory=list)
    skipped: Reasons = field(default_factory=dict)


@dataclass(frozen=True)
class _Entry:
    """A file before it is chosen: its label, where it is, its size and its stamp."""

    label: str
    path: str
    size: int
    stamp: str


def is_url(path: str) -> bool:
    """Whether fsspec is to open it."""
    return "://" in path


def find_files(name: str, sources: Sequence[Source]) -> Listing:
    """The text files that a domain's sources name; built-in ones are passed over.

    Args:
        name: the domain, for messages.
        sources: files, or folders that are searched to the bottom; local, or fsspec URLs.

    Returns:
        Every file. Of a saved `DatasetDict` the split `train`.

    Raises:
        InputError: a path does not exist, has another suffix, or a folder holds no such file.
    """
    listing = Listing()
    for source in sources:
        if not source.builtin:
            _add(name, source, listing)
    return listing


def _add(name: str, source: Source, listing: Listing) -> None:
    own: Reasons = {}
    single, entries = _entries(name, source.path, own)
    if single:
        chosen: dict[str, Any] = {e.label: _known(name, source, e.label) for e in entries}
    else:
        labels = {entry.label for entry in entries}
        _check_splits(name, source.path, labels)
        chosen = choose(labels, source.suffixes)
        if "dataset_dict.json" in labels:
            chosen = {
                label: kind if label.startswith("train/") else "of another split than train"
                for label, kind in chosen.items()
            }
    before = len(listing.files)
    for entry in entries:
        kind = chosen[entry.label]
        if kind in KINDS.values():
            how = (source.text_field, source.encoding)
            listing.files.append(
                TextFile(entry.label, entry.path, kind, entry.size, entry.stamp, *how)
            )
        else:
            note(own, kind, printable(entry.label))
    if len(listing.files) == before:
        beside = f" (not read: {sentence(own, 6)})" if own else ""
        raise SourceError(
            f"domain {name!r}: the folder {printable(source.path)!r} holds no {NAMES}{beside}; put "
            "text there, correct the path, or say which files are meant, as in "
            "{path: ..., suffixes: [.log]}",
            "suffixes",
        )
    for reason, met in own.items():
        note(listing.skipped, reason, met.first, met.number)


def _entries(name: str, given: str, skipped: Reasons) -> tuple[bool, list[_Entry]]:
    """Whether a path is of one file, and all files there, sorted by label."""
    scheme = given.partition("://")[0] if is_url(given) else ""
    if scheme in ("", "file", "local"):
        return _local(name, Path(_without_scheme(given)).expanduser(), given, skipped)
    return _remote(name, given)


def _without_scheme(given: str) -> str:
    if not is_url(given):
        return given
    parts = urlsplit(given)
    return unquote(parts.path) if not parts.netloc else unquote(f"{parts.netloc}{parts.path}")


def _local(name: str, path: Path, given: str, skipped: Reasons) -> tuple[bool, list[_Entry]]:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"({error})"
        raise InputError(
            f"domain {name!r}: {printable(given)!r} {printable(why)}; name a file or folder of "
            f"{NAMES} that this process can read"
        ) from error
    if stat.S_ISREG(mode):
        return True, [_local_entry(path.name, path)]
    if not stat.S_ISDIR(mode):
        raise InputError(
            f"domain {name!r}: {printable(given)!r} is neither a file nor a folder but a pipe, "
            "socket or device; write its text to a file and name that"
        )
    walk = _Walk(path, skipped)
    try:
        entries = sorted(walk.files(path, ""), key=lambda entry: Path(entry.label))
    except OSError as error:
        raise InputError(
            f"domain {name!r}: {printable(given)!r} cannot be searched ({printable(str(error))}); "
            "check the access rights of this process, or name the files"
        ) from error
    return False, entries


class _Walk:
    """A walk through a folder that follows links and comes to no file or folder twice."""

    def __init__(self, root: Path, skipped: Reasons) -> None:
        self._skipped = skipped
        self._folders = {_identity(root.stat())}
        self._files: set[tuple[int, int]] = set()
        self._links: list[tuple[str, Path]] = []

    def files(self, folder: Path, prefix: str) -> Iterator[_Entry]:
        """Files proper, folder by folder; then what links lead to."""
        yield from self._plain(folder, prefix)
        while self._links:
            label, path = self._links.pop(0)
            try:
                status = path.stat()
            except OSError:
                note(self._skipped, "link that leads nowhere", printable(label))
                continue
            if stat.S_ISDIR(status.st_mode):
                if _identity(status) in self._folders:
                    note(self._skipped, "link to a folder met before", printable(label))
                    continue
                self._folders.add(_identity(status))
                yield from self._plain(path, label + "/")
            else:
                yield from self._file(label, path, status)

    def _plain(self, folder: Path, prefix: str) -> Iterator[_Entry]:
        folders = [(folder, prefix)]
        while folders:
            at, before = folders.pop()
            for entry in sorted(os.scandir(at), key=lambda e: e.name):
                label = before + entry.name
                if entry.is_symlink():
                    self._links.append((label, Path(entry.path)))
                elif entry.is_dir():
                    self._folders.add(_identity(entry.stat()))
                    folders.append((Path(entry.path), label + "/"))
                else:
                    yield from self._file(label, Path(entry.path), entry.stat())

    def _file(self, label: str, path: Path, status: os.stat_result) -> Iterator[_Entry]:
        if not stat.S_ISREG(status.st_mode):
            note(self._skipped, "pipe, socket or device", printable(label))
        elif _identity(status) in self._files:
            note(self._skipped, "second name of a file", printable(label))
        else:
            # a file whose own name is not read must not hide a link to it that is (the cache of
            # the Hugging Face hub holds links to files without suffix)
            if kind_of(label):
                self._files.add(_identity(status))
            yield _local_entry(label, path)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _local_entry(label: str, path: Path) -> _Entry:
    status = path.stat()
    return _Entry(label, str(path.resolve()), status.st_size, str(status.st_mtime_ns))


def _remote(name: str, given: str) -> tuple[bool, list[_Entry]]:
    system, root = _file_system(given)
    try:
        listed: dict[str, dict[str, Any]] = system.find(root, detail=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"domain {name!r}: {printable(given)!r} cannot be listed ({printable(str(error))}); "
            "check the address and the access rights of this process"
        ) from error
    if not listed:
        raise InputError(
            f"domain {name!r}: {printable(given)!r} does not exist or is empty; name a file or "
            f"folder of {NAMES}, and check the access rights of this process"
        )
    root = root.rstrip("/")
    single = [path.rstrip("/") for path in listed] == [root]
    entries = []
    for path, info in sorted(listed.items()):
        label = path.rpartition("/")[2] if single else path[len(root) + 1 :]
        url = str(system.unstrip_protocol(path))
        entries.append(_Entry(label, url, int(info["size"] or 0), str(system.ukey(path))))
    return single, entries


def _known(name: str, source: Source, label: str) -> Kind:
    kind = kind_of(label)
    if kind is None and source.suffixes:
        return "txt"
    if kind is None:
        suffix, packed = split_name(label)
        raise SourceError(
            f"domain {name!r}: {printable(source.path)!r} ends in "
            f"{suffix + ''.join(reversed(packed))!r}; give {NAMES}, convert or rename the file, or "
            "have it read as one document with {path: ..., suffixes: ['" + suffix + "']}",
            "suffixes",
        )
    return kind


def _check_splits(name: str, given: str, labels: set[str]) -> None:
    """A saved `DatasetDict` must have the split that is read."""
    if "dataset_dict.json" in labels and not any(x.startswith("train/") for x in labels):
        raise InputError(
            f"domain {name!r}: {printable(given)!r} is a saved DatasetDict without a split "
            "'train'; name the folder of the split that is meant"
        )


def _file_system(url: str) -> tuple[Any, str]:
    try:
        return cast("tuple[Any, str]", lazy.require("fsspec.core").url_to_fs(url))
    except (ValueError, ImportError) as error:
        raise InputError(
            f"{printable(url)!r} cannot be opened: {printable(str(error))}; install the package "
            "that fsspec names for this kind of URL, or copy the files to a disk"
        ) from error
