"""Documents out of files, one after another: what is left out is counted with its reason.

A file is never held in memory as a whole, apart from a document of its own. How a file is packed
and encoded is read off its first bytes, not its name.
"""

import errno
import json
import lzma
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from mixopt.errors import InputError, SourceError
from proxies.corpus.counts import (
    NOT_UTF8,
    NULS,
    UNDECODABLE,
    WITHOUT_MARK,
    Counts,
    note,
    printable,
    sentence,
)
from proxies.corpus.decoding import MARK
from proxies.corpus.record_fields import Broken, in_words, inside, value_at
from proxies.corpus.records import (
    MAX_LINE,
    PIECE,
    WHOLE,
    Opened,
    Span,
    Unreadable,
    Values,
    layout_of,
    opened,
    read_lines,
    read_pieces,
    why_no_json,
)
from proxies.corpus.sources import AUTO
from proxies.corpus.tables import arrow_batches, cells, csv_cells, parquet_batches, row_groups
from proxies.corpus.userfiles import TextFile

_DAMAGE = (pa.ArrowException, OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeError)
_NOT_OURS = (errno.ENOSPC, errno.EDQUOT)

Row = tuple[int, Any]
"""The number of a line, value or row within its file, counted from 1 (in a later part of a file:
the number of the line's first byte), and what it holds, or `Broken`."""


def read_texts(
    name: str, file: TextFile, counts: Counts, span: Span | None = None
) -> Iterator[str]:
    """The documents of a file, or of a part of it; see `read_records`."""
    for text, _ in read_records(name, file, counts, (), span):
        yield text


def read_records(
    name: str, file: TextFile, counts: Counts, fields: Sequence[str], span: Span | None = None
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The documents of a file, or of a part of it, each with other fields of its record.

    Args:
        name: the domain, for messages.
        file: what to read.
        counts: is added to.
        fields: that are wanted beside the text, named as `text_field` is; None where a record does
            not have one, and in files that are documents.
        span: which part.

    Raises:
        InputError: the file as a whole cannot be read: damaged, cut off, or without that column.
    """
    try:
        for text, values in _texts(name, file, counts, fields, span):
            counts.documents += 1
            counts.empty += not text.strip()
            yield text if text.isascii() else _whole_characters(text, file, counts), values
    except Unreadable as error:
        note(counts.unread, str(error), printable(file.label))
    except _DAMAGE as error:
        raise _damaged(name, file, error) from error


def read_rows(name: str, file: TextFile) -> Iterator[tuple[str, Any]]:
    """The records of a file of JSON, parquet or Arrow, with the place of each in words.

    For readers to whom a broken record is an error.

    Raises:
        InputError: the file cannot be read, is of another kind, or a record is broken.
    """
    counts = Counts()
    try:
        for number, row in _rows(name, file, counts, None, every=True):
            where = f"{_place(file, number, None)} ({printable(file.path)})"
            if isinstance(row, Broken):
                raise InputError(f"domain {name!r}: {where} holds {_words(row)}; correct it")
            yield where, row
        if counts.broken:
            raise SourceError(
                f"domain {name!r}: {printable(file.path)} cannot be read. "
                f"{sentence(counts.broken)}; name its encoding, as in "
                "{path: ..., encoding: utf-16-le}, or convert it",
                "encoding",
            )
    except Unreadable as error:
        raise InputError(
            f"domain {name!r}: {printable(file.path)} is left out: {error}; take it out of the set"
        ) from error
    except _DAMAGE as error:
        raise _damaged(name, file, error) from error


def spans_of(name: str, file: TextFile, size: int) -> list[Span | None]:
    """A file cut into parts of about `size` bytes that can be read side by side.

    Packed files, those in other encodings than UTF-8, and all but .txt, lines of JSON and parquet
    are one part. The cut depends on the file alone.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return _spans(file, size)
    except Unreadable:
        return [None]  # whoever reads it counts it
    except _DAMAGE as error:
        raise _damaged(name, file, error) from error


def _spans(file: TextFile, size: int) -> list[Span | None]:
    if file.kind == "parquet":
        groups = row_groups(file)
        if groups is None:
            return [None]
        step = max(1, groups * size // max(1, file.size))
        return [(start, start + step) for start in range(0, groups, step)] or [None]
    if file.kind in ("arrow", "csv") or (file.kind == "txt" and file.size <= PIECE):
        return [None]
    with opened(file) as text:
        if not text.plain:
            return [WHOLE] if file.kind == "txt" else [None]
        if file.kind != "txt" and layout_of(text.stream, file.kind) == "values":
            return [None]
    return [(start, start + size) for start in range(0, max(1, file.size), size)]


def _damaged(name: str, file: TextFile, error: BaseException) -> InputError:
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and number in _NOT_OURS:
        raise error
    what = "cannot be read" if number is not None else "is damaged or cut off"
    remedy = "check the access rights of this process and the disk" if number else "fetch it again"
    return InputError(
        f"domain {name!r}: {printable(file.path)} {what} ({printable(str(error))}); {remedy}, or "
        "take it out of the domain"
    )


def _whole_characters(text: str, file: TextFile, counts: Counts) -> str:
    """JSON may hold halves of characters (lone surrogates); they become question marks."""
    try:
        text.encode()
    except UnicodeEncodeError:
        note(counts.changed, "halves of characters, read as '?'", printable(file.label))
        return text.encode("utf-8", errors="replace").decode()
    return text


def _first(span: Span | None) -> bool:
    return span is None or span[0] == 0


def _text_of(text: Opened, file: TextFile, counts: Counts, span: Span | None) -> bool:
    """Count what is special about a file, once for all its parts; False if it cannot be read."""
    if _first(span):
        for remark in text.remarks:
            note(counts.changed, remark, printable(file.label))
        if text.unmarked:
            counts.fail(WITHOUT_MARK[text.unmarked], printable(file.label))
    return not text.unmarked


def _texts(
    name: str, file: TextFile, counts: Counts, fields: Sequence[str], span: Span | None
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if file.kind == "txt":
        nothing = (None,) * len(fields)
        return ((text, nothing) for text in _documents(file, counts, span))
    return _fields(name, file, counts, fields, span)


def _documents(file: TextFile, counts: Counts, span: Span | None) -> Iterator[str]:
    """A text as one document, or the pieces of a part of it."""
    with opened(file) as text:
        if not _text_of(text, file, counts, span):
            return
        pieces = [text.stream.read()] if span is None else read_pieces(text.stream, text.mark, span)
        for piece in pieces:
            try:
                if b"\0" in piece:
                    raise _Nuls
                document = piece.decode()
            except (UnicodeDecodeError, _Nuls) as error:
                counts.fail(_reason(file, error), printable(file.label))
            else:
                yield document


class _Nuls(Exception):
    """A text holds NUL bytes."""


def _reason(file: TextFile, error: Exception) -> Broken:
    """Why bytes are no text."""
    if isinstance(error, _Nuls):
        return Broken(NULS)
    return Broken(NOT_UTF8 if file.encoding == AUTO else UNDECODABLE)


def _fields(
    name: str, file: TextFile, counts: Counts, fields: Sequence[str], span: Span | None
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The text of every record that has one, and other fields of it."""
    field = file.text_field
    steps = field.split(".")
    records = file.kind in ("json", "jsonl")
    # a table gives one column at a time, of the same rows
    columns = [] if records else [_column(name, file, other, span) for other in fields]
    for number, row in _rows(name, file, counts, span):
        value = row
        beside = tuple(next(column, None) for column in columns)
        if records and not isinstance(row, Broken):
            value = row.get(field) if isinstance(row, dict) else None
            if value is None or len(steps) > 1:
                value = inside(row, field, steps)
            beside = tuple(value_at(row, other) for other in fields)
        if type(value) is str:
            yield value, beside
            continue
        if isinstance(value, bytes):
            try:
                yield value.decode(), beside
                continue
            except UnicodeDecodeError as error:
                value = _reason(file, error)
        if not isinstance(value, Broken):
            value = Broken(f"{in_words(value)} under {field!r}")
        reason, _, special = value.partition("\n")
        where = _place(file, number, span)
        counts.fail(reason, f"{where}, {printable(special)}" if special else where)


def _column(name: str, file: TextFile, field: str, span: Span | None) -> Iterator[Any]:
    """A column of a table; None where it holds nothing that can be read."""
    try:
        for _, value in _rows(name, replace(file, text_field=field), Counts(), span):
            whole = value.decode(errors="replace") if isinstance(value, bytes) else value
            yield None if isinstance(whole, Broken) else whole
    except InputError:  # there is no such column: the text's own was read off the same table
        return


def _place(file: TextFile, number: int, span: Span | None) -> str:
    # labels, not paths: this is kept with the data, which is the same wherever it lies
    label = printable(file.label)
    if file.kind in ("json", "jsonl"):
        what = f"line {number}" if _first(span) else f"the line at byte {number}"
    else:
        what = f"row {number}"
    return f"{what} of {label}"


def _words(broken: str) -> str:
    reason, _, special = broken.partition("\n")
    return f"{reason} ({special})" if special else reason


def _rows(
    name: str, file: TextFile, counts: Counts, span: Span | None, every: bool = False
) -> Iterator[Row]:
    """The records of a file; of a table the text's column alone, unless `every` column is wanted.

    Raises:
        Unreadable: the file holds something else than its name says.
    """
    match file.kind:
        case "json" | "jsonl":
            yield from _json(name, file, counts, span)
        case "csv" if not every:
            with opened(file) as text:
                if _text_of(text, file, counts, span):
                    for row, value in csv_cells(name, file, text, counts):
                        yield row, _cell(file, value)
        case "parquet" | "arrow":
            column = None if every else file.text_field
            batches = (
                parquet_batches(name, file, span, column)
                if file.kind == "parquet"
                else arrow_batches(name, file, column)
            )
            for before, batch in batches:
                values = batch.to_pylist() if every else cells(name, file, batch)
                yield from enumerate(values, start=before + 1)
        case _:
            raise InputError(
                f"domain {name!r}: {printable(file.path)} is no file of JSON records; name .jsonl, "
                ".json, .parquet or .arrow files"
            )


def _cell(file: TextFile, value: bytes) -> bytes | Broken:
    if MARK in value:
        return _reason(file, UnicodeError())
    return _reason(file, _Nuls()) if b"\0" in value else value


def _json(name: str, file: TextFile, counts: Counts, span: Span | None) -> Iterator[Row]:
    with opened(file) as text:
        if not _text_of(text, file, counts, span):
            return
        if _first(span) and layout_of(text.stream, file.kind) == "values":
            if file.kind == "jsonl":
                note(
                    counts.changed, "JSON over several lines or in an array", printable(file.label)
                )
            where = f"domain {name!r}: {printable(file.path)}"
            for number, (value, valid) in enumerate(Values(text.stream, where), start=1):
                yield number, value if valid else _reason(file, UnicodeError())
            return
        for number, (at, line) in enumerate(read_lines(text.stream, text.mark, span or WHOLE), 1):
            row = _line(file, line)
            if row is not None:
                yield number if _first(span) else at, row


def _line(file: TextFile, line: bytes) -> Any:
    """What a line of JSON holds; None if it is blank."""
    if b"\0" in line:
        crash = not line.strip(b"\0 \t\r\n")
        zeros = Broken("nothing but NUL bytes, as a crash leaves behind")
        return zeros if crash else _reason(file, _Nuls())
    if len(line) == MAX_LINE and not line.endswith(b"\n"):
        return Broken(f"longer than {MAX_LINE} bytes")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return _reason(file, error)
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        blank = line.isspace()
        return None if blank else Broken(f"no JSON\n{why_no_json(text, error)}")
    return Broken("null, no object") if row is None else row
