"""torchtitan's own loader draws packed rows by the exported configuration."""

import json
import runpy
import sys
from itertools import islice
from pathlib import Path

sys.path.pop(0)
from datasets import load_dataset
from torchtitan.hf_datasets import DatasetConfig
from torchtitan.hf_datasets.text_datasets import (
    DATASETS,
    InterleavedHuggingFaceTextDataLoader,
)

IDS = {"web": 1, "code": 2}


class Words:
    """A tokenizer that makes one token of a word, the same for all of a domain."""

    eos_id = bos_id = 0

    def encode(self, text, **options):
        """A token for each word."""
        return [IDS[word] for word in text.split()]


def load(path):
    """The rows of a file."""
    return load_dataset("json", data_files=path, split="train")


folder = Path(sys.argv[1])
for domain in IDS:
    DATASETS[domain] = DatasetConfig(path="", loader=load, sample_processor=lambda row: row["text"])
config = runpy.run_path(str(folder / "mixture.py"))["dataloader"]()
loader = InterleavedHuggingFaceTextDataLoader(
    config, dp_world_size=1, dp_rank=0, tokenizer=Words(), seq_len=100, local_batch_size=1
)
tokens, draws = {"web": 0, "code": 0}, 0
for inputs, _ in islice(loader, 10_000):
    row = inputs["input"]
    for domain, number in IDS.items():
        tokens[domain] += int((row == number).sum())
    draws += 1
print(json.dumps({"tokens": tokens, "draws": draws}))  # noqa: T201
