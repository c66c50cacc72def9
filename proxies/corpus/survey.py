"""A first look at a folder of text: which domains it holds, in which field the text is, how much.

Nothing is prepared: a few megabytes of each domain are read, the rest is estimated from them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mixopt.errors import InputError, nearest
from proxies.corpus.counts import Counts, printable, sentence
from proxies.corpus.forms import DOCUMENTS, choose, kind_of, split_name
from proxies.corpus.reading import read_rows, read_texts, spans_of
from proxies.corpus.sources import Source
from proxies.corpus.userfiles import TextFile, find_files

_SPAN = 2_000_000  # bytes of a file that are read
_FILES = 6  # files of a domain that are looked into
_ROWS = 50  # records in which the field of the text is looked for
_TEXTS = 20_000  # documents that are read of a domain
BYTES_PER_TOKEN = 4.0
"""Of the vocabularies of large models on English text; only sizes are told in it."""

_FIELDS = ("text", "content", "body", "document", "raw_content", "code", "article", "completion")
_ABOUT = frozenset({"readme", "license", "licence", "changelog"})
"""Files that lie beside domains and say something of them."""
_HELD_OUT = ("validation", "valid", "val", "dev", "eval", "test", "heldout", "held_out")
RECORDS = ("jsonl", "json", "parquet", "arrow")
"""Kinds of files whose records can be read with all of their fields."""


@dataclass(frozen=True)
class Seen:
    """One domain, or one set to validate on, as it was seen.

    Attributes:
        paths: files or folders.
        files: how many are read.
        size: bytes of text, estimated from what was read; `whole` where all of it was.
        text_field: field or column of the text where it is not `text`; empty where it is, and where
            files are documents.
        notes: what is not read or looks odd, in words.
    """

    paths: tuple[str, ...]
    files: int
    size: float
    whole: bool
    text_field: str = ""
    notes: tuple[str, ...] = ()

    @property
    def tokens(self) -> float:
        """About so many tokens of a large model's vocabulary."""
        return self.size / BYTES_PER_TOKEN

    @property
    def source(self) -> Any:
        """As a spec names it."""
        path: Any = self.paths[0] if len(self.paths) == 1 else list(self.paths)
        return {"path": path, "text_field": self.text_field} if self.text_field else path


@dataclass(frozen=True)
class Survey:
    """What a folder holds: domains, and sets whose names say that they are to validate on."""

    domains: Mapping[str, Seen]
    validation: Mapping[str, Seen]
    skipped: tuple[str, ...] = ()


def _not_there(root: Path) -> str:
    """What is wrong with a folder that does not exist, and the one that may be meant."""
    above = root.parent
    beside = [p.name for p in above.iterdir() if p.is_dir()] if above.is_dir() else []
    close = nearest(root.name, beside, cutoff=0.6)
    return "not there; " + (f"did you mean {above / close}?" if close else "name a folder")


def survey(folder: str | Path) -> Survey:
    """Look at a folder: its folders are domains; where it has none, its files or kinds of files.

    A file of records (`web.jsonl`) is a domain by its name; documents (`a.py`, `b.md`) that lie in
    the folder itself are domains by their kind. Names such as `valid` or `test` are taken for sets
    to validate on.

    Raises:
        InputError: there is no such folder, or no text in it.
    """
    root = Path(folder)
    if not root.is_dir():
        what = "a file; name the folder that holds one folder or file per domain"
        raise InputError(f"{folder} is {what if root.exists() else _not_there(root)}")
    domains: dict[str, Seen] = {}
    validation: dict[str, Seen] = {}
    parts, unread = _parts(root)
    skipped = (
        [f"not read: {', '.join(unread)} (by their names no text, or about the data)"]
        if unread
        else []
    )
    for name, paths in parts.items():
        try:
            seen = _look(name, paths)
        except InputError as error:
            skipped.append(f"{name} is left out: {error}")
            continue
        (validation if name.lower() in _HELD_OUT else domains)[name] = seen
    if not domains:
        more = f" ({skipped[0]})" if skipped else ""
        raise InputError(
            f"{folder} holds no text that can be read{more}; put one folder or file per domain "
            "there"
        )
    return Survey(domains, validation, tuple(skipped))


def _parts(root: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """What may be domains, name to paths; and the files beside them that are not read."""
    visible = [p for p in sorted(root.iterdir()) if not p.name.startswith((".", "_"))]
    parts: dict[str, list[Path]] = {p.name: [p] for p in visible if p.is_dir()}
    files = [p for p in visible if p.is_file()]
    chosen = choose([p.name for p in files])
    unread = []
    for path in files:
        about = bool(parts) and path.stem.lower() in _ABOUT
        if about or " " in str(chosen[path.name]) or kind_of(path.name) is None:
            unread.append(path.name)
            continue
        suffix, _ = split_name(path.name)
        name = suffix.removeprefix(".") if suffix in DOCUMENTS else path.name.split(".")[0]
        parts.setdefault(name, []).append(path)
    return parts, unread


def _look(name: str, paths: Sequence[Path]) -> Seen:
    sources = [Source(str(path)) for path in paths]
    listing = find_files(name, sources)
    field = text_field_of(name, listing.files)
    files = find_files(name, [Source(s.path, field or "text") for s in sources]).files
    read, text, counts = 0, 0, Counts()
    for file in _some(files):
        consumed, size = _read(name, file, counts)
        read, text = read + consumed, text + size
    stored = sum(file.size for file in files)
    if not text:
        raise InputError(f"{name} holds no text that can be read; {sentence(counts.broken)}")
    notes = [f"not read: {sentence(listing.skipped)}"] if listing.skipped else []
    notes += [f"left out: {sentence(counts.broken)}"] if counts.broken else []
    whole = read >= stored
    return Seen(
        tuple(map(str, paths)),
        len(files),
        text * (1.0 if whole else stored / read),
        whole,
        "" if field == "text" else field,
        tuple(notes),
    )


def _some(files: Sequence[TextFile]) -> list[TextFile]:
    """A few files, spread over all; all of them where they are small."""
    if sum(file.size for file in files) <= _FILES * _SPAN:
        return list(files)
    step = max(1, len(files) // _FILES)
    return list(files[::step])[:_FILES]


def _read(name: str, file: TextFile, counts: Counts) -> tuple[int, int]:
    """Bytes of a file that were read, and bytes of text that they held."""
    spans = spans_of(name, file, _SPAN)
    span = spans[0] if spans else None
    texts = list(islice(read_texts(name, file, counts, span), _TEXTS))
    part = file.size // len(spans) if file.kind == "parquet" and spans else _SPAN
    consumed = file.size if len(spans) <= 1 else min(max(part, 1), file.size)
    return consumed, sum(len(text.encode(errors="replace")) for text in texts)


def text_field_of(name: str, files: Sequence[TextFile]) -> str:
    """The field of the text in files of records: by its name, else the longest one.

    Empty where no file holds records.
    """
    file = next((f for f in files if f.kind in RECORDS), None)
    if file is None:
        return "text" if any(f.kind == "csv" for f in files) else ""
    lengths: dict[str, list[int]] = {}
    rows = [row for row in first_rows(name, file, _ROWS) if isinstance(row, Mapping)]
    for row in rows:
        for field, value in _texts(row):
            lengths.setdefault(field, []).append(len(value))
    usual = [field for field in lengths if len(lengths[field]) * 2 > len(rows)]
    named = [field for field in _FIELDS if field in usual]
    if named:
        return named[0]
    if not usual:
        known = ", ".join(printable(str(k)) for k in (rows[0] if rows else {}))
        raise InputError(f"{name}: no field of {printable(file.label)} holds text (it has {known})")
    return max(usual, key=lambda field: sum(lengths[field]) / len(lengths[field]))


def first_rows(name: str, file: TextFile, most: int) -> list[Any]:
    """The first records of a file, up to one that is broken.

    Raises:
        InputError: the first one is.
    """
    rows: list[Any] = []
    try:
        rows.extend(row for _, row in islice(read_rows(name, file), most))
    except InputError:
        if not rows:
            raise
    return rows


def _texts(row: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every field of a record that holds text, also inside of others."""
    for key, value in row.items():
        if isinstance(value, str):
            yield before + str(key), value
        elif isinstance(value, Mapping):
            yield from _texts(value, f"{before}{key}.")
