"""Documents out of files, one after another: what is broken is counted, not fatal.

A file is never held in memory as a whole, apart from a .txt file that is one document. What a file
holds (gzip, Zstandard or plain) is decided by its first bytes, not by its name.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixopt.errors import InputError
from proxies.corpus.userfiles import TextFile

MAX_LINE = 64 * 2**20
"""A longer line of a .jsonl file (bytes) counts as broken: it is no document for a proxy."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_ARROW_FILE = b"ARROW1"

Span = tuple[int, int]
"""Part of a file: bytes [start, end) of a plain .txt or .jsonl file, row groups of a parquet file.
A line belongs to the part in which it begins."""


@dataclass
class Counts:
    """What reading met.

    Attributes:
        documents: texts that were read.
        empty: those of them without any text.
        broken: lines or rows that hold no text: no JSON, no such field, not a string, too long.
        first_broken: the first of these, in words.
    """

    documents: int = 0
    empty: int = 0
    broken: int = 0
    first_broken: str = ""

    def fail(self, message: str) -> None:
        """Count a broken line."""
        self.broken += 1
        self.first_broken = self.first_broken or message

    def add(self, other: "Counts") -> None:
        """Count what another part met as well."""
        self.documents += other.documents
        self.empty += other.empty
        self.broken += other.broken
        self.first_broken = self.first_broken or other.first_broken

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def faults(self) -> dict[str, int]:
        """What went wrong, for a manifest; empty if nothing did."""
        return {k: n for k, n in (("empty", self.empty), ("broken", self.broken)) if n}

    def check(self, name: str, text_field: str) -> str:
        """What the user should know of it; empty if all is well.

        Raises:
            InputError: lines were read and none of them holds text.
        """
        if self.broken and self.documents == self.empty:
            raise InputError(
                f"domain {name!r}: {self.first_broken}, and no line holds text; a .jsonl file "
                f"holds one object per line with its text under `text_field` ({text_field!r} now)"
            )
        parts = []
        if self.broken:
            total = self.broken + self.documents
            parts.append(
                f"{self.broken} of {total} lines are broken and were left out "
                f"(first: {self.first_broken})"
            )
        if self.empty:
            parts.append(f"{self.empty} of {self.documents} documents are empty")
        return f"domain {name!r}: {'; '.join(parts)}" if parts else ""


def read_texts(
    name: str, file: TextFile, text_field: str, counts: Counts, span: Span | None = None
) -> Iterator[str]:
    """The documents of a file, or of a part of it.

    Args:
        name: the domain, for messages.
        file: what to read.
        text_field: key of the text in a .jsonl line, column of a .parquet or .arrow file.
        counts: is added to.
        span: which part.

    Raises:
        InputError: the file as a whole cannot be read: damaged, cut off, or without that column.
    """
    rows = {"txt": _txt, "jsonl": _jsonl, "parquet": _parquet, "arrow": _arrow}[file.kind]
    try:
        for text in rows(name, file, text_field, counts, span):
            counts.documents += 1
            counts.empty += not text.strip()
            yield text
    except InputError:
        raise
    except (pa.ArrowException, OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"domain {name!r}: {file.path} is damaged or cut off ({error}); fetch it again, or "
            "take it out of the domain"
        ) from error


def read_lines(file: TextFile, span: Span | None = None) -> Iterator[tuple[int, bytes]]:
    """The lines of a plain or packed file as (number of its first byte, line), newline included.

    Of a line longer than `MAX_LINE` only the beginning is returned, without a newline.
    """
    start, end = span or (0, 2**63)
    with file.open() as raw:
        stream = _unpacked(raw)
        if start:
            # step back one byte: a line that starts exactly at `start` is this part's
            stream.seek(start - 1)
            start += len(stream.readline()) - 1
        while start < end:
            line = stream.readline(MAX_LINE)
            if not line:
                return
            yield start, line
            start += len(line)
            while len(line) == MAX_LINE and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
                start += len(line)


def is_packed(file: TextFile) -> bool:
    """Whether a file is compressed as a whole, by its first bytes."""
    with file.open() as raw:
        return _codec(raw.read(4)) is not None


def _codec(head: bytes) -> str | None:
    return next((codec for magic, codec in _MAGIC.items() if head.startswith(magic)), None)


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    codec = _codec(raw.read(4))
    raw.seek(0)
    if codec is None:
        return raw
    return io.BufferedReader(_Unpacked(pa.CompressedInputStream(raw, codec)), 2**20)


class _Unpacked(io.RawIOBase):
    """What an Arrow stream decompresses, as Python reads files."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _txt(
    name: str, file: TextFile, text_field: str, counts: Counts, span: Span | None
) -> Iterator[str]:
    del name, text_field, counts
    if span is None:
        with file.open() as raw:
            yield _unpacked(raw).read().decode("utf-8", errors="replace")
        return
    piece: list[bytes] = []
    size = 0
    for _, line in read_lines(file, span):
        piece.append(line)
        size += len(line)
        if size >= PIECE:
            yield b"".join(piece).decode("utf-8", errors="replace")
            piece, size = [], 0
    if piece:
        yield b"".join(piece).decode("utf-8", errors="replace")


PIECE = 2**20
"""A .txt file that is read in parts becomes documents of about this many bytes."""


def _jsonl(
    name: str, file: TextFile, text_field: str, counts: Counts, span: Span | None
) -> Iterator[str]:
    del name
    whole = span is None or span[0] == 0
    for number, (at, line) in enumerate(read_lines(file, span), start=1):
        if line.isspace():
            continue
        # labels, not paths: this is kept with the data, which is the same wherever it lies
        where = f"line {number}" if whole else f"the line at byte {at}"
        where = f"{where} of {file.label}"
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            counts.fail(f"{where} is longer than {MAX_LINE} bytes")
            continue
        try:
            row = json.loads(line.decode("utf-8", errors="replace"))
        except (json.JSONDecodeError, RecursionError) as error:
            counts.fail(f"{where} is not JSON ({getattr(error, 'msg', 'nested too deeply')})")
            continue
        if isinstance(row, dict) and isinstance(row.get(text_field), str):
            yield row[text_field]
        else:
            counts.fail(f"{where} has no text under {text_field!r}")


def _parquet(
    name: str, file: TextFile, text_field: str, counts: Counts, span: Span | None
) -> Iterator[str]:
    with file.open() as raw:
        table = pq.ParquetFile(raw)
        _require_column(name, file, text_field, table.schema_arrow.names)
        groups = range(table.num_row_groups)[slice(*span)] if span else None
        batches = table.iter_batches(1024, row_groups=groups, columns=[text_field])
        for batch in batches:
            yield from _column(batch.column(0), file, text_field, counts)


def _arrow(
    name: str, file: TextFile, text_field: str, counts: Counts, span: Span | None
) -> Iterator[str]:
    del span
    with file.open() as raw:
        head = raw.read(len(_ARROW_FILE))
        raw.seek(0)
        if head == _ARROW_FILE:
            table = pa.ipc.open_file(raw)
            batches = (table.get_batch(i) for i in range(table.num_record_batches))
        else:
            table = pa.ipc.open_stream(raw)
            batches = iter(table)
        _require_column(name, file, text_field, table.schema.names)
        for batch in batches:
            yield from _column(batch.column(text_field), file, text_field, counts)


def _require_column(name: str, file: TextFile, text_field: str, names: list[str]) -> None:
    if text_field not in names:
        raise InputError(
            f"domain {name!r}: {file.path} has no column {text_field!r} but "
            f"{', '.join(names)}; set `text_field` to the one with the text"
        )


def _column(column: Any, file: TextFile, text_field: str, counts: Counts) -> Iterator[str]:
    for text in column.to_pylist():
        if isinstance(text, str):
            yield text
        else:
            counts.fail(f"a row of {file.label} has no text under {text_field!r}")


def spans_of(file: TextFile, size: int) -> list[Span | None]:
    """A file cut into parts of about `size` bytes that can be read side by side.

    Packed files and .arrow files are one part. The cut depends on the file alone.
    """
    if file.kind == "parquet":
        with file.open() as raw:
            groups = pq.ParquetFile(raw).num_row_groups
        step = max(1, groups * size // max(1, file.size))
        return [(start, start + step) for start in range(0, groups, step)]
    if file.kind == "arrow":
        return [None]
    if is_packed(file):
        return [(0, 2**63)] if file.kind == "txt" else [None]
    if file.kind == "txt" and file.size <= PIECE:
        return [None]
    return [(start, start + size) for start in range(0, max(1, file.size), size)]
