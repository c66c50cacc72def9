"""datatrove's tokenised files: tokens in `NAME.ds`, ends of documents in `NAME.ds.index` (u64).

`NAME.ds.metadata`, where it is, says `tokenizer|bytes of a token` in its first line.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mixopt.errors import InputError
from proxies.token_shards.places import Place, files
from proxies.token_shards.ports import Ids, Ints, TokenShard


def read_datatrove(path: str, end: int | None = None) -> list[TokenShard]:
    """Shards of a `.ds` file, a pattern or a folder.

    Raises:
        InputError: a file has no index, or one of another file.
    """
    return [Datatrove(place, end) for place in files(path, [".ds"]) if place.path.endswith(".ds")]


class Datatrove:
    """One `.ds` with its index; its units are documents."""

    exact = True
    whole = False

    def __init__(self, data: Place, end: int | None = None) -> None:
        self.end = end
        self.place, self.label = data.path, data.label
        self._data, self._index = data, data.beside(f"{data.path}.index")
        if not self._index.exists():
            raise InputError(f"{data.path} has no {self._index.path}; write it with its index")
        self.units = self._index.size // 8
        self.tokens = int(self._index.values("<u8", 8 * self.units - 8, 1)[0]) if self.units else 0
        self._dtype = self._integers()
        self.stamp = f"{self._index.stamp} {data.stamp}"

    def _integers(self) -> np.dtype[Any]:
        for kind in ("<u2", "<u4"):
            if self.tokens * np.dtype(kind).itemsize == self._data.size:
                return np.dtype(kind)
        raise InputError(
            f"{self.place} has {self._data.size} bytes, which are not the {self.tokens} tokens of "
            "its index in 2 or 4 bytes each; they are not of one writing: copy both again"
        )

    def read(self, units: Ints) -> Iterator[Ids]:
        """Documents; see `TokenShard`."""
        size = self._dtype.itemsize
        ends = self._index.gather("<u8", 0, units)[:, 0] * size
        begins = self._index.gather("<u8", 0, np.maximum(units - 1, 0))[:, 0] * size
        begins = np.where(units == 0, 0, begins)
        for data in self._data.ranges(list(zip(begins.tolist(), ends.tolist(), strict=True))):
            yield np.frombuffer(data, self._dtype)
