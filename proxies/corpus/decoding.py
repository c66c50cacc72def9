"""Bytes to UTF-8: byte-order marks, and encodings that the user names."""

import codecs
import io

from proxies.corpus.sources import AUTO
from proxies.corpus.unpacking import Filled

_MARKS = (
    # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LONGEST_MARK = 4
_READ = 2**18
_UNDECODABLE = "mixopt-undecodable"
INVALID = "\udcff"
"""Stands for bytes that cannot be decoded; written out, it is no valid UTF-8, so that the line or
document that holds it is left out like others that are not."""

MARKING = "mixopt-marking"
MARK = b"\xef\xb7\x90\xef\xb7\x91"
"""The same for readers that need valid UTF-8: two code points that are no characters."""

codecs.register_error(MARKING, lambda error: (MARK.decode(), error.end))  # type: ignore[attr-defined]
codecs.register_error(_UNDECODABLE, lambda error: (INVALID, error.end))  # type: ignore[attr-defined]


def encoding_of(head: bytes, named: str) -> tuple[str, int]:
    """The encoding of a text, and the bytes of its byte-order mark.

    Args:
        head: its first four bytes, or all of them.
        named: by the user; a mark is certain, and goes before it.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    if named == AUTO:
        return "utf-8", 0
    # without a mark, UTF-16 and UTF-32 are in the order that nearly all machines write
    plain = codecs.lookup(named).name
    return {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}.get(plain, plain), 0


def decoded(stream: io.BufferedReader, encoding: str) -> io.BufferedReader:
    """A stream in some encoding, behind its mark, as UTF-8."""
    if encoding in ("utf-8", "ascii"):
        return stream
    return io.BufferedReader(_Decoded(stream, encoding), _READ)


class _Decoded(Filled):
    """UTF-8 of text in another encoding."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(_UNDECODABLE)
        self._ended = False

    def more(self) -> bytes:
        while not self._ended:
            data = self._stream.read(_READ)
            self._ended = not data
            text = self._decoder.decode(data, final=self._ended)
            if text:
                return text.encode("utf-8", errors="surrogatepass")
        return b""
