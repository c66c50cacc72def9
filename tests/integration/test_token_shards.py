"""From a Megatron corpus made here to a Megatron export, by the commands."""

import json
from pathlib import Path

import numpy as np
import pytest
import token_files
import yaml
from sandbox import mixopt

CONFIG = {"vocab": 128, "context": 16, "width": 32, "bigrams": 0, "batch": 4}


@pytest.mark.slow
def test_a_mixture_of_megatron_shards_is_exported_to_megatron(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    domains = {}
    for at, name in enumerate(("web", "code")):
        ids = rng.choice(30_000, 300, replace=False)
        for part in range(2):
            documents = [[*rng.choice(ids, 25).tolist(), 0] for _ in range(400 * (at + 1))]
            (tmp_path / name).mkdir(exist_ok=True)
            token_files.write_megatron(tmp_path / name / f"{part}_text_document", documents)
        domains[name] = {"shards": name, "format": "megatron", "end": 0}
    spec = {
        "version": 1,
        "name": "shards",
        "trainer": {
            "use": "proxies:LanguageModelTrainer",
            "config": {**CONFIG, "domains": domains},
        },
        "scales": [{"params": 20_000, "tokens": 2048}],
        "objective": {"minimize": ["web", "code"]},
        "strategy": {"use": "random", "runs": 4},
        "execution": {"use": "local"},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    ran = mixopt("run", "spec.yaml", "--json", "out.json", cwd=tmp_path)
    assert "nats/token" in ran.stdout
    assert "2 domains, 62.4k tokens: code 41.6k, web 20.8k" in ran.stderr  # by the indexes
    mixture = json.loads((tmp_path / "out.json").read_text())["recommended"]
    blend = ("-f", "megatron", "--set", "style=args", "-o", "blend.txt")
    mixopt("export", "runs/shards", *blend, cwd=tmp_path)
    words = (tmp_path / "blend.txt").read_text().split()
    weights = dict(zip(words[1::2], map(float, words[::2]), strict=True))
    assert set(weights) == {f"{n}/{p}_text_document" for n in ("web", "code") for p in (0, 1)}
    for name, share in mixture.items():
        parts = [weight for path, weight in weights.items() if path.startswith(name)]
        assert parts[0] == parts[1]  # of as many tokens
        assert abs(sum(parts) - share) < 1e-4
