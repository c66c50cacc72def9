import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixopt.errors import InputError, TrainerError
from proxies.corpus import Corpus, CorpusConfig, build, load_corpus
from proxies.corpus.builtin import BUILTIN, Builtin, Source
from proxies.corpus.documents import whole


def config(text: dict[str, str], **rest) -> CorpusConfig:
    return CorpusConfig(domains=text, **({"vocab": 300, "validation_fraction": 0.2} | rest))


def contents(corpus: Corpus) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in corpus.path.iterdir()}


def test_the_same_text_gives_the_same_bytes(text, tmp_path):
    first = load_corpus(config(text), tmp_path / "a")
    second = load_corpus(config(text), tmp_path / "b")
    assert contents(first) == contents(second)
    assert first.sha256 == second.sha256


def test_the_same_text_elsewhere_is_the_same_data(text, cache, tmp_path):
    moved = {name: str(shutil.copytree(path, tmp_path / name)) for name, path in text.items()}
    assert load_corpus(config(moved), cache).sha256 == load_corpus(config(text), cache).sha256


def test_a_second_call_builds_nothing(text, cache, monkeypatch):
    first = load_corpus(config(text), cache)
    monkeypatch.setattr(build, "_read", None)  # would fail if called
    assert load_corpus(config(text), cache).path == first.path
    assert not list(cache.glob(".building-*"))


def test_changed_text_is_another_corpus(text, cache, tmp_path):
    folder = shutil.copytree(text["birds"], tmp_path / "birds")
    changed = dict(text, birds=str(folder))
    before = load_corpus(config(changed), cache)
    (folder / "more.txt").write_text("kestrel " * 50, encoding="utf-8")
    assert load_corpus(config(changed), cache).sha256 != before.sha256


def test_shards_hold_the_text_that_the_manifest_counts(text, cache):
    corpus = load_corpus(config(text), cache)
    assert corpus.domains == ("birds", "rocks") == corpus.validation_sets
    for name in corpus.domains:
        tokens = corpus.train_tokens(name)
        assert isinstance(tokens, np.memmap)
        assert tokens.dtype == np.uint16
        entry = corpus.manifest["train"][name]
        assert len(tokens) == entry["tokens"] == corpus.unique_tokens()[name]
        assert corpus.token_bytes[tokens].sum() == entry["bytes"]
    corpus.verify()


def test_damage_is_noticed(text, tmp_path):
    corpus = load_corpus(config(text), tmp_path)
    shard = corpus.path / corpus.manifest["train"]["birds"]["file"]
    raw = bytearray(shard.read_bytes())
    raw[-2] ^= 1
    shard.write_bytes(raw)
    with pytest.raises(TrainerError, match="birds"):
        Corpus.open(corpus.path).verify()
    shard.write_bytes(raw[:-2])
    with pytest.raises(TrainerError, match="rebuild"):
        load_corpus(config(text), tmp_path)


def test_a_validation_set_is_kept_out_of_training(tmp_path, cache):
    shared = "this paragraph stands in the target and, by accident, in the training text as well"
    target = tmp_path / "target.txt"
    target.write_text(f"{shared}\n\n" + "only here " * 40, encoding="utf-8")
    train = tmp_path / "train.txt"
    train.write_text(f"{shared}\n\n" + "nothing shared " * 200, encoding="utf-8")
    held = config({"a": str(train)}, validation={"a": str(target)})
    corpus = load_corpus(held, cache)
    size = len("nothing shared " * 200) - 1
    assert corpus.manifest["train"]["a"]["bytes"] == size
    assert corpus.manifest["validation"]["a"]["bytes"] == len(target.read_text()) - 1


def test_jsonl_and_parquet_hold_the_same_text_as_txt(text, cache, tmp_path):
    files = sorted(Path(text["birds"]).iterdir())
    rows = [{"body": file.read_text()} for file in files]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    hashes = {
        load_corpus(config({"birds": path}, text_field="body"), cache).manifest["train"]["birds"][
            "sha256"
        ]
        for path in (text["birds"], str(tmp_path / "x.jsonl"), str(tmp_path / "x.parquet"))
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "absent", "'web'.*absent.*does not exist"),
        (lambda root: (root / "empty").mkdir() or root / "empty", "'web'.*empty.*holds no"),
        (lambda root: (root / "a.pdf").touch() or root / "a.pdf", "'web'.*'.pdf'"),
        (lambda root: (root / "a.csv").touch() or root / "a.csv", "'web'.*empty file.*a.csv"),
        (lambda root: (root / "b.txt").touch() or root / "b.txt", "'web'.*no text"),
        (lambda root: (root / "c.jsonl").write_text("{}") and root / "c.jsonl", "'text'.*line 1"),
        (lambda root: (root / "d.jsonl").write_text("{") and root / "d.jsonl", "no JSON.*line 1"),
    ],
)
def test_unusable_text_names_domain_and_path(make, message, tmp_path, cache):
    with pytest.raises(InputError, match=message):
        load_corpus(config({"web": str(make(tmp_path))}), cache)


def test_a_missing_source_is_left_out_with_a_warning(text, cache, monkeypatch, caplog):
    absent = Builtin((Source("no_such_module", "no-such", "MIT", "*.py"),), whole)
    monkeypatch.setitem(BUILTIN, "ghost", absent)
    with caplog.at_level(logging.WARNING, logger="proxies"):
        corpus = load_corpus(config(dict(text, ghost="builtin:ghost")), cache)
    assert corpus.domains == ("birds", "rocks")
    assert any("no-such" in warning for warning in corpus.warnings)
    assert "ghost is left out" in caplog.text


def test_no_domain_left_is_an_error(cache, monkeypatch):
    absent = Builtin((Source("no_such_module", "no-such", "MIT", "*.py"),), whole)
    monkeypatch.setitem(BUILTIN, "ghost", absent)
    with pytest.raises(InputError, match="none of the domains ghost"):
        load_corpus(config({"ghost": "builtin:ghost"}), cache)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"domains": {"a": "builtin:pyhton"}}, "did you mean 'python'"),
        ({"domains": {}}, "domains is empty"),
        ({"domains": "quickstart"}, "'quickstart'.*or 'builtin'"),
        ({"validation": ["a"]}, "validation is .*mapping"),
        ({"domains": {"a": []}}, "'a'.*names no text"),
        ({"vocab": 100}, "vocab is 100"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"max_bytes": 0}, "max_bytes"),
    ],
)
def test_bad_settings_are_refused_with_a_remedy(settings, message):
    with pytest.raises(InputError, match=message):
        CorpusConfig(**settings)


def test_a_users_tokenizer_is_used(text, cache, tmp_path):
    trained = load_corpus(config(text), cache)
    file = shutil.copy(trained.path / "tokenizer.json", tmp_path / "mine.json")
    again = load_corpus(config(text, tokenizer=str(file)), cache)
    assert again.manifest["train"] == trained.manifest["train"]
    (tmp_path / "broken.json").write_text("{}")
    for path, message in (("absent.json", "no file"), ("broken.json", "no tokenizer.json")):
        with pytest.raises(InputError, match=message):
            load_corpus(config(text, tokenizer=str(tmp_path / path)), cache)


def test_a_domain_shorter_than_the_context_is_refused_by_name(text, cache, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("\n".join(f"a short text, line {i}" for i in range(60)), encoding="utf-8")
    corpus = load_corpus(config(dict(text, short=str(short))), cache)
    with pytest.raises(InputError, match=r"'short'.*tokens.*context"):
        corpus.require_context(1500)
