"""MosaicML's MDS: `index.json`, and shards of samples with one column of tokens.

A shard: number of samples (u32), where each begins and the last one ends (u32), the columns'
description, then the samples: sizes (u32) of the columns that have no fixed one, then the columns.
A column of tokens is `ndarray`, with or without its dtype and shape, or plain `bytes`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mixopt.errors import InputError, did_you_mean
from proxies.token_shards.formats.settings import dtype_of
from proxies.token_shards.places import Place, files
from proxies.token_shards.ports import Ids, Ints, TokenShard

_NAMES = ("tokens", "input_ids")
_VALUES = {8: "u1", 9: "i1", 16: "<u2", 17: "<i2", 32: "<u4", 33: "<i4", 64: "<u8", 65: "<i8"}
_TRIED = 32
"""Samples by which the length of the others is estimated."""


def read_mds(
    path: str, column: str | None = None, dtype: str | None = None, end: int | None = None
) -> list[TokenShard]:
    """Shards of a folder with an `index.json` (or of several below it).

    Args:
        path: where it is.
        column: of the tokens, by default `tokens` or `input_ids`.
        dtype: of a column of plain bytes.
        end: the id that ends documents within samples.

    Raises:
        InputError: no such index, no such column, or a compression that is not read.
    """
    shards: list[TokenShard] = []
    for place in files(path, ["index.json"]):
        try:
            entries = json.loads(place.read())["shards"]
            shards += [_shard(place, entry, (column, dtype), end) for entry in entries]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{place.path} is no index of MDS ({type(error).__name__}: {error}); correct "
                "`format` or the path"
            ) from error
    return shards


def _shard(
    index: Place,
    entry: Mapping[str, Any],
    given: tuple[str | None, str | None],
    end: int | None,
) -> "MDS":
    names, (named, dtype) = list(entry["column_names"]), given
    wanted = named or next((n for n in _NAMES if n in names), _NAMES[0])
    if wanted not in names:
        raise InputError(
            f"{index.path} has no column {wanted!r}; {did_you_mean(str(wanted), names)}; name it "
            "as `column`"
        )
    folder = index.path.rsplit("/", 1)[0]
    raw = index.beside(f"{folder}/{entry['raw_data']['basename']}")
    zipped, kind = entry.get("zip_data"), str(entry.get("compression") or "")
    if zipped and not raw.exists():
        if kind.split(":", maxsplit=1)[0] != "zstd":
            raise InputError(f"{index.path}: compression {kind!r} is not read; decompress it first")
        raw = index.beside(f"{folder}/{zipped['basename']}")
    else:
        kind = ""
    at = names.index(wanted)
    column = Column.of(index.path, str(entry["column_encodings"][at]), dtype)
    layout = Layout(list(entry["column_sizes"]), at, column, int(entry["samples"]), bool(kind))
    return MDS(raw, layout, end)


class Column:
    """How a column of tokens is written: integers, and whether a head comes first."""

    def __init__(self, dtype: np.dtype[Any] | None, *, shaped: bool, plain: bool) -> None:
        self.dtype, self._shaped, self._plain = dtype, shaped, plain

    @classmethod
    def of(cls, path: str, encoding: str, dtype: Any) -> "Column":
        """From an encoding's name, as `ndarray:int32:2048`, `ndarray` or `bytes`.

        Raises:
            InputError: it holds no tokens, or its integers are not known.
        """
        kind, *given = encoding.split(":")
        if kind == "bytes":
            return cls(dtype_of(path, dtype), shaped=True, plain=True)
        if kind != "ndarray":
            raise InputError(
                f"{path}: its column is of kind {encoding!r}; tokens are ndarray or bytes, name "
                "their `column`"
            )
        fixed = np.dtype(given[0]).newbyteorder("<") if given else None
        return cls(fixed, shaped=len(given) > 1, plain=False)

    def decode(self, data: bytes) -> Ids:
        """The ids in a column's bytes."""
        dtype, at = self.dtype, 0
        if dtype is None:
            dtype, at = np.dtype(_VALUES[data[0]]), 1
        if not (self._shaped or self._plain):
            axes, width = data[at] >> 2, 1 << (data[at] & 3)
            at += 1 + axes * width
        return np.frombuffer(data[at:], dtype)


@dataclass(frozen=True)
class Layout:
    """What the index says of a shard.

    Attributes:
        sizes: bytes of each column; None where they differ by sample.
        at: which column holds the tokens.
        column: how.
        samples: how many.
        zipped: whether the file is compressed as a whole.
    """

    sizes: list[int | None]
    at: int
    column: Column
    samples: int
    zipped: bool


class MDS:
    """One shard; its units are samples."""

    def __init__(self, data: Place, layout: Layout, end: int | None) -> None:
        self.place, self.label, self.end = data.path, data.label, end
        self.stamp = data.stamp
        self.units, self.whole = layout.samples, layout.zipped
        self._data, self._column = data, layout.column
        self._sizes, self._at = layout.sizes, layout.at
        self.exact = bool(self._sizes[self._at] and self._column.dtype is not None)

    @cached_property
    def tokens(self) -> int:
        """A count where samples are of one length, else an estimate; samples are read for it."""
        fixed, dtype = self._sizes[self._at], self._column.dtype
        if fixed and dtype is not None:
            return fixed // dtype.itemsize * self.units
        tried = np.linspace(0, self.units - 1, min(self.units, _TRIED)).astype(np.int64)
        read = [len(ids) for ids in self.read(np.unique(tried))]
        return round(float(np.mean(read)) * self.units) if read else 0

    def read(self, units: Ints) -> Iterator[Ids]:
        """Samples; see `TokenShard`."""
        if self.whole:
            content = self._unzipped()
            edges = np.frombuffer(content[4 : 8 + 4 * self.units], "<u4")
            for unit in units.tolist():
                yield self._ids(content[edges[unit] : edges[unit + 1]])
            return
        spans = self._data.gather("<u4", 4, units, 2)
        for sample in self._data.ranges([(int(b), int(e)) for b, e in spans]):
            yield self._ids(bytes(sample))

    def _unzipped(self) -> bytes:
        packed = pa.BufferReader(self._data.read())
        return bytes(pa.CompressedInputStream(packed, "zstd").read())

    def _ids(self, sample: bytes) -> Ids:
        loose = [i for i, size in enumerate(self._sizes) if not size]
        told = np.frombuffer(sample[: 4 * len(loose)], "<u4").tolist()
        sizes: NDArray[Any] = np.array([s or 0 for s in self._sizes])
        sizes[loose] = told
        begin = 4 * len(loose) + int(sizes[: self._at].sum())
        data = sample[begin : begin + int(sizes[self._at])]
        if len(data) != sizes[self._at]:
            raise InputError(f"{self.place}: a sample is cut off; copy the shard again")
        return self._column.decode(data)
