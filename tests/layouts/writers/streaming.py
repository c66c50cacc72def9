"""MosaicML's MDS: columns of arrays that are fixed, typed or free, of bytes, and compressed."""

import json
import sys
from pathlib import Path

sys.path.pop(0)
import numpy as np
from streaming import MDSWriter

folder = Path(sys.argv[1])
documents = json.loads((folder / "documents.json").read_text())
for name, encoding, packed in (
    ("shaped", "ndarray:int32:64", None),
    ("typed", "ndarray:int32", None),
    ("free", "ndarray", None),
    ("bytes", "bytes", None),
    ("packed", "ndarray:int32", "zstd"),
):
    columns = {"source": "str", "tokens": encoding}
    out = str(folder / name)
    with MDSWriter(out=out, columns=columns, compression=packed, size_limit=20_000) as writer:
        for number, document in enumerate(documents):
            ids = np.array(document, np.int64 if encoding == "bytes" else np.int32)
            tokens = ids.tobytes() if encoding == "bytes" else ids
            writer.write({"source": f"document {number}", "tokens": tokens})
