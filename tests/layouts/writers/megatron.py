"""Megatron-LM's indexed dataset."""

import json
import sys
from pathlib import Path

sys.path.pop(0)
import numpy as np
import torch
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

folder = Path(sys.argv[1])
prefix = str(folder / "blend_text_document")
builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.uint16)
for number, document in enumerate(json.loads((folder / "documents.json").read_text())):
    if number % 3:
        builder.add_document(torch.tensor(document), [len(document)])
    else:  # a document of two sequences
        builder.add_document(torch.tensor(document), [10, len(document) - 10])
builder.finalize(f"{prefix}.idx")
