import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from mixopt.errors import InputError, TrainerError
from mixopt.runs import Point, RunSpec, Scale, Schedule
from mixopt.space import Mixture
from mixopt.testing.trainer_contract import TrainerContract
from proxies import LanguageModelTrainer
from proxies.lm.evaluate import score, validation_sets
from proxies.lm.model import PackedModel, Shape

SCALE = Scale(params=20_000, tokens=8_192)
TINY = {"vocab": 300, "validation_fraction": 0.2, "context": 32, "width": 32, "bigrams": 512}


def spec(seed: int = 0, scale: Scale = SCALE, **weights: float) -> RunSpec:
    return RunSpec(Mixture.of(weights), scale, seed=seed)


@pytest.fixture(scope="module")
def trainer(text) -> LanguageModelTrainer:
    return LanguageModelTrainer(domains=text, **TINY)


@pytest.fixture(scope="module")
def observations(trainer, cache):
    """Both domains alone and half of each, trained as one pack, with what was reported."""
    reported: list[tuple[str, Point]] = []
    specs = [spec(birds=1.0), spec(rocks=1.0), spec(birds=0.5, rocks=0.5)]
    found = trainer.train(specs, cache, lambda run, point: reported.append((run.run_id, point)))
    return found, reported


class TestContract(TrainerContract):
    scale = SCALE
    runtime: ClassVar = {
        "pack": 1,
        "checkpoint_seconds": 0.0,
        "continue_to": 100_000,
        "branch_at": 1000,
        "device": "auto",
    }

    @pytest.fixture(autouse=True)
    def _data(self, text, cache):
        self._text, self._cache = text, cache

    def cache(self, tmp_path: Path) -> Path:
        return self._cache

    def make(self, **more: Any) -> Any:
        return LanguageModelTrainer(domains=self._text, **TINY, **more)


def test_info_names_domains_metrics_and_data(trainer, cache):
    info = trainer.prepare(cache)
    assert [domain.name for domain in info.domains] == ["birds", "rocks"]
    assert all(domain.tokens > 1000 for domain in info.domains)
    assert info.metrics == ("birds", "rocks")
    assert info.unit == "bits/byte"
    assert len(info.data) == 64


def test_unknown_settings_are_refused_with_the_closest_match():
    with pytest.raises(InputError, match="did you mean 'vocab'"):
        LanguageModelTrainer(vocabb=300)


def test_the_mixture_decides_what_is_learned(observations):
    (birds, rocks, both), _ = observations
    assert birds.metrics["birds"] < 0.8 * birds.metrics["rocks"]
    assert rocks.metrics["rocks"] < 0.8 * rocks.metrics["birds"]
    assert birds.metrics["birds"] < both.metrics["birds"] < rocks.metrics["birds"]


def test_loss_falls_along_the_curve_and_points_are_reported(observations):
    (birds, *_), reported = observations
    assert [point.tokens for point in birds.curve] == [2048, 4096]
    values = [point.metrics["birds"] for point in birds.curve] + [birds.metrics["birds"]]
    assert values == sorted(values, reverse=True)
    assert [p for run, p in reported if run == birds.run_id] == list(birds.curve)


def test_realised_tokens_and_cost_are_recorded(observations):
    (birds, _, both), _ = observations
    assert birds.tokens == {"birds": 8192}
    assert both.tokens == {"birds": 4096, "rocks": 4096}
    assert both.flops == 6 * both.info["params"] * 8192
    assert both.seconds > 0
    assert both.info["epochs"]["birds"] > 0


def test_the_same_seed_gives_the_same_metrics_alone_or_in_a_pack(
    trainer, cache, observations, text
):
    both = observations[0][2]
    fresh = LanguageModelTrainer(domains=text, **TINY)
    (again,) = fresh.train([spec(birds=0.5, rocks=0.5)], cache)
    assert again.metrics == pytest.approx(dict(both.metrics), rel=3e-3)  # bfloat16 where it is fast
    (other,) = trainer.train([spec(seed=1, birds=0.5, rocks=0.5)], cache)
    assert other.metrics != both.metrics


def test_random_state_and_threads_of_the_process_are_left_alone(trainer, cache):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    trainer.train([spec(scale=Scale(20_000, 1024), birds=1.0)], cache)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_diverged_run_fails_and_leaves_the_others(text, cache, monkeypatch):
    trainer = LanguageModelTrainer(domains=text, learning_rate=1e30, **TINY)
    small = Scale(20_000, 2048)
    specs = [spec(scale=small, birds=1.0), spec(seed=1, scale=small, rocks=1.0)]
    for observation in trainer.train(specs, cache):
        assert observation.status == "failed"
        assert "diverged" in observation.error
        assert observation.metrics == {}


def test_an_unknown_domain_fails_its_own_run_only(trainer, cache):
    small = Scale(20_000, 1024)
    bad, good = trainer.train([spec(scale=small, bird=1.0), spec(scale=small, birds=1.0)], cache)
    assert bad.status == "failed"
    assert "did you mean 'birds'" in bad.error
    assert good.ok


def test_specs_of_other_data_or_several_scales_are_refused(trainer, cache):
    with pytest.raises(TrainerError, match="made for data"):
        trainer.train([replace(spec(birds=1.0), data="0" * 64)], cache)
    with pytest.raises(InputError, match="several scales"):
        trainer.train([spec(birds=1.0), spec(scale=Scale(1, 1), birds=1.0)], cache)


def test_a_context_longer_than_a_domain_is_refused_by_name(text, cache):
    trainer = LanguageModelTrainer(domains=text, **(TINY | {"context": 50_000}))
    with pytest.raises(InputError, match=r"'birds'.*context"):
        trainer.prepare(cache)


def test_a_uniform_model_scores_log2_of_the_vocabulary_per_token(trainer, cache):
    corpus = trainer.corpus(cache)
    # a zero head gives equal logits: log2(V) bits for each scored token, whatever the text
    shape = Shape(corpus.vocab, 32, 1, 1, 32, 0)
    model = PackedModel(shape, [0, 1], torch.device("cpu"), torch.float32)
    sets = validation_sets(corpus, 32, 10**9, torch.device("cpu"))
    scores = score(model, sets)
    for data in sets:
        sequences = (corpus.manifest["validation"][data.name]["tokens"] - 1) // 32
        assert data.ids.shape == (sequences, 33)
        lengths = corpus.token_bytes[data.ids[:, 1:].numpy()]
        expected = math.log2(corpus.vocab) * (lengths > 0).sum() / lengths.sum()
        assert [s[data.name].value for s in scores] == pytest.approx([expected] * 2, rel=1e-5)


def test_the_model_cannot_see_what_comes_next():
    device = torch.device("cpu")
    model = PackedModel(Shape(50, 32, 2, 1, 16, 64), [0], device, torch.float32)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters.values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
        ids = torch.arange(16)[None, None] % 50
        changed = ids.clone()
        changed[..., 10:] = 7
        before, after = (model.features(i, training=False) for i in (ids, changed))
    assert torch.allclose(before[:, :10], after[:, :10], atol=1e-5)
    assert not torch.allclose(before[:, 10:], after[:, 10:], atol=1e-3)


def test_a_worker_without_the_files_finds_the_corpus_in_the_cache(text, tmp_path):
    folder = shutil.copytree(text["birds"], tmp_path / "birds")
    config = TINY | {"domains": {"birds": str(folder)}}
    info = LanguageModelTrainer(**config).prepare(tmp_path / "cache")
    shutil.rmtree(folder)
    run = replace(spec(scale=Scale(20_000, 1024), birds=1.0), data=info.data)
    (observation,) = LanguageModelTrainer(**config).train([run], tmp_path / "cache")
    assert observation.ok


# -- schedules ------------------------------------------------------------------------


def test_runs_of_one_mixture_learn_what_they_learned_before_there_were_schedules(text, cache):
    """Numbers of the commit before schedules came (3b72ce6); on its machine equal to the bit."""
    trainer = LanguageModelTrainer(domains=text, precision="float32", **TINY)
    scale = Scale(20_000, 16_384)
    even, rocky = trainer.train(
        [spec(0, scale, birds=0.5, rocks=0.5), spec(1, scale, birds=0.25, rocks=0.75)], cache
    )
    near = {"rel": 1e-3}
    assert even.metrics == pytest.approx({"birds": 0.6572741275, "rocks": 0.6244772765}, **near)
    assert rocky.metrics == pytest.approx({"birds": 0.7576302520, "rocks": 0.5953646058}, **near)
    curves = [[point.metrics["birds"] for point in seen.curve] for seen in (even, rocky)]
    assert curves[0] == pytest.approx([1.7681982111, 0.8040907020], **near)
    assert curves[1] == pytest.approx([2.0607212618, 1.0596557544], **near)
    assert even.info["train_loss_nats"] == pytest.approx(0.9630504847, **near)
    assert [seen.tokens["birds"] for seen in (even, rocky)] == [8192, 4096]


def test_the_order_of_phases_matters_and_packs_change_nothing(trainer, cache):
    birds, rocks = Mixture.of({"birds": 1.0}), Mixture.of({"rocks": 1.0})
    orders = ((birds, rocks), (rocks, birds))
    specs = [
        RunSpec.scheduled(Schedule(((4096, first), (8192, last))), SCALE) for first, last in orders
    ]
    rocks_last, birds_last = trainer.train(specs, cache)
    assert rocks_last.spec.mixture.to_dict() == birds_last.spec.mixture.to_dict()
    assert rocks_last.tokens == birds_last.tokens == {"birds": 4096, "rocks": 4096}
    # most is learned at the high rates of the first half
    assert rocks_last.metrics["birds"] < 0.6 * birds_last.metrics["birds"]
    assert birds_last.metrics["rocks"] < 0.6 * rocks_last.metrics["rocks"]
    (alone,) = trainer.train(specs[:1], cache)
    assert alone.metrics == pytest.approx(rocks_last.metrics, rel=1e-4)


def test_a_domain_of_a_later_phase_must_be_there(trainer, cache):
    later = Schedule(((4096, Mixture.of({"birds": 1.0})), (8192, Mixture.of({"brids": 1.0}))))
    (seen,) = trainer.train([RunSpec.scheduled(later, SCALE)], cache)
    assert "there is no domain 'brids'; known: birds, rocks; did you mean 'birds'" in seen.error
