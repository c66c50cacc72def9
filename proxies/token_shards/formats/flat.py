"""Flat files of tokens without an index: numpy's `.npy`, and bare arrays (OLMo-core, nanoGPT).

Documents are known by the token that ends them. What is drawn are *windows*: the documents that
begin within `WINDOW` tokens of each other, read to their ends.
"""

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np

from mixopt.errors import InputError
from proxies.token_shards.formats.settings import dtype_of
from proxies.token_shards.places import Place, files
from proxies.token_shards.ports import Ids, Ints, TokenShard

WINDOW = 1024
LONGEST = 16_384
"""Tokens of a document behind its window that are read; it is cut there."""
_TRIED = 64
"""Windows, with what is behind them, of which one has an end."""
_NPY = b"\x93NUMPY"


def read_flat(path: str, end: int, dtype: str | None = None) -> list[TokenShard]:
    """Shards of a file, a pattern or a folder of `.npy` and `.bin`.

    Args:
        path: where they are.
        end: the token that ends documents.
        dtype: of files without numpy's head.

    Raises:
        InputError: a setting is missing, or a file does not hold such integers.
    """
    return [Flat(place, dtype, end) for place in files(path, [".npy", ".bin"])]


class Flat:
    """One file; its units are windows."""

    exact = True
    whole = False

    def __init__(self, data: Place, dtype: Any, end: int) -> None:
        self.place, self.label = data.path, data.label
        self.stamp = data.stamp
        self.end: int | None = end
        self._data = data
        self._dtype, self._offset = self._integers(dtype)
        if end > np.iinfo(self._dtype).max:
            raise InputError(
                f"{self.place}: {self._dtype.name} cannot hold {end}, the end of documents; "
                "correct `dtype` or `end`"
            )
        size = data.size - self._offset
        if size % self._dtype.itemsize:
            raise InputError(
                f"{self.place}: {size} bytes are no whole number of {self._dtype.name}; correct "
                "`dtype`, or copy the file again"
            )
        self.tokens = size // self._dtype.itemsize
        self.units = -(-self.tokens // WINDOW)

    def _integers(self, dtype: Any) -> tuple[np.dtype[Any], int]:
        head = bytes(next(self._data.ranges([(0, min(4096, self._data.size))])))
        if not head.startswith(_NPY):
            return dtype_of(self.place, dtype), 0
        # Version 1 of the head has its length in two bytes, later ones in four.
        wide = head[6] > 1
        start = 12 if wide else 10
        length = int.from_bytes(head[8:start], "little")
        text = head[start : start + length].decode("latin-1")
        kind, shape = _head(text, self.place)
        if dtype is not None and dtype_of(self.place, dtype) != kind:
            raise InputError(
                f"{self.place} holds {kind.name}, and dtype is {dtype!r}; leave it out"
            )
        if len(shape) != 1 or kind.kind not in "iu":
            raise InputError(
                f"{self.place} holds {kind.name} of shape {shape}; tokens are one row of integers"
            )
        return kind, start + length

    def read(self, units: Ints) -> Iterator[Ids]:
        """Windows; see `TokenShard`."""
        size = self._dtype.itemsize
        spans, firsts = [], []
        for unit in units.tolist():
            # A document begins behind an end, so that the token before the window counts.
            begin = max(0, unit * WINDOW - 1)
            stop = min(self.tokens, (unit + 1) * WINDOW + LONGEST)
            spans.append((self._offset + begin * size, self._offset + stop * size))
            firsts.append(unit == 0)
        ended = False
        for data, first in zip(self._data.ranges(spans), firsts, strict=True):
            ids = np.frombuffer(data, self._dtype)
            ended = ended or bool(np.any(ids == self.end))
            yield self._cut(ids, first)
        if not ended and (len(units) == self.units or len(units) >= _TRIED):
            raise InputError(
                f"{self.place}: the id {self.end}, which is to end documents, is nowhere in "
                f"{len(units)} parts of it; correct `end` (or `dtype`)"
            )

    def _cut(self, ids: Ids, first: bool) -> Ids:
        """From the first beginning of a document to the end of the last one."""
        ends = np.flatnonzero(ids == self.end)
        inside = ends[ends < WINDOW - (1 if first else 0)]
        begin = 0 if first else (int(inside[0]) + 1 if len(inside) else len(ids))
        # The last document begins within the window and ends behind it.
        behind = ends[ends >= WINDOW - (1 if first else 0)]
        stop = int(behind[0]) + 1 if len(behind) else len(ids)
        return ids[begin:stop]


def _head(text: str, place: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Kind and shape in the head of a `.npy` file."""
    try:
        values = ast.literal_eval(text.strip())
        return np.dtype(values["descr"]), tuple(values["shape"])
    except (ValueError, SyntaxError, KeyError, TypeError) as error:
        raise InputError(f"{place}: its head cannot be read ({error}); write it again") from error
