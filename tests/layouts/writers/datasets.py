"""Hugging Face datasets: saved to a folder, and as parquet."""

import json
import sys
from pathlib import Path

sys.path.pop(0)
import datasets

folder = Path(sys.argv[1])
rows = json.loads((folder / "documents.json").read_text())
data = datasets.Dataset.from_dict({"input_ids": rows})
data.save_to_disk(folder / "saved", num_shards=2)
data.to_parquet(folder / "rows.parquet", batch_size=100)
