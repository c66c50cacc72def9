"""Hugging Face datasets draws by the exported file."""

import json
import runpy
import sys
from itertools import islice
from pathlib import Path

sys.path.pop(0)  # this folder, in which a file is called like the package
folder = Path(sys.argv[1])
mixture = runpy.run_path(str(folder / "mixture.py"))["mixture"]
tokens = {"web": 0, "code": 0}
draws = 0
for row in islice(mixture(), 10_000):
    tokens[row["domain"]] += len(row["text"].split())
    draws += 1
print(json.dumps({"tokens": tokens, "draws": draws}))  # noqa: T201
