"""Experts merged from the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from mixopt.app.commands import app
from mixopt.errors import InputError

WORDS = {"birds": "robin heron finch crane stork", "rocks": "basalt gneiss schist quartz flint"}


def invoke(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.output


def refused(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert isinstance(done.exception, InputError), done.output
    return str(done.exception)


@pytest.mark.slow
def test_a_merge_follows_its_target_and_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    domains: dict[str, str] = {}
    for name, words in WORDS.items():
        rng, place = np.random.default_rng(len(name)), tmp_path / f"{name}.jsonl"
        rows = [{"text": " ".join(rng.choice(words.split(), size=80))} for _ in range(220)]
        place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        domains[name] = str(place)
    tiny = {"vocab": 280, "context": 32, "width": 32, "bigrams": 0, "validation_fraction": 0.2}
    spec: dict[str, Any] = {
        "version": 1,
        "name": "merge",
        "trainer": {
            "use": "proxies.experts:MergeTrainer",
            "config": {**tiny, "domains": domains, "start_share": 0.5, "calibration_runs": 0},
        },
        "scales": [{"params": 20_000, "tokens": 4096}],
        "objective": {"minimize": "birds"},
        "strategy": {"use": "random", "runs": 4},
        "execution": {"use": "local"},
    }
    Path("spec.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    few = ("--steps", "25", "--rate", "0.02", "--sequences", "8")
    said = invoke("merge", "spec.yaml", *few, "--out", "m.safetensors", "--json", "merge.json")
    values = json.loads(Path("merge.json").read_text())
    assert (values["target"], values["guard"]) == ("birds", None)
    assert values["metrics"]["birds"] < values["uniform"]["birds"]
    assert set(load_file("m.safetensors")) == set(values["coefficients"])
    means = dict(
        zip(values["domains"], np.mean([*values["coefficients"].values()], 0), strict=True)
    )
    assert means["birds"] > means["rocks"]
    coefficients = said[said.index("Coefficients") :]
    assert coefficients.index("birds") < coefficients.index("rocks")  # the largest mean first
    assert "'fish', which is no validation set" in refused("merge", "spec.yaml", "--target", "fish")
    spec["trainer"]["use"] = "proxies:LanguageModelTrainer"
    spec["trainer"]["config"] = {**tiny, "domains": domains}
    Path("spec.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    assert "no experts to merge" in refused("merge", "spec.yaml")
