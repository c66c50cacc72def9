"""Shards of tokens through the trainer: the runs of the same text, in the target's own data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import token_files

from mixopt import InputError
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.corpus import Corpus, CorpusConfig, load_corpus
from proxies.corpus.tokenizer import end_token, load_tokenizer

SMALL = {"context": 16, "width": 32, "bigrams": 0, "batch": 4, "precision": "float32"}
SCALE = Scale(20_000, 1024)


@pytest.fixture
def text(tmp_path: Path) -> dict[str, str]:
    for name, words in {"birds": "robin heron finch", "rocks": "basalt gneiss schist"}.items():
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(len(name))
        for i in range(40):
            picked = " ".join(rng.choice(words.split(), size=120))
            (tmp_path / name / f"{i}.txt").write_text(picked, encoding="utf-8")
    return {name: str(tmp_path / name) for name in ("birds", "rocks")}


def trained(trainer: LanguageModelTrainer, cache: Path) -> tuple[Any, Any]:
    info = trainer.prepare(cache)
    spec = RunSpec(Mixture.of({"birds": 0.7, "rocks": 0.3}), SCALE, data=info.data)
    (seen,) = trainer.train([spec], cache)
    assert seen.ok, seen.error
    return info, seen


def as_shards(corpus: Corpus, folder: Path) -> dict[str, Any]:
    """A corpus's own streams as Megatron's files, in their order, and the settings to read them."""
    folder.mkdir()
    end = end_token(load_tokenizer(corpus.path / "tokenizer.json"))
    tables = {"domains": corpus.train_tokens, "validation": corpus.validation_tokens}
    settings: dict[str, Any] = {"tokenizer": str(corpus.path / "tokenizer.json")}
    for kind, stream in tables.items():
        settings[kind] = {}
        for name in corpus.domains:
            ids = np.asarray(stream(name))
            documents = np.split(ids, np.flatnonzero(ids == end)[:-1] + 1)
            prefix = folder / f"{kind}_{name}"
            token_files.write_megatron(prefix, documents)
            source = {"shards": str(prefix), "format": "megatron", "order": "stored"}
            settings[kind][name] = source
    return settings


def test_shards_give_the_run_of_the_same_text_to_the_bit(text, tmp_path):
    of_text = LanguageModelTrainer(domains=text, vocab=300, **SMALL)
    before, one = trained(of_text, tmp_path / "text")
    corpus = of_text.corpus(tmp_path / "text")
    settings = as_shards(corpus, tmp_path / "shards")
    of_shards = LanguageModelTrainer(**settings, vocab=300, **SMALL)
    after, two = trained(of_shards, tmp_path / "tokens")
    assert two.metrics == one.metrics
    assert after.unit == before.unit == "bits/byte"
    assert after.metrics == before.metrics
    sizes = {d.name: d.tokens for d in after.domains}
    assert sizes == corpus.unique_tokens()  # counted by the index, ends and all
    assert after.notes["shards"]["birds"] == {
        str(tmp_path / "shards" / "domains_birds"): sizes["birds"]
    }


def shards(folder: Path, **more: Any) -> dict[str, Any]:
    """Two domains of ids up to 40,000, in files of 16 bits."""
    rng = np.random.default_rng(0)
    domains = {}
    for at, name in enumerate(("birds", "rocks")):
        ids = np.sort(rng.choice(40_000, 400, replace=False))[at::2]
        documents = [[*rng.choice(ids, 30).tolist(), 50_000] for _ in range(600 * (at + 1))]
        token_files.write_megatron(folder / name, documents)
        domains[name] = {"shards": str(folder / name), "format": "megatron", **more}
    return domains


def test_shards_may_be_trained_on_under_an_objective(text, tmp_path):
    plain = LanguageModelTrainer(domains=text, vocab=300, **SMALL)
    settings = as_shards(plain.corpus(tmp_path / "text"), tmp_path / "shards")
    filled = {"filled": {"source": "rocks", "objective": "infill", "span": 2}}
    answers = []
    for given in ({"domains": text}, settings):
        domains = {**given["domains"], **filled}
        trainer = LanguageModelTrainer(**(given | {"domains": domains}), vocab=300, **SMALL)
        cache = tmp_path / str(len(answers))
        trainer.prepare(cache)
        (seen,) = trainer.train([RunSpec(Mixture.of({"birds": 0.5, "filled": 0.5}), SCALE)], cache)
        assert seen.ok, seen.error
        answers.append(seen)
    assert answers[0].metrics == answers[1].metrics
    assert answers[0].info["loss_tokens"] == answers[1].info["loss_tokens"]
    (tmp_path / "unnamed").mkdir()
    unnamed = shards(tmp_path / "unnamed")
    trainer = LanguageModelTrainer(domains=unnamed | filled, vocab=64, **SMALL)
    info = trainer.prepare(tmp_path / "c")
    assert info.unit == "nats/token"
    assert info.notes["vocab"] == 64 + 2 + 32  # rows of their own, whatever `vocab` has room for


def test_without_a_tokenizer_losses_are_in_nats_per_token(tmp_path):
    domains = shards(tmp_path)
    trainer = LanguageModelTrainer(domains=domains, vocab=64, learning_rate=1e-9, **SMALL)
    info, seen = trained(trainer, tmp_path / "cache")
    assert info.unit == "nats/token"
    # A model that has learned nothing gives all ids the same chance.
    assert seen.metrics["birds"] == pytest.approx(np.log(64), abs=0.01)
    natural = {d.name: d.prior for d in info.domains}
    assert natural == {"birds": 600 * 31, "rocks": 1200 * 31}
    assert info.notes["vocab"] == 64
    assert 0.5 < info.notes["shared_id"]["birds"] < 0.9
    assert any("proxies tell 62 ids apart" in warning for warning in info.warnings)
    stream = trainer.corpus(tmp_path / "cache").train_tokens("birds")
    assert set(np.diff(np.flatnonzero(stream == 0))) == {31}  # the ends were seen to be ends


def test_a_changed_shard_is_other_data_and_a_moved_one_is_not(tmp_path):
    domains = shards(tmp_path)
    config = {"domains": domains, "vocab": 64, **SMALL}
    first = LanguageModelTrainer(**config).prepare(tmp_path / "cache")
    (tmp_path / "moved").mkdir()
    for file in (*tmp_path.glob("*.bin"), *tmp_path.glob("*.idx")):
        file.rename(tmp_path / "moved" / file.name)
    for source in domains.values():
        source["shards"] = source["shards"].replace(str(tmp_path), str(tmp_path / "moved"))
    moved = LanguageModelTrainer(**config).prepare(tmp_path / "again")
    assert moved.data == first.data
    token_files.write_megatron(tmp_path / "moved" / "birds", [[1, 2, 3] * 20] * 500)
    changed = LanguageModelTrainer(**config).prepare(tmp_path / "again")
    assert changed.data != first.data


def test_damage_to_the_sample_is_noticed(tmp_path):
    config = CorpusConfig(domains=shards(tmp_path), vocab=64)
    corpus = load_corpus(config, tmp_path / "cache")
    ids = np.load(corpus.path / "vocabulary.npy")
    np.save(corpus.path / "vocabulary.npy", ids + 1)
    with pytest.raises(Exception, match=r"is damaged: vocabulary\.npy does not hold the ids"):
        load_corpus(config, tmp_path / "cache")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_bytes": 10}, "max_bytes is for text, .* give max_tokens"),
        ({"questions": {"q": "q.jsonl"}}, "questions is for text"),
        ({"max_tokens": 0}, "max_tokens is 0; give a whole number of tokens"),
        ({"domains": {"web": "a.txt", "code": {"shards": "b", "format": "flat"}}}, "'a.txt' names"),
        ({"domains": {"web": {"shards": "b", "format": "megatro"}}}, "did you mean 'megatron'"),
        ({"domains": {"web": {"shards": "b"}}}, "format is None, no layout of shards"),
        ({"domains": {"web": {"shards": [], "format": "mds"}}}, r"shards is \[\]; give a path"),
        ({"domains": {"web": {"shards": "b", "format": "mds", "order": "x"}}}, "order is 'x'"),
        ({"domains": {"web": {"shards": "b", "format": "mds", "end": -1}}}, "end is -1; give the"),
        ({"domains": {"web": {"shards": "/no", "format": "megatron"}}}, "'web': /no: no such file"),
        ({"vocab": 2}, "vocab is 2"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, message, tmp_path):
    config = {"domains": shards(tmp_path), **changes}
    with pytest.raises(InputError, match=message):
        load_corpus(CorpusConfig(**config), tmp_path / "cache")


def test_shards_of_another_vocabulary_are_refused(text, tmp_path):
    tokenizer = load_corpus(CorpusConfig(domains=text, vocab=300), tmp_path / "t").path
    config = CorpusConfig(domains=shards(tmp_path), tokenizer=str(tokenizer / "tokenizer.json"))
    with pytest.raises(InputError, match=r"'birds': its shards hold the id .* has 286 entries"):
        load_corpus(config, tmp_path / "cache")
    wide = np.arange(1, 60_000, dtype="<u4") % 9000
    (tmp_path / "wide.bin").write_bytes(wide.tobytes())
    source = {"shards": str(tmp_path / "wide.bin"), "format": "flat", "dtype": "uint16", "end": 5}
    with pytest.raises(
        InputError, match=r"every other token of its shards is 0, .* correct `dtype`"
    ):
        load_corpus(CorpusConfig(domains={"web": source}), tmp_path / "cache")


def test_the_manifest_says_where_everything_is_from(tmp_path):
    corpus = load_corpus(CorpusConfig(domains=shards(tmp_path), vocab=64), tmp_path / "cache")
    manifest = json.loads((corpus.path / "manifest.json").read_text())
    (record,) = manifest["sources"]["train/rocks"]
    expected = {"name": "rocks", "format": "megatron", "shards": 1, "tokens": 37_200}
    assert record == expected | {"counted": True}
    assert corpus.available_tokens() == {"birds": 18_600, "rocks": 37_200}
    sampled = corpus.unique_tokens()["birds"] + len(corpus.validation_tokens("birds"))
    assert sampled == 18_600  # all of it, held out or not


@pytest.mark.parametrize("named", [True, False])
def test_a_last_token_that_all_documents_share_is_text_where_their_end_is_known(named, tmp_path):
    """A line break, a full stop: it is taken for an end only where nobody names one."""
    rng = np.random.default_rng(0)
    documents = [[*rng.integers(10, 40, 20).tolist(), 5, 9] for _ in range(300)]
    token_files.write_megatron(tmp_path / "web", documents)
    source = {"shards": str(tmp_path / "web"), "format": "megatron"} | ({"end": 9} if named else {})
    corpus = load_corpus(CorpusConfig(domains={"web": source}, vocab=64), tmp_path / "cache")
    ids = np.load(corpus.path / "vocabulary.npy")
    assert 5 in ids
    assert 9 not in ids
    assert set(np.diff(np.flatnonzero(corpus.train_tokens("web") == 0))) == {22}
