"""The benchmark compares like with like, and writes what it promises."""

import json

import pytest
import torch

from analysis import throughput
from analysis.plain import PlainTrainer
from mixopt.runs import Scale
from proxies.lm.model import PackedModel
from proxies.lm.optimizer import Optimizers
from proxies.lm.recipe import LanguageModelConfig, derive
from proxies.lm.steps import TrainingStep

CPU = torch.device("cpu")


def test_the_plain_trainer_trains_the_same_network():
    config = LanguageModelConfig(width=64, context=16, bigrams=256)
    recipe = derive(Scale(50_000, 16_384), 100, config)
    plain = PlainTrainer(recipe, CPU)
    model = PackedModel(recipe.shape, [0], CPU, torch.float32)
    learn = TrainingStep(model, Optimizers(model, recipe))
    generator = torch.Generator().manual_seed(0)
    for step in range(8):
        ids = torch.randint(0, 100, (8, 17), generator=generator)
        assert float(learn(step, ids[None])) == pytest.approx(
            float(plain.step(step, ids)), rel=2e-3
        )


@pytest.mark.slow
def test_records_have_the_promised_fields(tmp_path, capsys):
    path = tmp_path / "out.json"
    arguments = ["--sizes", "40k", "--packs", "2", "--rounds", "2", "--tokens", "8192"]
    assert throughput.main([*arguments, "--device", "cpu", "--json", str(path)]) == 0
    records = json.loads(path.read_text())
    assert {r["mode"] for r in records} == {"plain", "single", "packed"}
    promised = "device params mode pack tokens_per_second runs_per_hour flops_utilisation"
    for record in records:
        assert set(promised.split()) <= set(record)
        assert record["tokens_per_second"] > 0
        assert 0 < record["flops_utilisation"] < 1.5
    assert "the trainer packs" in capsys.readouterr().out
