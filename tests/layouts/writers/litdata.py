"""litData's chunks for its TokensLoader."""

import json
import sys
from pathlib import Path

sys.path.pop(0)
import litdata
import torch


def item(document):
    """A document as an item of a chunk."""
    return torch.tensor(document, dtype=torch.int32)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    litdata.optimize(
        item,
        json.loads((folder / "documents.json").read_text()),
        output_dir=str(folder / "chunks"),
        chunk_size=2049,
        item_loader=litdata.TokensLoader(),
        num_workers=1,
    )
