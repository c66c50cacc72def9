"""litData's chunks of tokens, as `TokensLoader` reads them: `index.json` and `chunk-*.bin`.

A chunk: number of items (u32), where each begins and the last one ends (u32), then the items, each
the bare integers of one document.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mixopt.errors import InputError
from proxies.token_shards.places import Place, files
from proxies.token_shards.ports import Ids, Ints, TokenShard

_TORCH = {11: "u1", 12: "i1", 13: "<i2", 14: "<i2", 15: "<i4", 16: "<i4", 17: "<i8", 18: "<i8"}
_TORCH |= {20: "<u2"}
_NUMPY = {0: "i1", 1: "<i2", 2: "<i4", 3: "<i8", 4: "u1", 5: "<u2", 6: "<u4", 7: "<u8"}
_KINDS = {"no_header_tensor": _TORCH, "no_header_numpy": _NUMPY}


def read_litdata(path: str, end: int | None = None) -> list[TokenShard]:
    """Chunks of a folder with an `index.json` (or of several below it).

    Raises:
        InputError: no such index, or one of other data than tokens.
    """
    shards: list[TokenShard] = []
    for index in files(path, ["index.json"]):
        try:
            values = json.loads(index.read())
            dtype = _dtype(index, values["config"])
            chunks = [(c["filename"], int(c["chunk_size"]), c["dim"]) for c in values["chunks"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{index.path} is no index of litData ({type(error).__name__}: {error}); correct "
                "`format` or the path"
            ) from error
        folder = index.path.rsplit("/", 1)[0]
        for name, items, tokens in chunks:
            place = index.beside(f"{folder}/{name}")
            shards.append(Chunk(place, dtype, items, tokens, end))
    return shards


def _dtype(index: Place, config: Mapping[str, Any]) -> np.dtype[Any]:
    kind, _, code = str(config["data_format"][0]).partition(":")
    if len(config["data_format"]) != 1 or kind not in _KINDS or int(code) not in _KINDS[kind]:
        raise InputError(
            f"{index.path} holds {config['data_format']}; tokens are items of one row of integers, "
            "as litData writes them with TokensLoader"
        )
    if config.get("compression") or config.get("encryption"):
        raise InputError(f"{index.path}: its chunks are compressed or encrypted; write them plain")
    return np.dtype(_KINDS[kind][int(code)])


class Chunk:
    """One chunk; its units are items."""

    exact = True
    whole = False

    def __init__(
        self,
        data: Place,
        dtype: np.dtype[Any],
        items: int,
        tokens: int | None = None,
        end: int | None = None,
    ) -> None:
        self.end = end
        self.place, self.label = data.path, data.label
        self.stamp = data.stamp
        self._data, self._dtype, self.units = data, dtype, items
        (held,) = data.values("<u4", 0, 1).tolist()
        (last,) = data.values("<u4", 4 + 4 * items, 1).tolist()
        if held != items or last != data.size:
            raise InputError(
                f"{data.path} has {held} items in {last} bytes by its head and {data.size} bytes, "
                f"where the index says {items} items; copy both again"
            )
        self.tokens = int(tokens or (data.size - 8 - 4 * items) // dtype.itemsize)

    def read(self, units: Ints) -> Iterator[Ids]:
        """Items; see `TokenShard`."""
        spans = self._data.gather("<u4", 4, units, 2)
        for data in self._data.ranges([(int(b), int(e)) for b, e in spans]):
            yield np.frombuffer(data, self._dtype)
