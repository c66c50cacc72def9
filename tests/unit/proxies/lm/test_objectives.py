"""Runs on domains under objectives: packs, resume and mixers as with any other domain."""

from dataclasses import replace

import pytest
import torch

import proxies.lm.train as train_module
from mixopt.errors import InputError
from mixopt.runs import MixerSpec, Observation, RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.lm.data import Turn
from proxies.lm.examples import Examples, bears_loss
from proxies.lm.mixed import MixedPack
from proxies.lm.mixing import mixed_of
from proxies.lm.recipe import derive
from proxies.lm.resident import Resident
from proxies.lm.train import opened

TINY = {
    "vocab": 300,
    "validation_fraction": 0.2,
    "context": 32,
    "width": 32,
    "bigrams": 512,
    "evaluation_tokens": 512,
    "precision": "float32",
}
DERIVED = {
    "birds_x": {"source": "birds", "objective": "x"},
    "rocks_fill": {"source": "rocks", "objective": "infill"},
}
SCALE = Scale(20_000, 8192)
MIXED = RunSpec(Mixture.of({"birds": 0.25, "birds_x": 0.5, "rocks_fill": 0.25}), SCALE)


@pytest.fixture(scope="module")
def make(text):
    def made(**config) -> LanguageModelTrainer:
        return LanguageModelTrainer(domains={**text, **DERIVED}, **(TINY | config))

    return made


@pytest.fixture(scope="module")
def trainer(make, cache) -> LanguageModelTrainer:
    trainer = make()
    trainer.prepare(cache)
    return trainer


@pytest.fixture(scope="module")
def setting(trainer, cache):
    corpus = trainer.corpus(cache)
    return trainer.setting(corpus, derive(SCALE, corpus.vocab, trainer.model_config), cache)


@pytest.fixture(scope="module")
def alone(trainer, cache) -> Observation:
    return train(trainer, MIXED, cache)


def train(trainer: LanguageModelTrainer, spec: RunSpec, cache) -> Observation:
    (seen,) = trainer.train([spec], cache)
    assert seen.ok, seen.error
    return seen


def test_domains_say_their_source_and_objective(trainer, cache):
    info = trainer.prepare(cache)
    assert info.metrics == ("birds", "rocks", "birds_x", "rocks_fill")
    domains = {domain.name: domain for domain in info.domains}
    assert domains["birds_x"].tags == {"source": "birds", "objective": "x"}
    assert domains["birds_x"].tokens == domains["birds"].tokens
    assert domains["birds_x"].prior == domains["birds"].prior


def test_shares_count_processed_tokens_and_those_with_loss_are_recorded(alone, setting):
    assert alone.tokens == {"birds": 2048, "birds_x": 4096, "rocks_fill": 2048}
    told = alone.info["loss_tokens"]
    run, _ = opened(setting, MIXED)
    ids = torch.from_numpy(run.batches.take(setting.recipe.sequences))
    assert sum(told.values()) == bears_loss(ids, setting.corpus.boundary).sum().item()
    assert told["birds"] == 2048
    x, context = setting.corpus.derived["birds_x"].objective, 32
    text = x.source_tokens(context)
    assert told["birds_x"] == 4096 // context * x.lengths(*x.most(text), text)[1]
    pool = setting.corpus.unique_tokens()["birds_x"]
    assert alone.info["epochs"]["birds_x"] == pytest.approx(128 * text / pool, abs=1e-4)


def test_tokens_with_loss_are_those_of_the_sequences_that_were_read(setting):
    """Read, passed over or in another order after a turn: as the tokens themselves say."""
    count = setting.recipe.sequences
    for first, turn in ((0, None), (count // 3, None), (count // 3, Turn(count // 2, 7))):
        whole, batches = (opened(setting, MIXED)[0].batches.otherwise(None, turn) for _ in "ab")
        batches.skip(first)
        batches.take(count - first)
        domains = whole.domains(count)
        bears = bears_loss(torch.from_numpy(whole.take(count)), setting.corpus.boundary).sum(1)
        told = {name: 0 for name in sorted(set(domains))}
        for name, tokens in zip(domains, bears.tolist(), strict=True):
            told[name] += int(tokens)
        assert batches.bearing() == told


def test_an_objective_is_learned_by_training_with_it(trainer, cache, alone):
    plain = RunSpec(Mixture.of({"birds": 0.75, "rocks": 0.25}), SCALE)
    causal = train(trainer, plain, cache)
    assert alone.metrics["birds_x"] < 0.9 * causal.metrics["birds_x"]
    assert causal.metrics["birds"] < alone.metrics["birds"]
    assert causal.info["loss_tokens"] == causal.tokens


def test_a_run_of_a_pack_is_the_run_alone(trainer, cache, alone):
    specs = [replace(MIXED, seed=1), MIXED]
    _, again = trainer.train(specs, cache)
    assert again.metrics == pytest.approx(dict(alone.metrics), rel=1e-4)
    assert again.info["loss_tokens"] == alone.info["loss_tokens"]


def killed(monkeypatch, kind: type, step: int) -> None:
    """Have the process die before a step, once."""
    original, left = kind._one_step, [1]

    def one_step(pack) -> None:
        if pack.step == step and left:
            left.pop()
            raise KeyboardInterrupt
        original(pack)

    monkeypatch.setattr(kind, "_one_step", one_step)


def test_a_run_that_is_killed_goes_on_as_if_it_had_not_been(make, cache, monkeypatch, alone):
    saving = make(checkpoint_seconds=0.0)
    killed(monkeypatch, train_module.Pack, 4)
    with pytest.raises(KeyboardInterrupt):
        saving.train([MIXED], cache)
    again = train(saving, MIXED, cache)
    assert again.info["continued_from"] == 4 * 1024
    assert again.metrics == alone.metrics
    assert again.info["loss_tokens"] == alone.info["loss_tokens"]


STEERED = {
    "odm": ({"every": 2}, {}),
    "doge": ({"scope": "full", "targets": "heldout"}, {"birds_x": 1.0}),
    "doremi": ({}, {}),
}


@pytest.mark.parametrize("name", STEERED)
def test_mixers_mix_objectives_and_resume(make, cache, monkeypatch, name):
    config, targets = STEERED[name]
    spec = replace(MIXED, mixer=MixerSpec(name, config, targets=targets))
    never = train(make(), spec, cache)
    assert never.info["loss_tokens"]["birds_x"] < never.tokens["birds_x"]
    saving = make(checkpoint_seconds=0.0)
    killed(monkeypatch, MixedPack, 4)
    with pytest.raises(KeyboardInterrupt):
        saving.train([spec], cache)
    again = train(saving, spec, cache)
    assert again.metrics == never.metrics
    assert again.info["mixer"] == never.info["mixer"]


def test_what_is_steered_by_is_left_out_of_all_domains_of_its_text(setting):
    spec = replace(
        MIXED,
        mixer=MixerSpec("doge", {"scope": "full", "targets": "heldout"}, targets={"birds_x": 1.0}),
    )
    mixed = mixed_of(setting, spec)
    (target,) = mixed.targets
    assert (target.ids == setting.corpus.boundary).any(dim=1).all()
    assert target.ends is not None
    context = setting.recipe.shape.context
    for number, name in enumerate(mixed.setup.space.names):
        sequences = mixed.batches._sequences[number]
        length = Examples(setting.corpus, context, 0).stride(name)
        last = max(sequences[k] for k in range(sequences.count)) + length
        whole = len(setting.corpus.train_tokens(name))
        assert last <= (target.ends if "birds" in name else whole)


def test_told_losses_are_per_token_that_bears_loss(make, cache):
    # an untrained model (rates of almost nothing): log of the vocabulary, whatever the objective
    trainer = make(learning_rate=1e-9)
    spec = replace(MIXED, mixer=MixerSpec("fixed", {"every": 4}))
    run = train(trainer, spec, cache)
    plain = train(trainer, MIXED, cache)
    assert plain.info["train_loss_nats"] == pytest.approx(run.info["train_loss_nats"], rel=1e-3)
    vocab = trainer.corpus(cache).vocab
    assert plain.info["train_loss_nats"] == pytest.approx(
        torch.tensor(vocab).log().item(), rel=0.02
    )


def test_sequences_of_objectives_are_made_on_the_host(setting):
    assert Resident.of(setting.corpus, torch.device("cpu"), 1e9) is None


def test_a_context_that_does_not_fit_is_refused_before_training(make, text, tmp_path):
    long = {"d": {"source": "birds", "objective": "x", "span": 64, "rate": 0.15}}
    trainer = LanguageModelTrainer(domains={**text, **long}, **TINY)
    with pytest.raises(InputError, match=r"'d'.*less than half a span"):
        trainer.prepare(tmp_path)
    many = {"d": {"source": "birds", "objective": "x"}}
    trainer = LanguageModelTrainer(domains={**text, **many}, **(TINY | {"sentinels": 2}))
    with pytest.raises(InputError, match="set `sentinels` to 4"):
        trainer.prepare(tmp_path)
