"""Compiled blocks are used where they pay and where they are right, and never otherwise."""

import logging
import shutil
from collections.abc import Callable

import pytest
import torch

from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.lm import steps as steps_module
from proxies.lm.compiling import MOST_OFF, SAVED, SECONDS, disagreement, pays
from proxies.lm.model import HALVES, PackedModel
from proxies.lm.optimizer import Optimizers
from proxies.lm.recipe import LanguageModelConfig, derive
from proxies.lm.steps import Pace, TrainingStep, gradients

CPU = torch.device("cpu")
RECIPE = derive(Scale(50_000, 65_536), 100, LanguageModelConfig(width=64, context=16, bigrams=256))


def batch(seed: int = 0, sequences: int = 8) -> torch.Tensor:
    return torch.randint(0, 100, (2, sequences, 17), generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def model() -> PackedModel:
    """Two runs, four steps old."""
    model = PackedModel(RECIPE.shape, [0, 1], CPU, torch.bfloat16)
    step = TrainingStep(model, Optimizers(model, RECIPE))
    for number in range(4):
        step(number, batch(number))
    return model


def step_of(model: PackedModel) -> TrainingStep:
    return TrainingStep(model, Optimizers(model, RECIPE))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler here")
def test_compiled_blocks_have_the_gradients_of_the_others(model, caplog):
    with caplog.at_level(logging.INFO, logger="proxies"):
        step_of(model).compile(batch())
    assert model.halves is not HALVES
    assert "gradients agree" in caplog.text


def halves_without_gradient(model: PackedModel) -> None:
    """What a compiler once made: queries and keys without gradient."""
    before, after = HALVES

    def wrong(*arguments):
        q, k, v = before(*arguments)
        return q.detach(), k.detach(), v

    model.halves = (wrong, after)


def test_wrong_gradients_are_noticed_and_the_blocks_left_as_they_were(model, monkeypatch, caplog):
    monkeypatch.setattr(steps_module, "compile_blocks", halves_without_gradient)
    step = step_of(model)
    step.compile(batch())
    assert model.halves is HALVES
    assert "gradients are off" in caplog.text
    assert torch.isfinite(step(4, batch())).all()


def halves_that_raise(error: Exception) -> Callable[[PackedModel], None]:
    """What a compiler that gives up leaves."""

    def half(*_):
        raise error

    def compiles(model: PackedModel) -> None:
        model.halves = (half, half)

    return compiles


def test_a_machine_without_a_compiler_trains_on(model, monkeypatch, caplog):
    missing = RuntimeError("Failed to find C compiler.\nPlease set CC.")
    monkeypatch.setattr(steps_module, "compile_blocks", halves_that_raise(missing))
    step = step_of(model)
    step.compile(batch())
    assert "without compiled blocks: Failed to find C compiler." in caplog.text
    assert torch.isfinite(step(4, batch())).all()


def test_memory_that_is_short_while_compiling_halves_the_pack(model, monkeypatch):
    short = torch.OutOfMemoryError("CUDA out of memory")
    monkeypatch.setattr(steps_module, "compile_blocks", halves_that_raise(short))
    with pytest.raises(torch.OutOfMemoryError):
        step_of(model).compile(batch())


def test_a_compiler_that_gives_up_half_way_back_leaves_no_gradients(model, monkeypatch):
    def compiles(model: PackedModel) -> None:
        before, after = HALVES

        def broken(*arguments):
            q, k, v = before(*arguments)
            q.register_hook(raises)
            return q, k, v

        model.halves = (broken, after)

    def raises(_):
        raise RuntimeError("no kernel")

    monkeypatch.setattr(steps_module, "compile_blocks", compiles)
    step_of(model).compile(batch())
    assert model.halves is HALVES
    assert all(leaf.grad is None for leaf in model.leaves.values())


def test_taking_gradients_leaves_the_training_as_it_was():
    losses = []
    for takes in (False, True):
        model = PackedModel(RECIPE.shape, [0, 1], CPU, torch.float32)
        step = step_of(model)
        for number in range(6):
            if takes:
                gradients(model, batch(9))
                assert all(leaf.grad is None for leaf in model.leaves.values())
            losses.append(step(number, batch(number)))
    torch.testing.assert_close(torch.stack(losses[:6]), torch.stack(losses[6:]), rtol=0, atol=0)


def test_disagreement_is_of_the_worst_run_and_ignores_diverged_ones():
    generator = torch.Generator().manual_seed(0)
    exact = {"up.0": torch.randn(3, 4, 5, generator=generator)}
    off = torch.tensor([0.0, 0.1, 0.0])[:, None, None]
    assert disagreement({"up.0": exact["up.0"] * (1 + off)}, exact) == pytest.approx(0.1)
    broken = exact["up.0"].clone()
    broken[1] = torch.nan
    assert disagreement({"up.0": broken}, {"up.0": broken}) == 0.0
    assert disagreement({"up.0": broken}, exact) == torch.inf
    assert disagreement(exact, {"up.0": broken}) == torch.inf


def test_a_gradient_of_zero_shows_nothing():
    zero = {"mix.0": torch.zeros(1, 2, 2)}
    assert disagreement(zero, zero) > MOST_OFF


def test_compiling_pays_for_what_is_left_of_long_runs_alone():
    assert pays(0.02, int(SECONDS / SAVED / 0.02) + 1)
    assert not pays(0.02, int(SECONDS / SAVED / 0.02) - 1)


def test_the_pace_is_known_once_per_batch_size(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(steps_module.time, "perf_counter", lambda: now[0])
    finished = []
    pace = Pace(lambda: finished.append(now[0]))
    for shape, seconds in ((torch.Size([2, 8, 17]), 0.5), (torch.Size([2, 16, 17]), 2.0)):
        known = []
        for number in range(40):
            assert pace.changed(shape) == (number == 0)
            known.append(pace.seconds())
            now[0] += seconds
        assert [found for found in known if found] == [pytest.approx(seconds)]
    assert len(finished) == 4


def test_steps_of_batch_counts_what_is_left_of_a_stage():
    recipe = derive(Scale(15_000_000, 300_000_000), 1024, LanguageModelConfig())
    (first, _), (second, _) = recipe.stages[:2]
    assert recipe.steps_of_batch(0) == first
    assert recipe.steps_of_batch(first - 1) == 1
    assert recipe.steps_of_batch(first) == second
    assert recipe.steps_of_batch(recipe.steps) == 0


def test_evaluation_is_never_compiled(model):
    def half(*_):
        raise AssertionError

    model.halves = (half, half)
    model.features(batch()[..., :5], training=False)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler here")
def test_runs_trained_with_compiled_blocks_say_so_and_score_alike(text, cache, monkeypatch):
    found = []
    for number in (None, 4):
        once = TrainingStep.__call__

        def compiling(self, step, ids, once=once, number=number):
            if step == number:
                self.compile(ids)
            return once(self, step, ids)

        with monkeypatch.context() as patch:
            patch.setattr(TrainingStep, "__call__", compiling)
            trainer = LanguageModelTrainer(
                domains=text,
                precision="float32",
                vocab=300,
                validation_fraction=0.2,
                context=32,
                width=32,
                bigrams=512,
            )
            trainer.prepare(cache)
            spec = RunSpec(Mixture.of({"birds": 0.5, "rocks": 0.5}), Scale(20_000, 8192), seed=3)
            found += trainer.train([spec], cache)
    plain, compiled = found
    assert (plain.info["compiled"], compiled.info["compiled"]) == (False, True)
    assert compiled.metrics == pytest.approx(dict(plain.metrics), rel=1e-3)
