"""TRL's own configuration class and loader take the exported YAML."""

import json
import sys
from pathlib import Path

sys.path.pop(0)
import yaml
from trl.scripts.utils import DatasetMixtureConfig, get_dataset

values = yaml.safe_load((Path(sys.argv[1]) / "mixture.yaml").read_text())
rows = get_dataset(DatasetMixtureConfig(**values))["train"]
tokens = {"web": 0, "code": 0}
for row in rows:
    tokens[row["domain"]] += len(row["text"].split())
print(json.dumps({"tokens": tokens, "draws": len(rows)}))  # noqa: T201
