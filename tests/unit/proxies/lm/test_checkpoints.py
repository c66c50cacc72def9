"""A run that stops and goes on is the run that never stopped."""

import logging
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import proxies.lm.train as train_module
from mixopt.execution import keeping
from mixopt.runs import Observation, RunSpec, Scale, Schedule
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.corpus import CorpusConfig, load_corpus
from proxies.lm.checkpoint import Checkpoint, Checkpoints
from proxies.lm.data import Batches
from proxies.lm.recipe import LanguageModelConfig, derive
from proxies.lm.setting import curve_steps

TINY = {"vocab": 300, "validation_fraction": 0.2, "context": 32, "width": 32, "bigrams": 512}
SHORT, LONG = 6144, 16_384


def run(tokens: int, seed: int = 0, birds: float = 0.5) -> RunSpec:
    return RunSpec(Mixture.of({"birds": birds, "rocks": 1 - birds}), Scale(20_000, tokens), seed)


@pytest.fixture
def make(text):
    def made(**config) -> LanguageModelTrainer:
        return LanguageModelTrainer(domains=text, precision="float32", **(TINY | config))

    return made


def files(cache) -> list[str]:
    return sorted(p.name for p in cache.glob("checkpoints/*/*"))


def same(one: Observation, other: Observation) -> None:
    assert one.ok
    assert one.metrics == other.metrics
    assert one.curve == other.curve
    assert one.tokens == other.tokens
    for name in ("train_loss_nats", "standard_error", "curve_standard_error"):
        assert one.info[name] == other.info[name]


class Power:
    """Has the process die before a step, once."""

    def __init__(self, monkeypatch, step: int) -> None:
        self.left = 1
        original = train_module.Pack._one_step

        def one_step(pack) -> None:
            if pack.step == step and self.left:
                self.left -= 1
                raise KeyboardInterrupt
            original(pack)

        monkeypatch.setattr(train_module.Pack, "_one_step", one_step)


def test_a_higher_rung_continues_bit_for_bit(make, tmp_path):
    trainer = make(continue_to=LONG)
    short = [run(SHORT), run(SHORT, seed=1, birds=0.25)]
    long = [run(LONG), run(LONG, seed=1, birds=0.25)]
    trainer.train(short, tmp_path / "a")
    assert len(files(tmp_path / "a")) == 2
    continued = trainer.train(long, tmp_path / "a")
    (tmp_path / "b").mkdir()
    for folder in (tmp_path / "a").glob("corpus*"):
        (tmp_path / "b" / folder.name).symlink_to(folder)
    fresh = trainer.train(long, tmp_path / "b")
    for one, other in zip(continued, fresh, strict=True):
        same(one, other)
        assert one.info["continued_from"] == 2048
        assert other.info["continued_from"] == 0
        # what the shorter run had paid for is not paid again
        assert one.flops == other.flops * (1 - 2048 / LONG)
    assert files(tmp_path / "a") == []  # no rung is above


def test_without_a_higher_rung_nothing_is_left_behind(make, tmp_path):
    trainer = make(checkpoint_seconds=0)
    trainer.train([run(SHORT)], tmp_path)
    assert files(tmp_path) == []
    assert not list(tmp_path.glob("checkpoints/*"))


@pytest.mark.parametrize("step", [1, 5, 11])
def test_an_interrupted_run_goes_on_from_its_last_checkpoint(make, tmp_path, monkeypatch, step):
    trainer, specs = make(checkpoint_seconds=0), [run(12_288), run(12_288, seed=1)]
    expected = trainer.train(specs, tmp_path)
    with monkeypatch.context() as patch:
        Power(patch, step)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(specs, tmp_path)
    assert len(files(tmp_path)) >= 2
    for again, exact in zip(trainer.train(specs, tmp_path), expected, strict=True):
        same(again, exact)
        assert again.info["continued_from"] == step * 1024
        assert again.flops == exact.flops
    assert files(tmp_path) == []


def test_runs_of_a_pack_may_be_at_different_steps(make, tmp_path, monkeypatch):
    trainer, specs = make(checkpoint_seconds=0), [run(SHORT), run(SHORT, seed=1)]
    expected = trainer.train(specs, tmp_path)
    with monkeypatch.context() as patch:
        Power(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(specs[:1], tmp_path)
    found = trainer.train(specs, tmp_path)
    assert [o.info["continued_from"] for o in found] == [3072, 0]
    for one, exact in zip(found, expected, strict=True):
        assert one.metrics == pytest.approx(dict(exact.metrics), rel=1e-4)


def test_a_diverged_run_leaves_no_checkpoint(make, tmp_path):
    trainer = make(checkpoint_seconds=0, learning_rate=1e30, continue_to=LONG)
    (seen,) = trainer.train([run(SHORT)], tmp_path)
    assert "diverged" in seen.error
    assert files(tmp_path) == []


def test_checkpoints_of_runs_that_are_not_continued_can_be_dropped(make, tmp_path):
    trainer, specs = make(continue_to=LONG), [run(SHORT), run(SHORT, seed=1)]
    trainer.train(specs, tmp_path)
    trainer.forget(specs[:1], tmp_path)
    assert len(files(tmp_path)) == 1
    trainer.forget(specs, tmp_path)
    assert files(tmp_path) == []


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(make, tmp_path, monkeypatch, caplog):
    trainer = make(checkpoint_seconds=0)
    trainer.prepare(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("proxies.lm.checkpoint.write_atomically", full)
    (seen,) = trainer.train([run(SHORT)], tmp_path)
    assert seen.ok
    assert "No space left" in caplog.text


# -- files ---------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path) -> Checkpoints:
    recipe = derive(Scale(20_000, LONG), 300, LanguageModelConfig(width=32, context=32))
    return Checkpoints(tmp_path, run(LONG), recipe, {})


def at(step: int) -> Checkpoint:
    return Checkpoint(step, {"a": torch.full((2,), float(step))}, {"curve": []})


def test_a_newer_checkpoint_replaces_the_older_one(kept, tmp_path):
    for step in (2, 4):
        kept.save(at(step))
    found = kept.latest()
    assert found.step == 4
    assert found.tensors["a"].tolist() == [4.0, 4.0]
    assert files(tmp_path) == ["trunk-000000004.safetensors"]
    assert kept.latest().notes["step"] == 4


def test_a_checkpoint_says_whose_it_is_to_those_without_a_trainer(kept, tmp_path):
    kept.save(at(2))
    (thing,) = keeping.kept(tmp_path)
    assert (thing.run, thing.data) == (run(LONG).run_id, run(LONG).data)
    assert thing.bytes == sum(f.stat().st_size for f in kept.folder.iterdir())


def test_death_in_the_middle_of_a_write_leaves_the_previous_one(kept, tmp_path, monkeypatch):
    kept.save(at(2))

    def dies(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dies)
        with pytest.raises(OSError, match="no space"):
            kept.save(at(4))
    assert kept.latest().step == 2
    assert files(tmp_path) == ["trunk-000000002.safetensors"]


def test_half_a_file_is_passed_over_with_a_warning(kept, caplog):
    kept.save(at(2))
    (good,) = kept.folder.iterdir()
    for number, size in enumerate((0, 5, 60)):
        torn = kept.folder / f"trunk-{3 + number:09d}.safetensors"
        torn.write_bytes(good.read_bytes()[:size])
    with caplog.at_level(logging.WARNING):
        assert kept.latest().step == 2
    assert "cannot be read" in caplog.text


def test_another_budget_takes_the_trunk_only(tmp_path, kept):
    kept.save(at(6))  # the rates of this budget begin to fall at 6 of 16
    kept.save(at(9))
    assert kept.latest().step == 9
    recipe = derive(Scale(20_000, 2 * LONG), 300, LanguageModelConfig(width=32, context=32))
    longer = Checkpoints(tmp_path, run(2 * LONG), recipe, {})
    assert longer.folder == kept.folder
    assert longer.latest().step == 6
    other = Checkpoints(tmp_path, run(2 * LONG, seed=1), recipe, {})
    assert other.latest() is None
    assert Checkpoints(tmp_path, run(2 * LONG), recipe, {"precision": 1}).latest() is None


# -- what makes it possible ----------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(20_000, 10**8), st.integers(10**5, 10**8), st.integers(2, 50))
def test_recipes_of_one_trunk_agree_up_to_the_branch(params: int, tokens: int, more: int):
    short = derive(Scale(params, tokens), 1024, LanguageModelConfig())
    long = derive(Scale(params, tokens * more), 1024, LanguageModelConfig())
    assert short.shape == long.shape
    assert short.branch <= long.branch
    for step in {*range(min(5, short.branch)), short.branch // 2, short.branch}:
        assert short.rate_factor(step) == pytest.approx(long.rate_factor(step))
        assert short.sequences_before(step) == long.sequences_before(step)


@settings(deadline=None)
@given(st.integers(100, 10**7), st.integers(0, 6), st.floats(1, 9))
def test_points_of_a_continued_curve_are_those_of_a_fresh_one(tokens, points, more):
    short, long = (
        derive(Scale(163_840, int(t)), 1024, LanguageModelConfig()) for t in (tokens, tokens * more)
    )
    here, there = curve_steps(short, points), curve_steps(long, points)
    assert len(here) <= points
    assert all(0 < step < short.steps for step in here)
    assert {step for step in there if step <= short.branch} <= here


@pytest.fixture(scope="module")
def corpus(text, cache):
    return load_corpus(CorpusConfig(domains=text, vocab=300, validation_fraction=0.2), cache)


@pytest.mark.parametrize("birds", [0.5, 0.83, 1.0])
def test_the_data_of_a_longer_run_begin_with_those_of_the_shorter(corpus, birds):
    phases = run(LONG, birds=birds).phases
    short, long, resumed = (
        Batches(corpus, phases, context=16, total=total, seed=3) for total in (37, 400, 400)
    )
    resumed.skip(37)
    assert np.array_equal(short.take(37), long.take(37))
    assert np.array_equal(resumed.take(363), long.take(363))


# -- schedules -----------------------------------------------------------------------------------

BIRDS, ROCKS = Mixture.of({"birds": 1.0}), Mixture.of({"rocks": 1.0})
EVEN = Mixture.of({"birds": 0.5, "rocks": 0.5})


def switched(*phases: tuple[int, Mixture], seed: int = 0) -> RunSpec:
    return RunSpec.scheduled(Schedule(phases), Scale(20_000, phases[-1][0]), seed=seed)


def beside(folder, tmp_path):
    """A cache with the same corpus and without checkpoints."""
    folder.mkdir()
    for found in tmp_path.glob("corpus*"):
        (folder / found.name).symlink_to(found)
    return folder


@pytest.mark.parametrize("step", [1, 2, 3, 5, 6, 7])
def test_a_run_by_a_schedule_goes_on_at_every_boundary(make, tmp_path, monkeypatch, step):
    """Phases end at steps 2 (in the trunk) and 6 (beyond it, within a batch)."""
    trainer = make(checkpoint_seconds=0)
    specs = [switched((2048, BIRDS), (6300, EVEN), (8192, ROCKS)), run(8192)]
    expected = trainer.train(specs, tmp_path)
    assert all(seen.ok for seen in expected)
    with monkeypatch.context() as patch:
        Power(patch, step)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(specs, tmp_path)
    for again, exact in zip(trainer.train(specs, tmp_path), expected, strict=True):
        same(again, exact)
        assert again.realised == exact.realised
        assert again.info["continued_from"] == step * 1024
    assert files(tmp_path) == []
    assert not list(tmp_path.glob("checkpoints/*"))


def test_runs_share_the_trunk_of_the_phases_that_they_begin_with(make, tmp_path):
    trainer = make(continue_to=LONG)
    first = switched((1500, BIRDS), (2048, EVEN), (SHORT, ROCKS))
    trainer.train([first], tmp_path)
    # one where the first phase has had its last whole step, one where the rates begin to fall
    assert files(tmp_path) == ["trunk-000000001.safetensors", "trunk-000000002.safetensors"]
    others = {
        1024: switched((1500, BIRDS), (LONG, ROCKS)),
        2048: switched((1500, BIRDS), (2500, EVEN), (LONG, BIRDS)),
        0: switched((1400, ROCKS), (2048, EVEN), (LONG, ROCKS)),
    }
    fresh = trainer.train(list(others.values()), beside(tmp_path / "fresh", tmp_path))
    for (shared, spec), exact in zip(others.items(), fresh, strict=True):
        trainer.train([first], tmp_path)
        (seen,) = trainer.train([spec], tmp_path)
        assert seen.info["continued_from"] == shared
        assert exact.info["continued_from"] == 0
        assert seen.metrics == pytest.approx(dict(exact.metrics), rel=1e-4)
        assert seen.realised == exact.realised
    # a run of the first phase alone may take what was trained before the switch, not more
    trainer.train([first], tmp_path)
    (alone,) = trainer.train([run(LONG, birds=1.0)], tmp_path)
    assert alone.info["continued_from"] == 1024


def test_a_run_of_one_mixture_leaves_its_trunk_to_one_that_switches_later(make, tmp_path):
    trainer = make(continue_to=LONG)
    trainer.train([run(SHORT, birds=1.0)], tmp_path)
    later, sooner = switched((2048, BIRDS), (LONG, EVEN)), switched((2000, BIRDS), (LONG, EVEN))
    (exact,) = trainer.train([later], beside(tmp_path / "fresh", tmp_path))
    (seen,) = trainer.train([sooner], tmp_path)
    assert seen.info["continued_from"] == 0
    trainer.train([run(SHORT, birds=1.0)], tmp_path)
    (seen,) = trainer.train([later], tmp_path)
    assert seen.info["continued_from"] == 2048
    same(seen, exact)


@pytest.mark.parametrize("tokens", [8192, 8704])  # the latter are no whole batches
def test_runs_of_one_length_part_where_their_last_phases_begin(make, tmp_path, tokens):
    at = tokens - round(0.25 * tokens)
    trainer = make(branch_at=at, decay=0.25)
    (control,) = trainer.train([run(tokens)], tmp_path)
    assert len(files(tmp_path)) == 1
    tails = [switched((at, EVEN), (tokens, BIRDS)), switched((at, EVEN), (tokens, ROCKS))]
    seen = trainer.train(tails, tmp_path)
    assert [o.info["continued_from"] for o in seen] == [at // 1024 * 1024] * 2
    fresh = trainer.train(tails, beside(tmp_path / "fresh", tmp_path))
    for one, other in zip(seen, fresh, strict=True):
        assert one.metrics == pytest.approx(dict(other.metrics), rel=1e-4)
        assert one.realised == other.realised
    assert len(files(tmp_path)) == 1  # the tails leave nothing of their own
    (other_seed,) = trainer.train([run(tokens, seed=1)], tmp_path)
    assert other_seed.info["continued_from"] == 0
    trainer.forget([control.spec, other_seed.spec], tmp_path)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_a_run_that_ends_before_the_parting_leaves_nothing(make, tmp_path):
    make(branch_at=SHORT).train([run(SHORT)], tmp_path)
    assert files(tmp_path) == []


def test_checkpoints_of_all_phases_can_be_dropped(make, tmp_path):
    trainer, spec = make(continue_to=LONG), switched((1500, BIRDS), (2048, EVEN), (SHORT, ROCKS))
    trainer.train([spec], tmp_path)
    assert len(files(tmp_path)) == 2
    trainer.forget([spec], tmp_path)
    assert not list(tmp_path.glob("checkpoints/*"))


@settings(deadline=None)
@given(st.integers(20_000, 10**8), st.integers(10**5, 10**8), st.floats(0, 1))
def test_steps_within_so_many_sequences_are_those_that_train_on_no_more(params, tokens, share):
    recipe = derive(Scale(params, tokens), 1024, LanguageModelConfig())
    sequences = int(share * recipe.sequences)
    step = recipe.steps_within(sequences)
    assert recipe.sequences_before(step) <= sequences
    assert step == recipe.steps or recipe.sequences_before(step + 1) > sequences
