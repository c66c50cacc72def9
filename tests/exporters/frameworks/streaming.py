"""MosaicML Streaming draws by the exported streams."""

import json
import sys
from pathlib import Path

sys.path.pop(0)
from streaming import MDSWriter, Stream, StreamingDataset

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    columns = {"domain": "str", "tokens": "int"}
    for domain in ("web", "code"):
        lines = (folder / f"{domain}.jsonl").read_text().splitlines()
        with MDSWriter(out=str(folder / domain), columns=columns) as shards:
            for line in lines:
                row = json.loads(line)
                shards.write({"domain": domain, "tokens": len(row["text"].split())})
    values = json.loads((folder / "mixture.json").read_text())
    streams = [Stream(**stream) for stream in values["streams"]]
    data = StreamingDataset(
        streams=streams,
        epoch_size=10_000,
        batch_size=1,
        shuffle=True,
        shuffle_seed=values["shuffle_seed"],
    )
    tokens, draws = {"web": 0, "code": 0}, 0
    for row in data:
        tokens[row["domain"]] += int(row["tokens"])
        draws += 1
    print(json.dumps({"tokens": tokens, "draws": draws}))  # noqa: T201
