"""OLMo-core selects tokens by the exported SourceMixture, one domain more than once."""

import json
import sys
from pathlib import Path

sys.path.pop(0)
import numpy as np
import yaml
from olmo_core.data.source_mixture import (
    SourceMixtureConfig,
    SourceMixtureDatasetConfig,
    SourceMixtureList,
)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for domain, tokens in (("web", 320_000), ("code", 160_000)):
        np.ones(tokens, dtype=np.uint32).tofile(folder / f"{domain}.npy")  # raw, without a header
    values = yaml.safe_load((folder / "mixture.yaml").read_text())
    sources = SourceMixtureList([SourceMixtureConfig(**source) for source in values["sources"]])
    for source in sources.sources:
        source.validate()
    config = SourceMixtureDatasetConfig(
        source_list=sources, requested_tokens=500_000, global_batch_size=1000, render_tables=False
    )
    made = config.build(npdtype=np.uint32, sequence_length=100)
    drawn = {s.name: sum(path.tokens for path in s.path_tokens) for s in made.sources}
    print(json.dumps({"tokens": drawn, "draws": sum(drawn.values()) // 100}))  # noqa: T201
