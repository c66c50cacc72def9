"""A pack gives every run what it gets alone, whatever happens to its neighbours."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import proxies.lm.train as train_module
import proxies.lm.trainer as trainer_module
from mixopt.runs import RunSpec, Scale
from mixopt.runs.kinds import REPEAT
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.lm.embedding import SparseTable
from proxies.lm.evaluate import nats, score
from proxies.lm.functions import (
    attention,
    cross_entropy,
    norm,
    relu_squared,
    rotate,
    token_nats,
)
from proxies.lm.model import PackedModel, Shape
from proxies.lm.optimizer import NEWTON_SCHULZ_STEPS, Optimizers, orthogonalized
from proxies.lm.packing import is_out_of_memory, memory_per_run, pack_size
from proxies.lm.recipe import LanguageModelConfig, derive
from proxies.lm.steps import TrainingStep

SCALE = Scale(params=20_000, tokens=8192)
TINY = {"vocab": 300, "validation_fraction": 0.2, "context": 32, "width": 32, "bigrams": 512}
CPU = torch.device("cpu")


def spec(seed: int = 0, scale: Scale = SCALE, **weights: float) -> RunSpec:
    return RunSpec(Mixture.of(weights), scale, seed=seed)


def eight() -> list[RunSpec]:
    """Different mixtures and different seeds in one pack."""
    mixtures = [{"birds": w, "rocks": 1 - w} for w in (0.25, 0.5, 0.75)] + [{"rocks": 1.0}]
    return [spec(seed, **mixture) for seed in (0, 1) for mixture in mixtures]


@pytest.fixture(scope="module")
def trainer(text) -> LanguageModelTrainer:
    return LanguageModelTrainer(domains=text, precision="float32", pack=8, **TINY)


@pytest.fixture(scope="module")
def alone(trainer, cache):
    trainer.prepare(cache)
    return [trainer.train([run], cache)[0] for run in eight()]


# float32: the order of a sum may differ in the last bit; 64 steps at high rates make more of it
@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_run_in_a_pack_gets_what_it_gets_alone(trainer, cache, alone, size):
    packed = trainer.train(eight()[:size], cache)
    for one, many in zip(alone[:size], packed, strict=True):
        assert many.info["pack"] == size
        assert many.run_id == one.run_id
        assert many.tokens == one.tokens
        assert many.info["train_loss_nats"] == pytest.approx(one.info["train_loss_nats"], rel=1e-4)
        for name, value in one.metrics.items():
            assert many.metrics[name] == pytest.approx(value, rel=1e-4)
        for ours, theirs in zip(many.curve, one.curve, strict=True):
            assert ours.tokens == theirs.tokens
            assert ours.metrics == pytest.approx(dict(theirs.metrics), rel=1e-4)
    assert len({o.metrics["birds"] for o in packed}) == size


def test_bfloat16_in_a_pack_is_within_the_noise_of_seeds(text, cache, alone):
    low = LanguageModelTrainer(domains=text, precision="bfloat16", pack=4, **TINY)
    packed = low.train(eight()[:4], cache)
    (single,) = low.train(eight()[:1], cache)
    assert packed[0].metrics == pytest.approx(dict(single.metrics), rel=3e-3)
    for ours, exact in zip(packed, alone[:4], strict=True):
        assert ours.metrics == pytest.approx(dict(exact.metrics), rel=2e-2)


def test_a_run_that_turns_into_nan_leaves_its_neighbours_alone(trainer, cache, alone, monkeypatch):
    class Poisoned(train_module.Pack):
        def _one_step(self) -> None:
            if self.step == 4 and len(self.runs) > 1:
                with torch.no_grad():
                    self.model.parameters["qkv.0"][1] = math.nan
            super()._one_step()

    monkeypatch.setattr(train_module, "Pack", Poisoned)
    good, bad, other = trainer.train(eight()[:3], cache)
    assert bad.status == "failed"
    assert "step 5 of" in bad.error
    assert bad.info["tokens_done"] == 4 * 1024
    for seen, exact in ((good, alone[0]), (other, alone[2])):
        assert seen.metrics == pytest.approx(dict(exact.metrics), rel=1e-4)


def test_out_of_memory_halves_the_pack_and_goes_on(trainer, cache, alone, monkeypatch, caplog):
    sizes: list[int] = []
    train_pack = trainer_module.train_pack

    def small(setting, specs, report):
        sizes.append(len(specs))
        if len(specs) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return train_pack(setting, specs, report)

    monkeypatch.setattr(trainer_module, "train_pack", small)
    packed = trainer.train(eight()[:5], cache)
    assert sizes == [5, 2, 3, 1, 2]
    assert [o.spec for o in packed] == eight()[:5]
    for one, many in zip(alone[:5], packed, strict=True):
        assert many.metrics == pytest.approx(dict(one.metrics), rel=1e-4)
    assert "out of memory" in caplog.text


def test_what_one_run_alone_cannot_do_fails_that_run_only(trainer, cache, monkeypatch):
    train_pack, bad = trainer_module.train_pack, eight()[1]

    def breaks(setting, specs, report):
        if bad in specs:
            raise RuntimeError("no luck")
        return train_pack(setting, specs, report)

    monkeypatch.setattr(trainer_module, "train_pack", breaks)
    found = trainer.train(eight()[:3], cache)
    assert [o.ok for o in found] == [True, False, True]
    assert "no luck" in found[1].error


def test_more_runs_than_a_pack_holds_are_trained_in_turns(text, cache, alone):
    small = LanguageModelTrainer(domains=text, precision="float32", pack=3, **TINY)
    found = small.train(eight()[:4], cache)
    assert [o.info["pack"] for o in found] == [2, 2, 2, 2]
    assert [o.spec for o in found] == eight()[:4]
    assert found[3].metrics == pytest.approx(dict(alone[3].metrics), rel=1e-4)


def test_the_same_run_twice_in_a_pack_is_answered_twice(trainer, cache):
    first, second = trainer.train([eight()[0], replace(eight()[0], kind=REPEAT)], cache)
    assert first.metrics == second.metrics


# -- the parts ---------------------------------------------------------------------------------


def leaf(*size: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.requires_grad_()


def test_gradients_written_out_are_those_of_the_function():
    check = torch.autograd.gradcheck
    assert check(lambda x: norm(x, torch.float64), (leaf(2, 3, 8),))
    assert check(relu_squared, (leaf(2, 3, 8),))
    angle = torch.rand(5, 1, 4, dtype=torch.float64)
    cos = torch.cat((angle.cos(), angle.cos()), -1)
    sin = torch.cat((-angle.sin(), angle.sin()), -1)
    assert check(lambda x: rotate(x, cos, sin), (leaf(2, 5, 3, 8),))


def test_cross_entropy_in_chunks_is_that_of_torch():
    x, head = leaf(2, 7, 4).detach().float(), leaf(2, 11, 4, seed=1).detach().float()
    targets = torch.arange(14).view(2, 7) % 11
    for limit in (11 * 3, 11 * 7, 11 * 14):
        a, b = (t.clone().requires_grad_() for t in (x, head))
        ours = cross_entropy(a, b, targets, limit)
        c, d = (t.clone().requires_grad_() for t in (x, head))
        logits = c @ d.transpose(1, 2)
        each = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="none"
        ).view(2, 7)
        torch.testing.assert_close(ours, each.mean(1))
        torch.testing.assert_close(token_nats(x, head, targets, limit), each.detach())
        (ours * torch.tensor([1.0, 3.0])).sum().backward()
        (each.mean(1) * torch.tensor([1.0, 3.0])).sum().backward()
        torch.testing.assert_close(a.grad, c.grad)
        torch.testing.assert_close(b.grad, d.grad)


def test_attention_is_causal_dot_product_attention():
    q, k, v = (leaf(2, 6, 3, 8, seed=s).detach().float() for s in range(3))
    mask = torch.full((6, 6), float("-inf")).triu(1)
    ours = attention(q, k, v, mask, 1.5)
    fused = torch.nn.functional.scaled_dot_product_attention(
        *(t.transpose(1, 2) for t in (q, k, v)), is_causal=True, scale=1.5 / math.sqrt(8)
    )
    torch.testing.assert_close(ours, fused.transpose(1, 2).reshape(2, 6, 24))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=12))
def test_the_sparse_table_moves_like_adam_over_the_whole_table(steps):
    torch_table = torch.zeros(6, 3, requires_grad=True)
    adam = torch.optim.AdamW([torch_table], betas=(0.9, 0.98), eps=1e-10, weight_decay=0.0)
    table = SparseTable(1, 6, 3, CPU)
    table.reserve(len(steps))
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(6, 3, generator=generator)
    for number, rows in enumerate(steps):
        index = torch.tensor(rows, dtype=torch.int64)
        rate = 0.1 / (number + 1)
        weights = torch.randn(len(rows), 3, generator=generator)
        ((table.read(index) - target[index]) * weights).square().sum().backward()
        table.step(torch.tensor(rate), (0.9, 0.98))
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        loss = ((torch_table[index] - target[index]) * weights).square().sum()
        loss.backward()
        adam.step()
        found = table.lookup(torch.arange(6))
        torch.testing.assert_close(found, torch_table.detach(), rtol=1e-4, atol=1e-5)


def test_orthogonalising_a_batch_is_orthogonalising_each():
    matrices = leaf(5, 12, 8).detach().float()
    together = orthogonalized(matrices)
    for one, many in zip(matrices, together, strict=True):
        torch.testing.assert_close(orthogonalized(one[None])[0], many, rtol=0.02, atol=0.02)
        values = torch.linalg.svdvals(many.float())
        assert values.min() > 0.3
        assert values.max() < 1.4
    assert NEWTON_SCHULZ_STEPS == 3
    tall, wide = together.shape[1:], orthogonalized(matrices.transpose(1, 2)).shape[1:]
    assert tuple(tall) == tuple(reversed(wide))


def test_steps_of_a_stacked_model_are_those_of_its_runs():
    shape = Shape(50, 32, 2, 1, 16, 64)
    models = [PackedModel(shape, seeds, CPU, torch.float32) for seeds in ([3, 4], [4])]
    for name, both in models[0].parameters.items():
        assert torch.equal(both[1], models[1].parameters[name][0])
    ids = torch.arange(2 * 4 * 17).view(2, 4, 17) % 50
    recipe = derive(Scale(20_000, 6144), 50, LanguageModelConfig(width=32, context=16))
    for model, part in zip(models, (ids, ids[1:]), strict=True):
        learn = TrainingStep(model, Optimizers(model, recipe))
        for step in range(recipe.steps):
            learn(step, part)
    for name, both in models[0].parameters.items():
        torch.testing.assert_close(both[1], models[1].parameters[name][0], rtol=1e-3, atol=1e-4)


def test_a_batch_in_parts_teaches_what_it_teaches_at_once():
    shape = Shape(50, 32, 2, 1, 16, 0)
    recipe = derive(Scale(20_000, 4096), 50, LanguageModelConfig(width=32, context=16, bigrams=0))
    ids = torch.arange(2 * 7 * 17).view(2, 7, 17) % 50
    models = [PackedModel(shape, [3, 4], CPU, torch.float32) for _ in range(2)]
    steps = [
        TrainingStep(model, Optimizers(model, recipe), at_once=n)
        for model, n in zip(models, (7, 3), strict=True)
    ]
    for number in range(recipe.steps):
        whole, parts = (step(number, ids) for step in steps)
        torch.testing.assert_close(whole, parts, rtol=1e-3, atol=1e-4)
    assert float(whole.max()) < 0.8 * math.log(50)
    for name, tensor in models[0].parameters.items():
        torch.testing.assert_close(tensor, models[1].parameters[name], rtol=1e-2, atol=1e-3)


# -- how many ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(20_000, 10**9), st.integers(10**4, 10**9))
def test_smaller_models_are_stacked_higher(params: int, tokens: int):
    recipe = derive(Scale(params, tokens), 1024, LanguageModelConfig())
    larger = derive(Scale(params * 10, tokens), 1024, LanguageModelConfig())
    assert 1 <= pack_size(larger, CPU) <= pack_size(recipe, CPU) <= 64
    assert memory_per_run(larger) > memory_per_run(recipe) > 12 * recipe.shape.params


def test_the_preferred_pack_is_the_one_that_training_uses(text, cache, trainer):
    assert trainer.preferred_pack(SCALE, cache) == 8
    free = LanguageModelTrainer(domains=text, **TINY)
    wanted = free.preferred_pack(SCALE, cache)
    found = free.train(eight()[:wanted], cache)
    assert {o.info["pack"] for o in found} == {min(wanted, 8)}


def test_want_of_memory_is_told_from_other_errors():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_standard_errors_are_those_of_resampled_documents(trainer, cache, alone):
    error = alone[0].info["standard_error"]["birds"]
    corpus = trainer.corpus(cache)
    setting = trainer.setting(corpus, derive(SCALE, corpus.vocab, trainer.model_config), cache)
    data = setting.validation[0]
    model = PackedModel(setting.recipe.shape, [0], CPU, torch.float32)
    with torch.no_grad():
        model.parameters["head"].normal_(generator=torch.Generator().manual_seed(0))
    found = score(model, [data])[0][data.name]
    nll = nats(model, data.ids)[0].double().numpy()
    lengths, documents = data.bytes.numpy(), data.documents
    bits = np.bincount(documents.ravel(), (nll * (lengths > 0)).ravel()) / math.log(2)
    size = np.bincount(documents.ravel(), lengths.ravel())
    assert found.value == pytest.approx(bits.sum() / size.sum())
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(size), size=(4000, len(size)))
    ratios = bits[drawn].sum(1) / size[drawn].sum(1)
    assert found.error == pytest.approx(ratios.std(), rel=0.2)
    assert 0 < error < 0.5
    assert set(alone[0].info["curve_standard_error"]) == {str(p.tokens) for p in alone[0].curve}
