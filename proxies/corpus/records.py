"""Records and documents out of text: lines of JSON, JSON values one after another, plain text.

A file is never held in memory as a whole, apart from a document of its own.
"""

import io
import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal

from mixopt.errors import InputError
from proxies.corpus.counts import printable
from proxies.corpus.decoding import LONGEST_MARK, decoded, encoding_of
from proxies.corpus.sources import AUTO
from proxies.corpus.unpacking import codec_of, peeled, unpacked
from proxies.corpus.userfiles import TextFile

MAX_LINE = 64 * 2**20
"""A longer line or JSON value (bytes) counts as broken: it is no document for a proxy."""

PIECE = 2**20
"""A text that is read in parts becomes documents of about this many bytes."""

Span = tuple[int, int]
"""Part of a file: bytes [start, end) of a plain .txt or .jsonl file, row groups of a parquet file.
A line belongs to the part in which it begins."""

WHOLE: Span = (0, 2**63)

_BINARY = {
    b"PAR1": "parquet under another name",
    b"ARROW1": "Arrow under another name",
    b"FEA1": "Feather of version 1",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"Rar!": "a rar archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"%PDF": "a PDF",
    b"\x89HDF": "HDF5",
    b"SQLite format 3\0": "an SQLite database",
    b"\x02\x21\x4c\x18": "LZ4 in its legacy form",
    b"version https://git-lfs": "a pointer of Git LFS (fetch the data with `git lfs pull`)",
}


class Unreadable(Exception):
    """A file holds something else than its name says; the message is what."""


@dataclass
class Opened:
    """A file opened as UTF-8 text.

    Attributes:
        stream: its text, behind a byte-order mark.
        mark: bytes of the mark.
        plain: whether the bytes of the stream are those of the file, so that it can be sought.
        remarks: what is different from what its name says.
        unmarked: the encoding that its first bytes speak of, if no mark and no user names one.
    """

    stream: io.BufferedReader
    mark: int
    plain: bool
    remarks: tuple[str, ...]
    unmarked: str = ""


@contextmanager
def opened(file: TextFile) -> Iterator[Opened]:
    """A plain or packed file as UTF-8 text.

    Raises:
        Unreadable: it holds no text.
    """
    with file.open() as raw:
        remarks = []
        codec = codec_of(raw)
        stream, layers = _unpacked(raw, codec)
        if layers != file.layers and (layers or file.size):
            times = f" {layers} times over" if layers > 1 else ""
            packed = f"packed with {codec}{times}" if layers else "not packed"
            remarks.append(f"{packed}, unlike the name")
        head = stream.peek(512)[:512]
        check_magic(head)
        encoding, mark = encoding_of(head[:LONGEST_MARK], file.encoding)
        stream.read(mark)
        if mark:
            remarks.append(f"byte-order mark of {encoding.upper()}")
        elif encoding != "utf-8":
            remarks.append(f"decoded from {encoding}")
        plain = not layers and encoding == "utf-8"
        unmarked = _unmarked(head) if not mark and file.encoding == AUTO else ""
        yield Opened(decoded(stream, encoding), mark, plain, tuple(remarks), unmarked)


def _unpacked(raw: IO[bytes], codec: str | None) -> tuple[io.BufferedReader, int]:
    if codec is None:
        assert isinstance(raw, io.BufferedReader)
        return raw, 0
    stream, layers = peeled(unpacked(raw, codec))
    return stream, layers + 1


def _unmarked(head: bytes) -> str:
    """UTF-16 of mostly ASCII: a NUL in every second place, and none in the others."""
    zeros = [head[start::2].count(0) for start in (0, 1)]
    if min(zeros) == 0 and max(zeros) > len(head) // 4:
        return "utf-16-le" if zeros[1] else "utf-16-be"
    return ""


def check_magic(head: bytes) -> None:
    """Refuse the beginning of what is no text.

    Raises:
        Unreadable: it is of another form.
    """
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            raise Unreadable(what)
    if head[257:262] == b"ustar":
        raise Unreadable("a tar archive")


def read_lines(stream: io.BufferedReader, mark: int, span: Span) -> Iterator[tuple[int, bytes]]:
    """The lines of a part as (number of its first byte, line), newline included.

    Of a line longer than `MAX_LINE` only the beginning is returned, without a newline.
    """
    start, end = _sought(stream, mark, span)
    while start < end:
        line = stream.readline(MAX_LINE)
        if not line:
            return
        yield start, line
        start += len(line)
        while len(line) == MAX_LINE and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE)
            start += len(line)


def read_pieces(stream: io.BufferedReader, mark: int, span: Span) -> Iterator[bytes]:
    """The text of a part in pieces of about `PIECE` bytes, cut at line ends.

    A longer line is cut between characters.
    """
    start, end = _sought(stream, mark, span)
    piece: list[bytes] = []
    size, inside = 0, False
    while start < end or inside:
        bit = stream.readline(PIECE)
        if not bit:
            break
        start += len(bit)
        inside = not bit.endswith(b"\n")
        piece.append(bit)
        size += len(bit)
        if size >= PIECE:
            whole = b"".join(piece)
            cut = _character(whole) if inside else len(whole)
            yield whole[:cut]
            piece, size = [whole[cut:]], len(whole) - cut
    if size:
        yield b"".join(piece)


def _sought(stream: io.BufferedReader, mark: int, span: Span) -> Span:
    """Go to the first line of a part."""
    start, end = span
    if not start:
        return mark, end
    # step back one byte: a line that starts exactly at `start` is this part's
    stream.seek(start - 1)
    while True:
        bit = stream.readline(PIECE)
        start += len(bit)
        if not bit or bit.endswith(b"\n"):
            return start - 1, end


def _character(data: bytes) -> int:
    """Where the last character begins that may be cut off, or the end."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:  # no continuation of a character
            return len(data) - back if byte >= 0xC0 else len(data)
    return len(data)


def layout_of(stream: io.BufferedReader, kind: str) -> Literal["lines", "values"]:
    """Whether JSON stands one value a line, or as an array or over several lines.

    An array, or an object whose first line is not one by itself, is read value by value. A .jsonl
    file is believed more than a .json file: there, a first line that is broken is one.
    """
    head = stream.peek(2**15)[: 2**15].lstrip()
    first, newline, rest = head.partition(b"\n")
    if head[:1] not in (b"[", b"{"):
        return "lines"
    try:
        json.loads(first.decode())
        complete = True
    except (ValueError, RecursionError):
        complete = False
    if head[:1] == b"[":
        return "lines" if complete and rest.strip() else "values"
    broken = bool(newline) and not complete
    return "values" if broken and (kind == "json" or first.strip() == b"{") else "lines"


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_DEEP = 500
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def why_no_json(text: str, error: Exception) -> str:
    """Why a text is no JSON, in words that do not depend on how deep the caller's own stack is."""
    signs = (_STEPS.get(sign, 0) for sign in _STRING.sub("", text))
    if max(itertools.accumulate(signs), default=0) > _DEEP:
        return "nested too deeply"
    return str(getattr(error, "msg", "a number is too long"))


_SPACE = re.compile(r"[ \t\n\r]*")
_TORN = re.compile("[\ud800-\udfff]")


class Values:
    """The JSON values of a text one after another; of an array, its elements."""

    def __init__(self, stream: io.BufferedReader, where: str) -> None:
        self._text = io.TextIOWrapper(
            stream, encoding="utf-8", errors="surrogateescape", newline="\n"
        )
        self._where = where
        self._buffer = ""
        self._at = 0
        self._line = 1
        self._ended = False
        self._decoder = json.JSONDecoder()

    def __iter__(self) -> Iterator[tuple[Any, bool]]:
        """Values, and whether each is valid UTF-8.

        Raises:
            InputError: the text is no JSON, or ends in the middle.
        """
        try:
            yield from self._values()
        finally:
            self._text.detach()

    def _values(self) -> Iterator[tuple[Any, bool]]:
        while sign := self._next():
            if sign != "[":
                yield self._value()
                continue
            self._at += 1
            if self._next() == "]":
                self._at += 1
                continue
            while True:
                yield self._value()
                sign = self._next()
                self._at += 1
                if sign == "]":
                    break
                if sign != ",":
                    raise self._error("a comma or the end of the array is missing")

    def _next(self) -> str:
        """The next sign that is no blank; empty at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._fill():
                return ""

    def _value(self) -> tuple[Any, bool]:
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError):
                    raise self._error(why_no_json(self._buffer[self._at :], error)) from error
                if len(self._buffer) - self._at > MAX_LINE:
                    raise self._error(f"a value is longer than {MAX_LINE} bytes") from error
                if self._fill():
                    continue
                raise self._error(why_no_json(self._buffer[self._at :], error)) from error
            # a number at the end of what is there may go on
            if end == len(self._buffer) and self._fill():
                continue
            raw = self._buffer[self._at : end]
            self._at = end
            return value, raw.isascii() or not _TORN.search(raw)

    def _fill(self) -> bool:
        """Read on, as much again as a value has taken so far; False at the end."""
        if self._ended:
            return False
        self._line += self._buffer.count("\n", 0, self._at)
        rest = self._buffer[self._at :]
        more = self._text.read(max(2**18, len(rest)))
        self._ended = not more
        self._buffer, self._at = rest + more, 0
        return not self._ended

    def _error(self, what: str) -> InputError:
        line = self._line + self._buffer.count("\n", 0, self._at)
        cut = "it ends in the middle: " if self._ended and self._at >= len(self._buffer) - 1 else ""
        return InputError(
            f"{self._where} is damaged or no JSON: {cut}{printable(what)}, in or behind line "
            f"{line}; correct the file or fetch it again, take it out of the domain, or, if it "
            "holds one object a line, end its name in .jsonl, so that only broken lines are left "
            "out"
        )
