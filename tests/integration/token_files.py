"""Writers of the layouts of trainers, byte by byte as their own writers have them."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Documents = Sequence[Sequence[int]]


def write_megatron(prefix: Path, documents: Documents, dtype: str = "<u2") -> None:
    """`NAME.bin` and `NAME.idx`, one sequence a document."""
    codes = {"|u1": 1, "<i4": 4, "<i8": 5, "<u2": 8}
    sizes = [len(d) for d in documents]
    kind = np.dtype(dtype)
    starts = np.concatenate(([0], np.cumsum(sizes)))[:-1] * kind.itemsize
    with prefix.with_name(f"{prefix.name}.bin").open("wb") as data:
        for document in documents:
            data.write(np.asarray(document, kind).tobytes())
    with prefix.with_name(f"{prefix.name}.idx").open("wb") as index:
        index.write(b"MMIDIDX\x00\x00" + struct.pack("<QB", 1, codes[kind.str]))
        index.write(struct.pack("<QQ", len(sizes), len(sizes) + 1))
        index.write(np.asarray(sizes, "<i4").tobytes() + starts.astype("<i8").tobytes())
        index.write(np.arange(len(sizes) + 1, dtype="<i8").tobytes())


def write_datatrove(path: Path, documents: Documents, dtype: str = "<u2") -> None:
    """`NAME.ds` and `NAME.ds.index`."""
    path.write_bytes(b"".join(np.asarray(d, dtype).tobytes() for d in documents))
    ends = np.cumsum([len(d) for d in documents]).astype("<u8")
    path.with_name(f"{path.name}.index").write_bytes(ends.tobytes())


def write_flat(path: Path, documents: Documents, dtype: str = "<u2") -> None:
    """A bare array, as OLMo-core has it, whatever it is called."""
    path.write_bytes(b"".join(np.asarray(d, dtype).tobytes() for d in documents))


def write_mds(folder: Path, documents: Documents, encoding: str = "ndarray:int32") -> None:
    """A folder of one shard with a column of text beside that of tokens."""
    folder.mkdir()
    samples = []
    for number, document in enumerate(documents):
        ids = np.asarray(document, "<i4")
        data = ids.tobytes()
        if encoding == "ndarray:int32":
            data = bytes([(1 << 2) | 1]) + struct.pack("<H", len(ids)) + data
        elif encoding == "ndarray":
            data = bytes([33, (1 << 2) | 2]) + struct.pack("<I", len(ids)) + data
        name = f"document {number}".encode()
        samples.append(struct.pack("<II", len(name), len(data)) + name + data)
    config = b'{"version": 2}'
    head = 4 + 4 * (len(samples) + 1) + len(config)
    offsets = head + np.concatenate(([0], np.cumsum([len(s) for s in samples])))
    (folder / "shard.00000.mds").write_bytes(
        struct.pack("<I", len(samples))
        + offsets.astype("<u4").tobytes()
        + config
        + b"".join(samples)
    )
    entry = {
        "column_names": ["name", "tokens"],
        "column_encodings": ["str", encoding],
        "column_sizes": [None, None],
        "raw_data": {"basename": "shard.00000.mds", "bytes": 1, "hashes": {}},
        "zip_data": None,
        "compression": None,
        "samples": len(samples),
        "format": "mds",
    }
    (folder / "index.json").write_text(json.dumps({"version": 2, "shards": [entry]}))


def write_litdata(folder: Path, documents: Documents) -> None:
    """A folder of one chunk of 32-bit tensors."""
    folder.mkdir()
    items = [np.asarray(d, "<i4").tobytes() for d in documents]
    head = 4 + 4 * (len(items) + 1)
    offsets = head + np.concatenate(([0], np.cumsum([len(i) for i in items])))
    (folder / "chunk-0-0.bin").write_bytes(
        struct.pack("<I", len(items)) + offsets.astype("<u4").tobytes() + b"".join(items)
    )
    chunk = {
        "chunk_bytes": int(offsets[-1]),
        "chunk_size": len(items),
        "dim": sum(len(d) for d in documents),
        "filename": "chunk-0-0.bin",
    }
    config = {"data_format": ["no_header_tensor:16"], "compression": None, "encryption": None}
    (folder / "index.json").write_text(json.dumps({"chunks": [chunk], "config": config}))


def write_parquet(path: Path, documents: Documents, rows: int = 50) -> None:
    """A column of lists, in groups of rows."""
    table = pa.table({"input_ids": pa.array([list(d) for d in documents], pa.list_(pa.int32()))})
    pq.write_table(table, path, row_group_size=rows)


def write_arrow(path: Path, documents: Documents, rows: int = 50) -> None:
    """The stream of a saved Hugging Face dataset."""
    table = pa.table({"input_ids": pa.array([list(d) for d in documents], pa.list_(pa.int32()))})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=rows)
