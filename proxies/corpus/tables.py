"""Tables: the column with the text out of parquet, Arrow and CSV files, batch after batch."""

import codecs
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mixopt.errors import SourceError
from proxies.corpus.counts import Counts, printable
from proxies.corpus.decoding import MARKING
from proxies.corpus.forms import split_name
from proxies.corpus.records import Opened, Span, Unreadable, check_magic
from proxies.corpus.unpacking import Filled, codec_of, peeled, unpacked
from proxies.corpus.userfiles import TextFile

_ROWS = 1024
_BLOCK = 16 * 2**20
"""Longest row of a CSV file (bytes)."""
_IN_MEMORY = 64 * 2**20
_ARROW_FILE = b"ARROW1"
_COPIED = 2**20


@contextmanager
def seekable(file: TextFile) -> Iterator[IO[bytes]]:
    """A binary file; one that is packed is unpacked to memory, or to a scratch file."""
    with file.open() as raw:
        codec = codec_of(raw)
        if codec is None:
            yield raw
            return
        stream, _ = peeled(unpacked(raw, codec))
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as scratch:
            while data := stream.read(_COPIED):
                scratch.write(data)
            scratch.seek(0)
            yield cast(IO[bytes], scratch)


def parquet_batches(
    name: str, file: TextFile, span: Span | None, column: str | None
) -> Iterator[tuple[int, Any]]:
    """Batches of a parquet file, or of some of its row groups, with the number of rows before each.

    Args:
        name: the domain, for messages.
        file: to read.
        span: row groups.
        column: dotted name of the only one that is wanted; None: all.
    """
    with seekable(file) as raw:
        _require_magic(raw, (b"PAR1",), "parquet")
        table = pq.ParquetFile(raw)
        if column is not None:
            field_path(name, file, column, table.schema_arrow)
        groups = range(table.num_row_groups)[slice(*span)] if span else None
        before = range(span[0]) if span else range(0)
        row = sum(table.metadata.row_group(group).num_rows for group in before)
        columns = None if column is None else [column]
        for batch in table.iter_batches(_ROWS, row_groups=groups, columns=columns):
            yield row, batch
            row += batch.num_rows


def arrow_batches(name: str, file: TextFile, column: str | None) -> Iterator[tuple[int, Any]]:
    """Batches of an Arrow file or stream; see `parquet_batches`."""
    with seekable(file) as raw:
        head = _require_magic(raw, (_ARROW_FILE, b"\xff\xff\xff\xff", b""), "arrow")
        if head.startswith(_ARROW_FILE):
            table = pa.ipc.open_file(raw)
            batches = (table.get_batch(i) for i in range(table.num_record_batches))
        else:
            table = pa.ipc.open_stream(raw)
            batches = iter(table)
        if column is not None:
            field_path(name, file, column, table.schema)
        row = 0
        for batch in batches:
            for start in range(0, batch.num_rows, _ROWS):
                yield row + start, batch.slice(start, _ROWS)
            row += batch.num_rows


def _require_magic(raw: IO[bytes], magic: tuple[bytes, ...], what: str) -> bytes:
    head = raw.read(64)
    raw.seek(0)
    if not head:
        raise Unreadable("an empty file")
    if not head.startswith(magic[0]):
        check_magic(head)
    if not head.startswith(magic):
        raise Unreadable(f"no {what}, unlike the name")
    return head


def field_path(name: str, file: TextFile, column: str, schema: Any) -> list[str]:
    """The steps from a schema to a field: its name, or the parts of it between dots.

    Raises:
        SourceError: there is no such field.
    """
    if column in schema.names:
        return [column]
    steps = column.split(".")
    fields = {field.name: field.type for field in schema}
    for step in steps:
        if step not in fields:
            raise SourceError(
                f"domain {name!r}: {printable(file.path)} has no column {column!r} but "
                f"{printable(', '.join(_names(schema)), 600)}; set `text_field` to the one with "
                "the text, for this source alone as in {path: ..., text_field: ...}",
                "text_field",
            )
        kind = fields[step]
        fields = {f.name: f.type for f in kind} if pa.types.is_struct(kind) else {}
    return steps


def _names(schema: Any) -> Iterator[str]:
    for field in schema:
        if pa.types.is_struct(field.type):
            yield from (f"{field.name}.{inner.name}" for inner in field.type)
        else:
            yield field.name


def cells(name: str, file: TextFile, batch: Any) -> list[Any]:
    """The values of the text's column as Python has them; strings that are not UTF-8 as bytes."""
    steps = field_path(name, file, file.text_field, batch.schema)
    column = batch.column(batch.schema.get_field_index(steps[0]))
    for step in steps[1:]:
        # `flatten` gives missing parents' children as missing
        index = column.type.get_field_index(step)
        column = column.flatten()[index]
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        large = pa.types.is_large_string(column.type)
        return list(column.cast(pa.large_binary() if large else pa.binary()).to_pylist())


def csv_cells(
    name: str, file: TextFile, text: Opened, counts: Counts
) -> Iterator[tuple[int, bytes]]:
    """The text's column of a CSV file (UTF-8, with `MARK` for what is not), and each row's number.

    Rows of another length than the header are left out and counted, and so is a last row whose
    quotes are not closed.
    """
    delimiter, column = _header(name, file, text.stream)
    watched = _Checked(text.stream)

    def broken(row: Any) -> str:
        counts.fail(
            "another number of columns than the header",
            f"{printable(file.label)}: {printable(row.text or '', 60)}",
        )
        return "skip"

    table = pa.csv.open_csv(
        io.BufferedReader(watched, _COPIED),
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=pa.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=broken
        ),
        convert_options=pa.csv.ConvertOptions(
            check_utf8=False,
            include_columns=[column],
            column_types={column: pa.binary()},
        ),
    )
    row, last = 0, None
    for batch in table:
        for value in batch.column(0).to_pylist():
            if last is not None:
                yield row, last
            row, last = row + 1, value
    if last is not None and watched.odd and b"\n" in last:
        counts.fail("a quote that is not closed", f"row {row} of {printable(file.label)}")
    elif last is not None:
        yield row, last


class _Checked(Filled):
    """A stream as valid UTF-8 throughout, which the reader of CSV needs; it counts its quotes."""

    def __init__(self, stream: io.BufferedReader) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")(MARKING)
        self._ended = False
        self.odd = False

    def more(self) -> bytes:
        while not self._ended:
            data = self._stream.read(_COPIED)
            self._ended = not data
            text = self._decoder.decode(data, final=self._ended)
            if text:
                self.odd ^= bool(text.count('"') % 2)
                return text.encode()
        return b""


def _header(name: str, file: TextFile, stream: io.BufferedReader) -> tuple[str, str]:
    """What separates columns (the sign by which the header holds the text's), and its full name."""
    head = stream.peek(2**16)[: 2**16].lstrip(b"\r\n").replace(b"\r", b"\n")
    if not head:
        raise Unreadable("an empty file")
    first = head.partition(b"\n")[0].decode("utf-8", errors="replace")
    usual = "\t" if split_name(file.label)[0] in (".tsv", ".tab") else ","
    by_sign = {
        sign: {part.strip('"'): part.strip('" ') for part in first.split(sign)}
        for sign in dict.fromkeys((usual, ",", "\t", ";", "|"))
    }
    for sign, names in by_sign.items():
        if [*(part.strip('" ') for part in first.split(sign))].count(file.text_field) == 1:
            return sign, next(full for full, name in names.items() if name == file.text_field)
    columns = list(max(by_sign.values(), key=len).values())
    given = repr(file.text_field)
    what = f"{given} twice" if file.text_field in columns else f"no {given}"
    raise SourceError(
        f"domain {name!r}: the first line of {printable(file.path)} names {what}: "
        f"{printable(', '.join(columns), 600)}; set `text_field` to "
        "the one with the text, for this source alone as in {path: ..., text_field: ...}, or give "
        "the file a first line with the names of its columns",
        "text_field",
    )


def row_groups(file: TextFile) -> int | None:
    """Row groups of a parquet file; None if it is packed, empty or none.

    Raises:
        pyarrow.ArrowException: it is damaged.
    """
    with file.open() as raw:
        head = raw.read(4)
        raw.seek(0)
        return pq.ParquetFile(raw).num_row_groups if head == b"PAR1" else None
