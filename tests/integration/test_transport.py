"""From text to transport costs to a sweep that learns what nearness is worth, by command."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from sandbox import MIXOPT

WORDS = {
    "birds": "robin heron finch wren egg nest wing",
    "rocks": "basalt gneiss schist quartz lava fold",
}


def mixopt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MIXOPT, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.mlflow
def test_costs_are_measured_named_in_the_spec_and_learned_from(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    domains = {}
    for name, words in {**WORDS, "held": WORDS["birds"]}.items():
        (tmp_path / name).mkdir()
        for i in range(20):
            text = " ".join(rng.choice(words.split(), 300))
            (tmp_path / name / f"{i}.txt").write_text(text, encoding="utf-8")
        domains[name] = name
    config = {"validation": {"held": domains.pop("held")}, "vocab": 280, "context": 32}
    law = {"use": "auto", "laws": ["gp", {"use": "projektor", "costs": "transport.json"}]}
    spec = {
        "version": 1,
        "name": "near",
        "trainer": {
            "use": "proxies:LanguageModelTrainer",
            "config": {"domains": domains, **config},
        },
        "scales": [{"params": 20_000, "tokens": 4096}],
        "objective": {"minimize": "held"},
        "strategy": {"use": "auto", "design": 8, "proposals": 0, "confirm_seeds": 0, "law": law},
        "execution": {"use": "local"},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    before = mixopt(tmp_path, "run", "spec.yaml")
    assert before.returncode == 2
    assert "there is no file of transport costs 'transport.json'; write it with" in before.stderr
    assert not list(tmp_path.glob("runs/cache/corpus-*"))  # said before any data is prepared
    remedy = mixopt(tmp_path, "transport", "spec.yaml")
    assert remedy.returncode == 0, remedy.stderr
    assert remedy.stdout.index("birds") < remedy.stdout.index("rocks")  # the nearest first
    assert "(nearer)" in remedy.stdout
    done = mixopt(tmp_path, "run", "spec.yaml", "--json", "out.json")
    assert done.returncode == 0, done.stderr
    answer = json.loads((tmp_path / "out.json").read_text())
    assert answer["recommended"]["birds"] > 0.7
