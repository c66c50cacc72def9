import errno
import json
import threading

import numpy as np
import pytest

from mixopt.errors import InputError, TrainerError
from proxies import LanguageModelTrainer
from proxies.corpus import CorpusConfig, build, find_corpus, load_corpus
from proxies.corpus.corpus import Corpus


@pytest.fixture
def config(text) -> CorpusConfig:
    return CorpusConfig(domains=text, vocab=300, validation_fraction=0.2)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_full_disk_is_named_and_leaves_nothing(config, tmp_path, monkeypatch, streaming):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(TrainerError, match=r"no space is left.*Free space.*execution\.cache"):
        load_corpus(config, tmp_path, streaming=streaming, workers=1)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".lock")] == []


def test_a_folder_that_cannot_be_written_is_named(config, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainerError, match="cannot be written"):
        load_corpus(config, tmp_path / "file" / "cache")


def test_two_drivers_build_a_corpus_once(config, tmp_path, monkeypatch):
    calls, original = [], build._build

    def slow(*args):
        calls.append(threading.get_ident())
        ready.wait(60)
        return original(*args)

    ready = threading.Event()
    monkeypatch.setattr(build, "_build", slow)
    found: list[str] = []
    drivers = [
        threading.Thread(target=lambda: found.append(load_corpus(config, tmp_path).sha256))
        for _ in range(3)
    ]
    for driver in drivers:
        driver.start()
    ready.set()
    for driver in drivers:
        driver.join()
    assert len(calls) == 1
    assert len(set(found)) == 1
    assert len(found) == 3


def damage(corpus: Corpus, file: str, how: str) -> None:
    path = corpus.path / file
    data = bytearray(path.read_bytes())
    if how == "changed":
        data[-2] ^= 1
    else:
        del data[-2:]
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["changed", "truncated"])
@pytest.mark.parametrize(
    "file", ["train-000.npy", "validation-001.npy", "tokenizer.json", "token_bytes.npy"]
)
def test_a_damaged_file_is_found_wherever_a_corpus_is_opened(config, tmp_path, file, how):
    corpus = load_corpus(config, tmp_path)
    damage(corpus, file, how)
    for again in (
        lambda: load_corpus(config, tmp_path),
        lambda: find_corpus(tmp_path, corpus.sha256),
    ):
        with pytest.raises(TrainerError, match=rf"damaged.*rm -r '{corpus.path}'.*rebuild"):
            again()


def test_a_rebuilt_corpus_has_the_same_hash(config, tmp_path):
    corpus = load_corpus(config, tmp_path)
    (corpus.path / "train-000.npy").unlink()
    with pytest.raises(TrainerError, match="is missing"):
        load_corpus(config, tmp_path)
    corpus.path.rename(tmp_path / "aside")
    assert load_corpus(config, tmp_path).sha256 == corpus.sha256


def test_a_tokenizer_of_another_size_than_stated_is_refused(config, text, tmp_path):
    tokenizer = load_corpus(config, tmp_path).path / "tokenizer.json"
    named = {"domains": text, "tokenizer": str(tokenizer), "validation_fraction": 0.2}
    assert load_corpus(CorpusConfig(**named, vocab=300), tmp_path).vocab == 300
    with pytest.raises(InputError, match=r"vocab is 512.*has 300 entries"):
        load_corpus(CorpusConfig(**named, vocab=512), tmp_path)


def test_a_tokenizer_that_cannot_end_documents_is_refused(config, text, tmp_path):
    made = json.loads((load_corpus(config, tmp_path).path / "tokenizer.json").read_text())
    made["added_tokens"] = []
    made["model"]["vocab"]["<other>"] = made["model"]["vocab"].pop("<|endoftext|>")
    (tmp_path / "odd.json").write_text(json.dumps(made))
    odd = CorpusConfig(domains=text, tokenizer=str(tmp_path / "odd.json"))
    with pytest.raises(InputError, match="to end documents"):
        load_corpus(odd, tmp_path)


def test_a_domain_smaller_than_a_batch_is_pointed_out(text, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("\n".join(f"a short text, line {i}" for i in range(40)), encoding="utf-8")
    domains = dict(text, short=str(short))
    trainer = LanguageModelTrainer(domains=domains, vocab=300, context=16, validation_fraction=0.3)
    info = trainer.prepare(tmp_path / "cache")
    assert any(
        "'short'" in warning and "fewer than one batch" in warning for warning in info.warnings
    )
