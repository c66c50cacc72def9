"""grain mixes by the exported JSON, as MaxText does."""

import json
import sys
from pathlib import Path

sys.path.pop(0)
import grain

values = json.loads((Path(sys.argv[1]) / "mixture.json").read_text())
names = list(values)
parts = [grain.MapDataset.source([name] * 10).repeat() for name in names]
mixed = grain.MapDataset.mix(parts, weights=[values[name]["weight"] for name in names])
drawn = [mixed[i] for i in range(10_000)]
lengths = {"web": 40, "code": 10}
tokens = {name: drawn.count(name) * lengths[name] for name in names}
print(json.dumps({"tokens": tokens, "draws": len(drawn)}))  # noqa: T201
