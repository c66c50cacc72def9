"""Tables with a column of token ids: parquet, and the arrow files of a saved Hugging Face dataset.

A row is a document. A row group (or record batch) is one shard, since it is read as a whole; the
number of tokens in it is in parquet's own statistics.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixopt.errors import InputError, did_you_mean
from proxies.token_shards.places import Place, files
from proxies.token_shards.ports import Ids, Ints, TokenShard

_COLUMN = "input_ids"


def read_rows(path: str, column: str = _COLUMN, end: int | None = None) -> list[TokenShard]:
    """Row groups of a file, a pattern or a folder of `.parquet` and `.arrow`.

    Args:
        path: where they are.
        column: of the ids.
        end: the id that ends documents within rows.

    Raises:
        InputError: a file is damaged or has no such column of integers.
    """
    shards: list[TokenShard] = []
    for place in files(path, [".parquet", ".arrow"]):
        try:
            made = _batches if place.path.endswith(".arrow") else _groups
            shards += made(place, column, end)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{place.path} cannot be read: {error}; copy it again") from error
    return shards


def _opened(place: Place) -> Any:
    return place.stream() if place.remote else pa.memory_map(place.path)


def _check(place: Place, schema: pa.Schema, column: str) -> None:
    if column not in schema.names:
        raise InputError(
            f"{place.path} has no column {column!r}; {did_you_mean(column, schema.names)}; name it "
            "as `column`"
        )
    kind = schema.field(column).type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    listed = listed or pa.types.is_fixed_size_list(kind)
    if not listed or not pa.types.is_integer(kind.value_type):
        raise InputError(f"{place.path}: column {column!r} holds {kind}, no lists of integers")


def _groups(place: Place, column: str, end: int | None) -> list["Rows"]:
    file = pq.ParquetFile(_opened(place))
    _check(place, file.schema_arrow, column)
    metadata = file.metadata
    leaves = [metadata.schema.column(i).path.split(".")[0] for i in range(metadata.num_columns)]
    leaf = leaves.index(column)
    shards = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        read = functools.partial(file.read_row_group, number, columns=[column])
        tokens = group.column(leaf).num_values
        label = f"{place.label}/{number}"
        shards.append(Rows(place, label, (group.num_rows, tokens), lambda r=read: r()[0], end))
    return shards


def _batches(place: Place, column: str, end: int | None) -> list["Rows"]:
    source = _opened(place)
    try:
        reader: Any = pa.ipc.open_stream(source)
        _check(place, reader.schema, column)
        batches = list(reader)  # of a memory map: nothing is read yet
    except pa.ArrowInvalid:
        reader = pa.ipc.open_file(source)
        _check(place, reader.schema, column)
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
    shards = []
    for number, batch in enumerate(batches):
        rows = batch.column(column)
        tokens = len(rows.flatten())
        label = f"{place.label}/{number}"
        shards.append(Rows(place, label, (len(rows), tokens), lambda r=rows: r, end))
    return shards


class Rows:
    """One row group; its units are rows."""

    exact = True
    whole = True

    def __init__(
        self, place: Place, label: str, size: tuple[int, int], read: Any, end: int | None
    ) -> None:
        self.place, self.stamp, self.label, self.end = place.path, place.stamp, label, end
        (self.units, self.tokens), self._read = size, read

    def read(self, units: Ints) -> Iterator[Ids]:
        """Rows; see `TokenShard`."""
        column = self._read()
        for unit in units.tolist():
            yield np.asarray(column[unit].values) if column[unit].is_valid else np.zeros(0, "u2")
