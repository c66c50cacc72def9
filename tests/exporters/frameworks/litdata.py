"""litData combines by the exported file."""

import json
import runpy
import sys
from itertools import islice
from pathlib import Path

sys.path.pop(0)
import litdata


def item(line):
    """A row as an item of a chunk."""
    row = json.loads(line)
    return {"domain": row["domain"], "tokens": len(row["text"].split())}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for domain in ("web", "code"):
        lines = (folder / f"{domain}.jsonl").read_text().splitlines()
        litdata.optimize(
            item, lines, output_dir=str(folder / domain), chunk_bytes="1MB", num_workers=1
        )
    mixture = runpy.run_path(str(folder / "mixture.py"))["mixture"](shuffle=True)
    tokens, draws = {"web": 0, "code": 0}, 0
    for row in islice(mixture, 10_000):
        tokens[row["domain"]] += int(row["tokens"])
        draws += 1
    print(json.dumps({"tokens": tokens, "draws": draws}))  # noqa: T201
