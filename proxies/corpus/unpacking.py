"""Packed files as streams: gzip, bzip2, xz, Zstandard and LZ4, told by their first bytes.

Members that follow each other are read as one, whatever their number; zero padding behind them is
passed over; anything else behind them, and an end in the middle, is an error.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any, cast

import pyarrow as pa

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_SKIPPABLE = b"\x2a\x4d\x18"
"""Last bytes of the magic number of a frame that Zstandard and LZ4 readers pass over."""

MAX_LAYERS = 3
_READ = 2**18


def codec_of(raw: IO[bytes]) -> str | None:
    """How a file is compressed as a whole, by its first bytes; it is left at its beginning."""
    at = 0
    head = raw.read(8)
    while len(head) == 8 and head[1:4] == _SKIPPABLE and head[0] & 0xF0 == 0x50:
        at += 8 + int.from_bytes(head[4:], "little")
        raw.seek(at)
        head = raw.read(8)
    raw.seek(0)
    codec = _codec(head)
    if at:  # nothing but such frames is an empty text
        return "zstd" if not head else codec if codec in ("zstd", "lz4") else None
    return codec


def unpacked(raw: IO[bytes], codec: str) -> io.BufferedReader:
    """What a compressed stream holds.

    Reading raises OSError, EOFError, zlib.error or lzma.LZMAError where it is damaged or cut off.
    """
    members: dict[str, Callable[[], Any]] = {
        "gzip": _Inflate,
        "bzip2": bz2.BZ2Decompressor,
        "xz": lzma.LZMADecompressor,
    }
    if codec in members:
        return io.BufferedReader(_Members(raw, members[codec]), _READ)
    return io.BufferedReader(_Frames(raw, codec), _READ)


def peeled(stream: io.BufferedReader) -> tuple[io.BufferedReader, int]:
    """A stream whose content is packed once more, unpacked; and how many times that was."""
    for layers in range(MAX_LAYERS):
        codec = _codec(stream.peek(8)[:8])
        if codec is None:
            return stream, layers
        stream = unpacked(cast("IO[bytes]", stream), codec)
    raise OSError(f"it is packed more than {MAX_LAYERS} times")


def _codec(head: bytes) -> str | None:
    for magic, codec in _MAGIC.items():
        if head.startswith(magic):
            # a text may begin with "BZh" as well
            return codec if codec != "bzip2" or head[4:8] in _BZIP2_BLOCKS else None
    return None


_BZIP2_BLOCKS = (b"1AY&", b"\x17rE8")
"""What follows in a bzip2 file: the beginning of a block, or of the end."""


class Filled(io.RawIOBase):
    """A raw stream over pieces of bytes; a read is short only at the end."""

    def __init__(self) -> None:
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def more(self) -> bytes:
        """The next piece; empty at the end."""
        raise NotImplementedError

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; see `io.RawIOBase`."""
        size = 0
        while size < len(buffer):
            if not self._left:
                self._left = memoryview(self.more())
                if not self._left:
                    break
            piece = self._left[: len(buffer) - size]
            buffer[size : size + len(piece)] = piece
            self._left = self._left[len(piece) :]
            size += len(piece)
        return size


class _Frames(Filled):
    """What Arrow decompresses: frames in a row, skippable ones among them."""

    def __init__(self, raw: IO[bytes], codec: str) -> None:
        super().__init__()
        self._stream = pa.CompressedInputStream(raw, codec)

    def more(self) -> bytes:
        return bytes(self._stream.read(_READ))


class _Members(Filled):
    """What the standard library decompresses: members in a row, zeros behind them."""

    def __init__(self, raw: IO[bytes], new: Callable[[], Any]) -> None:
        super().__init__()
        self._raw = raw
        self._new = new
        self._member = new()
        self._waiting = b""
        self._begun = True

    def more(self) -> bytes:
        while True:
            if not self._begun and not self._next_member():
                return b""
            if not self._waiting and self._member.needs_input:
                self._waiting = self._raw.read(_READ)
                if not self._waiting:
                    raise EOFError("it ends in the middle of the compressed data")
            data: bytes = self._member.decompress(self._waiting, _READ)
            self._waiting = b""
            if self._member.eof:
                self._waiting = self._member.unused_data
                self._begun = False
            if data:
                return data

    def _next_member(self) -> bool:
        """Pass over zeros; False at the end of the file."""
        while not (waiting := self._waiting.lstrip(b"\0")):
            self._waiting = self._raw.read(_READ)
            if not self._waiting:
                return False
        self._waiting = waiting
        self._member = self._new()
        self._begun = True
        return True


class _Inflate:
    """zlib for gzip members, in the manner of the other decompressors."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, size: int) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, size)
        # a full answer may have left some behind, without any input that waits
        self.needs_input = not self._inner.unconsumed_tail and len(out) < size
        return out
