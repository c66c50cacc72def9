"""Files that are read by ranges: on a disk by memory maps, elsewhere through fsspec."""

import glob
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mixopt import lazy
from mixopt.errors import InputError

Range = tuple[int, int]

AT_ONCE = 32
"""Ranges of an object store that are asked for together."""
GAP, AT_MOST = 2**16, 2**21
"""Bytes between ranges that are asked for as one, and the most that one has; bounds the memory."""
BUFFER = 2**20
TRIES = 4
PAUSE = 0.5
"""Seconds before the second try; twice as long before each further one."""


@dataclass(frozen=True)
class Place:
    """A file.

    Attributes:
        path: a local path, or a URL that fsspec opens.
        label: its name relative to what the user named.
    """

    path: str
    label: str

    @property
    def remote(self) -> bool:
        """Whether fsspec opens it."""
        return "://" in self.path

    def beside(self, path: str) -> "Place":
        """A file that belongs to this one, by its own path."""
        return Place(path, f"{PurePosixPath(self.label).with_name(PurePosixPath(path).name)}")

    @cached_property
    def size(self) -> int:
        """Bytes.

        Raises:
            InputError: there is no such file.
        """
        try:
            if not self.remote:
                return Path(self.path).stat().st_size
            fs, path = _fs(self.path)
            return int(_patiently(lambda: fs.size(path), self.path))
        except FileNotFoundError as error:
            raise InputError(f"{self.path}: no such file") from error

    @cached_property
    def stamp(self) -> str:
        """What changes when the file does: size and time of change, or the store's own mark."""
        if not self.remote:
            return f"{self.size} {Path(self.path).stat().st_mtime_ns}"
        fs, path = _fs(self.path)
        info = _patiently(lambda: fs.info(path), self.path)
        marks = [info.get(key) for key in ("ETag", "etag", "mtime", "LastModified", "created")]
        return f"{self.size} {next((str(mark) for mark in marks if mark), '')}"

    @cached_property
    def _bytes(self) -> Any:
        return np.memmap(self.path, np.uint8, "r") if self.size else b""

    def exists(self) -> bool:
        """Whether it is there."""
        if not self.remote:
            return Path(self.path).is_file()
        fs, path = _fs(self.path)
        return bool(_patiently(lambda: fs.isfile(path), self.path))

    def values(self, dtype: DTypeLike, offset: int, count: int) -> NDArray[Any]:
        """(count,) numbers that begin at a byte."""
        kind = np.dtype(dtype)
        (data,) = self.ranges([(offset, offset + count * kind.itemsize)])
        return np.frombuffer(data, kind)

    def gather(self, dtype: DTypeLike, offset: int, at: NDArray[np.int64], width: int = 1) -> Any:
        """Numbers of a table that begins at a byte, `width` from each position on; (n, width)."""
        kind = np.dtype(dtype)
        begins = (offset + at * kind.itemsize).tolist()
        pieces = self.ranges([(b, b + width * kind.itemsize) for b in begins])
        rows = [np.frombuffer(piece, kind) for piece in pieces]
        return np.array(rows, np.int64).reshape(-1, width)

    def read(self) -> bytes:
        """All of a small file."""
        (data,) = self.ranges([(0, self.size)])
        return bytes(data)

    def stream(self) -> io.BufferedReader:
        """The file as libraries read it; what fails is asked for again, as in `ranges`."""
        return io.BufferedReader(_Stream(self), BUFFER)

    def ranges(self, spans: Sequence[Range]) -> Iterator[Any]:
        """The bytes of ranges, in their order, a bounded number of them in memory.

        Raises:
            InputError: the file ends before one of them does, or the store gives up.
        """
        for begin, end in spans:
            if not 0 <= begin <= end <= self.size:
                raise InputError(
                    f"{self.path}: bytes {begin} to {end} are asked for, and it has {self.size}; "
                    "it is cut off, or its index is of another file: copy both again"
                )
        if not self.remote:
            yield from (self._bytes[begin:end] for begin, end in spans)
            return
        fs, path = _fs(self.path)
        joined = _joined(spans)
        for at in range(0, len(joined), AT_ONCE):
            some = joined[at : at + AT_ONCE]
            asked = _Ranges(fs, path, [(parts[0][0], parts[-1][1]) for parts in some])
            for piece, parts in zip(_patiently(asked.fetch, self.path), some, strict=True):
                first = parts[0][0]
                yield from (piece[begin - first : end - first] for begin, end in parts)


def _joined(spans: Sequence[Range]) -> list[list[Range]]:
    """Ranges in groups that are asked for as one: each goes on close behind the one before."""
    groups: list[list[Range]] = []
    for begin, end in spans:
        if groups:
            (first, _), (before, behind) = groups[-1][0], groups[-1][-1]
            near = before <= begin <= behind + GAP and behind <= end <= first + AT_MOST
            if near:
                groups[-1].append((begin, end))
                continue
        groups.append([(begin, end)])
    return groups


class _Stream(io.RawIOBase):
    """A file that is read by ranges."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place, self._at = place, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._place.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._place.size, self._at + len(buffer))
        (data,) = self._place.ranges([(min(self._at, end), end)])
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def files(given: str, suffixes: Sequence[str]) -> list[Place]:
    """The files that a path names: itself, those that match its pattern, or those of a folder.

    Args:
        given: a file, a pattern with `*`, or a folder, which is searched to the bottom; a URL of
            each for fsspec.
        suffixes: of a folder's files that count.

    Raises:
        InputError: there are none.
    """
    chosen = _remote_files(given, suffixes) if "://" in given else _local_files(given, suffixes)
    if not chosen:
        kinds = " or ".join(suffixes)
        raise InputError(f"{given}: no file there ends with {kinds}; correct the path or `format`")
    return chosen


def _local_files(given: str, suffixes: Sequence[str]) -> list[Place]:
    path = Path(given).expanduser()
    if path.is_file():
        return [Place(str(path), path.name)]
    if path.is_dir():
        every = sorted(
            p for p in path.rglob("*") if p.is_file() and p.name.endswith(tuple(suffixes))
        )
        return [Place(str(p), p.relative_to(path).as_posix()) for p in every]
    if not glob.has_magic(given):
        raise InputError(f"{given}: no such file or folder; correct the path")
    base = path.parent
    while glob.has_magic(str(base)):
        base = base.parent
    matched = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
    return [Place(str(p), p.relative_to(base).as_posix()) for p in matched if p.is_file()]


def _remote_files(given: str, suffixes: Sequence[str]) -> list[Place]:
    fs, path = _fs(given)
    base = path
    while glob.has_magic(base):
        base = str(PurePosixPath(base).parent)
    try:
        if glob.has_magic(path):
            names = _patiently(lambda: fs.glob(path), given)
        elif _patiently(lambda: fs.isfile(path), given):
            names, base = [path], str(PurePosixPath(path).parent)
        else:
            every = _patiently(lambda: fs.find(path), given)
            names = [n for n in every if n.endswith(tuple(suffixes))]
    except FileNotFoundError as error:
        raise InputError(f"{given}: nothing is there; correct the URL") from error
    return [
        Place(str(fs.unstrip_protocol(n)), str(PurePosixPath(n).relative_to(base)))
        for n in sorted(names)
    ]


def _fs(url: str) -> tuple[Any, str]:
    try:
        fs, path = lazy.require("fsspec.core").url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise InputError(
            f"{url!r} cannot be opened: {error}; install what fsspec names for this kind of URL, "
            "or copy the files to a disk"
        ) from error
    return fs, str(path)


class _Ranges:
    """Ranges of a file; those that came stay when others are asked for again."""

    def __init__(self, fs: Any, path: str, spans: Sequence[Range]) -> None:
        self._fs, self._path, self._spans = fs, path, spans
        self._came = {i: b"" for i, (begin, end) in enumerate(spans) if begin == end}

    def fetch(self) -> list[bytes]:
        """All of them, in their order.

        Raises:
            OSError: one did not come, or not as a whole.
        """
        while left := [i for i in range(len(self._spans)) if i not in self._came]:
            begins, ends = zip(*(self._spans[i] for i in left), strict=True)
            paths = [self._path] * len(left)
            pieces = self._fs.cat_ranges(paths, list(begins), list(ends), on_error="return")
            problems = [self._keep(i, piece) for i, piece in zip(left, pieces, strict=True)]
            if problems[0] is not None and all(problems):  # as long as some come there is no pause
                raise problems[0]
        return [self._came[i] for i in range(len(self._spans))]

    def _keep(self, number: int, piece: Any) -> OSError | None:
        begin, end = self._spans[number]
        if isinstance(piece, FileNotFoundError):
            return piece
        if isinstance(piece, BaseException):
            return OSError(f"{type(piece).__name__}: {piece}")
        if len(piece) != end - begin:
            return OSError(f"{len(piece)} bytes came where {end - begin} were asked for")
        self._came[number] = piece
        return None


def _patiently(ask: Any, what: str) -> Any:
    """What a store answers, asked again where it fails.

    Raises:
        FileNotFoundError: it says that there is no such file.
        InputError: it failed several times.
    """
    for attempt in range(TRIES):
        try:
            return ask()
        except FileNotFoundError:
            raise
        except (OSError, TimeoutError) as error:
            if attempt == TRIES - 1:
                raise InputError(
                    f"{what}: the store failed {TRIES} times, the last time with: {error}; see "
                    "that it can be reached, then run again"
                ) from error
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError("the last try returns or raises")
