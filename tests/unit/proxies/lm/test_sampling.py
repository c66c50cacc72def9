"""Runs whose documents are sampled by quality: what they read, whatever they are packed with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.runs import MixerSpec, RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from tests.unit.proxies.texts import WORDS

SCALE = Scale(params=20_000, tokens=2_048)
TINY = {"vocab": 300, "validation_fraction": 0.2, "context": 32, "width": 32, "bigrams": 512}
BEST = {"*": {"cut": 0.25, "scores": {"edu": 1}}, "rocks": {"exponent": 1.0}}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two domains of records, with a score of each."""
    root = tmp_path_factory.mktemp("scored")
    for seed, (name, words) in enumerate(WORDS.items()):
        rng = np.random.default_rng(seed)
        rows = [
            {"text": " ".join(rng.choice(words, 150)), "edu": float(rng.random())}
            for _ in range(250)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (root / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return {name: str(root / f"{name}.jsonl") for name in WORDS}


def trainer(scored: dict[str, str], sampling: Any = BEST, **more: Any) -> LanguageModelTrainer:
    given = {"domains": scored, "scores": {"edu": "high"}, "sampling": sampling, **TINY, **more}
    return LanguageModelTrainer(**given)


def spec(seed: int = 0, **weights: float) -> RunSpec:
    return RunSpec(Mixture.of(weights), SCALE, seed=seed, config={"sampling": BEST})


def test_a_run_reads_what_its_sampler_says_whatever_it_is_packed_with(
    scored: dict[str, str], cache: Path
) -> None:
    own = trainer(scored)
    alone = own.train([spec(3, birds=0.5, rocks=0.5)], cache)[0]
    packed = own.train([spec(0, birds=1.0), spec(3, birds=0.5, rocks=0.5)], cache)[1]
    assert alone.ok, alone.error
    assert dict(packed.metrics) == dict(alone.metrics)
    read = alone.info["sampling"]
    assert packed.info["sampling"] == read
    assert read["birds"]["ratio"] == pytest.approx(0.25, abs=0.03)
    assert read["birds"]["copies"] == read["birds"]["read"]
    assert read["rocks"]["expected"] > 0.4
    assert read["rocks"]["copies"] > 1.5 * read["rocks"]["read"]
    tokens = own.corpus(cache).unique_tokens()
    half = SCALE.tokens / 2
    epochs = half / (read["birds"]["ratio"] * tokens["birds"])
    assert alone.info["epochs"]["birds"] == pytest.approx(epochs, rel=0.02)


def test_a_sampler_that_reads_all_once_changes_nothing(scored: dict[str, str], cache: Path) -> None:
    run = RunSpec(Mixture.of({"birds": 0.5, "rocks": 0.5}), SCALE)
    plain = trainer(scored, None).train([run], cache)[0]
    all_of_it = trainer(scored, {"*": {"cut": 1.0}}).train([run], cache)[0]
    assert dict(all_of_it.metrics) == dict(plain.metrics)
    assert all_of_it.info["epochs"] == plain.info["epochs"]
    assert "sampling" not in plain.info


def test_a_pool_of_repetition_is_sampled_in_turn(scored: dict[str, str], cache: Path) -> None:
    matched = {"budget": SCALE.tokens * 10, "tokens": {"birds": 5_000 * 10}}
    own = trainer(scored, match_repetition=matched)
    seen = own.train([spec(birds=1.0)], cache)[0]
    pool = seen.info["repetition"]["pools"]["birds"]
    assert pool < own.corpus(cache).unique_tokens()["birds"]
    assert seen.info["sampling"]["birds"]["documents"] < 100
    read = seen.info["sampling"]["birds"]["ratio"] * pool
    assert seen.info["epochs"]["birds"] == pytest.approx(SCALE.tokens / read, rel=0.01)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"scores": None}, "none of them is scored; give scores"),
        ({"sampling": {"birds": {"cut": 2}}}, r"sampling\.birds: cut is 2"),
        ({"sampling": {"birds": {"scores": {"edo": 1}}}}, "did you mean 'edu'"),
    ],
)
def test_what_cannot_be_sampled_is_refused_at_once(
    more: dict[str, Any], message: str, scored: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=message):
        trainer(scored, **more)


def test_a_sampler_of_no_domain_and_a_mixer_are_refused(
    scored: dict[str, str], cache: Path
) -> None:
    with pytest.raises(InputError, match=r"no domain 'bird'; .*did you mean 'birds'"):
        trainer(scored, {"bird": {"cut": 0.5}}).prepare(cache)
    mixed = RunSpec(Mixture.of({"birds": 0.5, "rocks": 0.5}), SCALE, mixer=MixerSpec("odm"))
    seen = trainer(scored).train([mixed], cache)[0]
    assert "reads whole domains" in seen.error
