"""Documents sampled by quality, from the command line: what is run, answered and refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import mixopt
from mixopt.app.commands import app
from mixopt.app.running.launch import open_sweep
from mixopt.lazy import load
from mixopt.runs.document_rule import read_rules
from mixopt.runs.document_sampling import samplers_of
from mixopt.runs.knobs import set_knobs

pytest.importorskip("lightgbm")

WORDS = {"birds.eu": "robin heron finch crane stork", "rocks": "basalt gneiss schist quartz flint"}


def spec(folder: Path, strategy: dict[str, Any], **more: Any) -> None:
    """A spec of two scored domains, one of which has a dot in its name."""
    domains = {}
    for name, words in WORDS.items():
        rng, place = np.random.default_rng(len(name)), folder / f"{name}.jsonl"
        rows = [
            {"text": " ".join(rng.choice(words.split(), size=80)), "edu": round(rng.random(), 3)}
            for _ in range(220)
        ]
        place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        domains[name] = str(place)
    tiny = {"vocab": 280, "context": 32, "width": 32, "bigrams": 0, "validation_fraction": 0.2}
    scores = {"edu": "high", "bigram_perplexity": "low"}
    values = {
        "version": 1,
        "name": "quality",
        "trainer": {
            "use": "proxies:LanguageModelTrainer",
            "config": {**tiny, "domains": domains, "scores": scores},
        },
        "scales": [{"params": 20_000, "tokens": 2048}],
        "objective": {"minimize": "rocks"},
        "strategy": strategy,
        "execution": {"use": "local"},
        **more,
    }
    Path("spec.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def invoke(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
@pytest.mark.mlflow
def test_quadmix_runs_resumes_and_answers_with_samplers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec(tmp_path, {"use": "quadmix", "runs": 8, "candidates": 200, "explicit_share": True})
    output = invoke("run", "spec.yaml")
    assert "Tokens read over those there are, by domain: birds.eu" in " ".join(output.split())
    with open_sweep(Path("runs/quality")) as sweep:
        seen = sweep.store.observations()
    assert len(seen) == 8
    for one in seen:
        asked = samplers_of(one.spec.config["sampling"])
        for name, read in one.info["sampling"].items():
            assert read["expected"] == pytest.approx(asked[name].mean, abs=1e-4)
            assert read["filled"] or read["ratio"] == pytest.approx(asked[name].mean, abs=0.08)
    assert 'sampling."birds.eu".cut' in invoke("run", "spec.yaml")
    told = invoke("documents", "runs/quality", "-o", "documents.json")
    assert "birds.eu" in told
    rules = read_rules(json.loads(Path("documents.json").read_text()))
    finished = mixopt.open_sweep(Path("runs/quality"))
    again = finished.observations[0].spec
    config = set_knobs(again.config, dict(finished.outcome().settings))
    trainer = load(again.trainer)(**config)
    documents = trainer.scored_documents(Path("runs/cache"), again.data)
    samplers = samplers_of(config["sampling"])
    for name, rule in rules.items():
        of = documents[name]
        assert rule is not None
        assert rule.documents == len(of.sizes)
        expected = rule.expected(dict(zip(of.names, of.values.T, strict=True)))
        read = float(expected @ of.sizes) / of.sizes.sum()
        assert read == pytest.approx(samplers[name].mean, abs=0.02)
        assert of.values[:, of.names.index("edu")].min() >= 0  # as they were given


@pytest.mark.slow
@pytest.mark.mlflow
def test_joint_turns_one_cut_for_all_domains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    knobs = {
        "sampling.*.cut": {"low": 0.1, "high": 1.0, "log": True},
        'sampling."birds.eu".floor': {"low": 0.0, "high": 0.1},
    }
    spec(tmp_path, {"use": "joint", "design": 4, "runs": 6}, knobs=knobs)
    invoke("run", "spec.yaml")
    with open_sweep(Path("runs/quality")) as sweep:
        for one in sweep.store.observations():
            made = one.spec.config["sampling"]
            assert set(made) == {"*", "birds.eu"}
            assert one.info["sampling"]["rocks"]["expected"] == pytest.approx(
                made["*"]["cut"], abs=1e-4
            )


@pytest.mark.slow
def test_a_document_without_a_score_is_named_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec(tmp_path, {"use": "quadmix", "runs": 8})
    lines = (tmp_path / "rocks.jsonl").read_text().splitlines()
    lines[41] = json.dumps({"text": "gneiss of no score"})
    (tmp_path / "rocks.jsonl").write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["check", "spec.yaml"])
    assert done.exit_code != 0
    told = f"{done.output} {done.exception}"
    assert "line 42 of rocks.jsonl" in told
    assert "has no score 'edu'" in told
