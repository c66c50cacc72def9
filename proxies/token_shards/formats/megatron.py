"""Megatron-LM's indexed dataset: tokens in `NAME.bin`, sequences and documents in `NAME.idx`.

The index, little-endian: 9 bytes of magic, version (u64), code of the integers (u8), number of
sequences (u64), number of document ends (u64), then lengths of sequences (i32), their first bytes
(i64), and the first sequence of each document with one end more (i64). Indexes of multimodal data
have a mode of each sequence (i8) behind that.
"""

import struct
from collections.abc import Iterator

import numpy as np

from mixopt.errors import InputError
from proxies.token_shards.places import Place, files
from proxies.token_shards.ports import Ids, Ints, TokenShard

MAGIC = b"MMIDIDX\x00\x00"
HEAD = struct.Struct("<9sQBQQ")
_CODES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}


def read_megatron(path: str, end: int | None = None) -> list[TokenShard]:
    """Shards of a prefix (as `--data-path` has it), a `.bin`, a pattern or a folder.

    Raises:
        InputError: no index, no tokens, or an index of another file.
    """
    index = f"{path.removesuffix('.bin').removesuffix('.idx')}.idx"
    places = files(index if Place(index, index).exists() else path, [".idx"])
    chosen = [place for place in places if place.path.endswith(".idx")]
    if not chosen:
        raise InputError(
            f"{path} names {len(places)} files and none that ends with .idx; name the prefix of "
            "both files, or a folder of them"
        )
    return [Megatron(place, end) for place in chosen]


class Megatron:
    """One pair of `.bin` and `.idx`; its units are documents."""

    exact = True
    whole = False

    def __init__(self, index: Place, end: int | None = None) -> None:
        self.end = end
        self.place = index.path.removesuffix(".idx")
        self.label = index.label.removesuffix(".idx")
        self._index, self._data = index, index.beside(f"{self.place}.bin")
        head = index.size >= HEAD.size and bytes(next(index.ranges([(0, HEAD.size)])))
        if not head or not head.startswith(MAGIC):
            raise InputError(f"{index.path} is no index of Megatron; correct `format`")
        _, version, code, self._sequences, ends = HEAD.unpack(head)
        if version != 1 or code not in _CODES or not ends:
            raise InputError(
                f"{index.path}: version {version} with integers of code {code} is not known; this "
                "reads version 1 with integers of 8 to 64 bits"
            )
        self._dtype = np.dtype(_CODES[code])
        self.units = int(ends) - 1
        self._lengths_at = HEAD.size
        self._pointers_at = self._lengths_at + 4 * self._sequences
        self._documents_at = self._pointers_at + 8 * self._sequences
        self._check()
        self.stamp = f"{index.stamp} {self._data.stamp}"
        self.tokens = self._data.size // self._dtype.itemsize

    def _check(self) -> None:
        """See that index and tokens belong together."""
        end = self._documents_at + 8 * (self.units + 1)
        if self._index.size not in (end, end + self._sequences):
            raise InputError(
                f"{self._index.path} has {self._index.size} bytes where its head asks for {end}; "
                "it is cut off or damaged: copy it again"
            )
        last = 0
        if self._sequences:
            (length,) = self._index.values("<i4", self._pointers_at - 4, 1).tolist()
            (begin,) = self._index.values("<i8", self._documents_at - 8, 1).tolist()
            last = begin + length * self._dtype.itemsize
        if last != self._data.size:
            longer = "longer" if last > self._data.size else "shorter"
            raise InputError(
                f"{self._data.path} has {self._data.size} bytes and its index is {longer}, with "
                f"{last}; they are not of one writing: copy or tokenise both again"
            )

    def read(self, units: Ints) -> Iterator[Ids]:
        """Documents; see `TokenShard`."""
        edges = self._index.gather("<i8", self._documents_at, units, 2)
        empty = edges[:, 0] >= edges[:, 1]
        first, last = np.where(empty, 0, edges[:, 0]), np.where(empty, 0, edges[:, 1] - 1)
        begins = self._index.gather("<i8", self._pointers_at, first)[:, 0]
        ends = self._index.gather("<i8", self._pointers_at, last)[:, 0]
        ends += self._index.gather("<i4", self._lengths_at, last)[:, 0] * self._dtype.itemsize
        ends = np.where(empty, begins, ends)
        for data in self._data.ranges(list(zip(begins.tolist(), ends.tolist(), strict=True))):
            yield np.frombuffer(data, self._dtype)
