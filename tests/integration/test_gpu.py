"""On a GPU a run is what it is on a CPU: recorded steps, a batch that grows, packs. Needs a GPU."""

import logging

import pytest
import torch
from torch import Tensor

from mixopt.runs import Scale
from proxies.lm import compiling
from proxies.lm.model import HALVES, PackedModel
from proxies.lm.optimizer import Optimizers
from proxies.lm.packing import memory_per_run, pack_size, sequences_at_once
from proxies.lm.recipe import LanguageModelConfig, Recipe, derive
from proxies.lm.steps import TrainingStep

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

VOCAB, RUNS = 100, 3
CONFIG = LanguageModelConfig(width=64, context=32, bigrams=256)


def batches(recipe: Recipe) -> list[Tensor]:
    """Sequences in which a token mostly says the next; twice as many from the 20th step on."""
    generator, found = torch.Generator().manual_seed(0), []
    for number in range(min(recipe.steps, 40)):
        size = (RUNS, 8 if number < 20 else 16, 1)
        tokens = [torch.randint(0, VOCAB, size, generator=generator)]
        for _ in range(32):
            strange = torch.randint(0, VOCAB, size, generator=generator)
            plain = torch.rand(size, generator=generator) < 0.8
            tokens.append(torch.where(plain, (3 * tokens[-1] + 1) % VOCAB, strange))
        found.append(torch.cat(tokens, dim=-1))
    return found


def trained(recipe: Recipe, device: str, dtype: torch.dtype, compiled_at: int = -1) -> Tensor:
    """(steps, K) losses."""
    model = PackedModel(recipe.shape, range(RUNS), torch.device(device), dtype)
    step, losses = TrainingStep(model, Optimizers(model, recipe)), []
    for i, ids in enumerate(batches(recipe)):
        if i == compiled_at:
            step.compile(ids.to(device))
            assert model.halves is not HALVES
        losses.append(step(i, ids).cpu())
    return torch.stack(losses)


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 2e-3), (torch.bfloat16, 2e-2)])
def test_recorded_steps_train_what_a_cpu_trains_also_when_the_batch_grows(dtype, off):
    recipe = derive(Scale(100_000, 65_536), VOCAB, CONFIG)
    ours, exact = trained(recipe, "cuda", dtype), trained(recipe, "cpu", torch.float32)
    torch.testing.assert_close(ours, exact, rtol=off, atol=off)
    assert ours[-1].max() < 0.6 * ours[0].min()


def test_compiled_blocks_train_what_a_cpu_trains_also_when_the_batch_grows():
    recipe = derive(Scale(100_000, 65_536), VOCAB, CONFIG)
    ours = trained(recipe, "cuda", torch.bfloat16, compiled_at=8)
    exact = trained(recipe, "cpu", torch.float32)
    torch.testing.assert_close(ours, exact, rtol=2e-2, atol=2e-2)


def test_blocks_are_compiled_on_the_way_where_that_pays(monkeypatch, caplog):
    monkeypatch.setattr(compiling, "SECONDS", 0.0)
    recipe = derive(Scale(100_000, 65_536), VOCAB, CONFIG)
    with caplog.at_level(logging.INFO, logger="proxies"):
        ours = trained(recipe, "cuda", torch.bfloat16)
    assert caplog.text.count("blocks compiled") == 2  # once per batch size
    torch.testing.assert_close(ours, trained(recipe, "cpu", torch.float32), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("params", [10**6, 15 * 10**6, 10**9])
def test_a_pack_and_its_parts_fit_the_memory(params: int):
    recipe, device = (
        derive(Scale(params, 65_536), 1024, LanguageModelConfig()),
        torch.device("cuda"),
    )
    runs = pack_size(recipe, device)
    assert runs * memory_per_run(recipe) < torch.cuda.get_device_properties(0).total_memory
    assert sequences_at_once(recipe.shape, runs, device) >= 1
