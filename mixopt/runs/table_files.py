"""Table files as they come: encodings, compression, separators, parquet; headers as written.

A file becomes a frame whose headers are unique and clean, or an error that names the file.
"""

import bz2
import codecs
import csv
import gzip
import io
import itertools
import lzma
import zipfile
import zlib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mixopt.errors import InputError
from mixopt.runs.columns import clean_headers

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = (",", ";", "\t", "|")
_RULE = "give a run table as CSV or parquet"


def read_frame(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """A table file as a frame with clean headers, and notes on how it had to be read.

    CSV with commas, semicolons, tabs or bars, in UTF-8, UTF-16 or Windows-1252, plain or compressed
    (gzip, bz2, xz, zstd, zip), and parquet are told apart by their content, not by their names.

    Raises:
        InputError: no such file, or one that holds no table.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; {_RULE}")
    try:
        content = _unpacked(path.read_bytes())
        if content[:4] == b"PAR1":
            return _parquet(content), []
        return _csv(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {_RULE}") from error
    except (ValueError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as a table ({reason}); {_RULE}") from error


def _unpacked(content: bytes) -> bytes:
    """The content of a compressed file; other content as it is."""
    if content[:2] == b"\x1f\x8b":
        return gzip.decompress(content)
    if content[:3] == b"BZh":
        return bz2.decompress(content)
    if content[:6] == b"\xfd7zXZ\x00":
        return lzma.decompress(content)
    if content[:4] == b"\x28\xb5\x2f\xfd":
        return bytes(pa.CompressedInputStream(pa.BufferReader(content), "zstd").read())
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/")]
            if any(n.startswith("xl/") for n in names):
                raise InputError("this is a spreadsheet; save its sheet as CSV and give that")
            if len(names) != 1:
                raise InputError(f"the archive holds {len(names)} files; give the one that counts")
            return archive.read(names[0])
    return content


def _parquet(content: bytes) -> pd.DataFrame:
    file = pq.ParquetFile(pa.BufferReader(content))
    names = clean_headers(file.schema_arrow.names)
    table = file.read().rename_columns([f"c{i}" for i in range(len(names))])
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    frame.columns = pd.Index(names)
    return frame


def _decoded(content: bytes) -> tuple[str, list[str]]:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content.decode(encoding), []
    head = content[:4000]
    if head.count(0) > len(head) // 4:
        return content.decode("utf-16-le" if head[1:2] == b"\0" else "utf-16-be"), []
    if 0 in head:
        raise InputError(f"it holds zero bytes, so it is no text; {_RULE}")
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError:
        note = "the file is not in UTF-8; it was read as Windows-1252, check names with accents"
        return content.decode("cp1252", errors="replace"), [note]


def _csv(content: bytes) -> tuple[pd.DataFrame, list[str]]:
    text, notes = _decoded(content)
    text = text.lstrip("\r\n\ufeff ")
    if not text.strip():
        raise InputError(f"it is empty; {_RULE}")
    if text[0] in "{[":
        raise InputError(f"it holds JSON; {_RULE}")
    if text[:4].lower() == "sep=":  # what spreadsheets write for each other
        text = text.partition("\n")[2]
    separator = _separator(text)
    header, lines, width = _header(text, separator)
    names = clean_headers(header)
    frame = pd.read_csv(
        io.StringIO(text),
        sep=separator,
        header=None,
        names=[str(i) for i in range(max(len(header) + 1, width))],
        index_col=False,
        skiprows=lines,
        skipinitialspace=True,
        low_memory=False,
    )
    beyond = frame.iloc[:, len(header) :].notna().to_numpy().any(axis=1)
    if beyond.any():
        row = int(beyond.argmax())
        raise InputError(
            f"row {row + 1} has more cells than the header has names ({len(header)}); put cells "
            "that hold a separator in quotes, or name every column"
        )
    frame = frame.iloc[:, : len(header)]
    frame.columns = pd.Index(names)
    empty = [n for n, given in zip(names, header, strict=True) if not given.strip()]
    return frame.drop(columns=[n for n in empty if frame[n].isna().all()]), notes


def _separator(text: str) -> str:
    """The separator that the first line holds most often outside quotes."""
    line, quoted, counts = text.partition("\n")[0], False, dict.fromkeys(_SEPARATORS, 0)
    for sign in line:
        quoted = quoted != (sign == '"')
        if not quoted and sign in counts:
            counts[sign] += 1
    return max(_SEPARATORS, key=lambda s: counts[s])


def _header(text: str, separator: str) -> tuple[list[str], int, int]:
    """The first record, how many lines it takes, and the most cells of the next ones."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        header, lines = next(reader), reader.line_num
        return header, lines, max(map(len, itertools.islice(reader, 20)), default=0)
    except csv.Error as error:
        raise InputError(f"its header cannot be read ({error}); {_RULE}") from None
