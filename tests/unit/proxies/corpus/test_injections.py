"""Injections in a configuration and a corpus: forms, files, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from mixopt.errors import InputError, TrainerError
from proxies.corpus import Corpus, CorpusConfig, load_corpus
from proxies.corpus.injected import injected_documents
from proxies.corpus.injections import injections_of, pair_of
from proxies.corpus.tokenizer import load_tokenizer

ONE = {"documents": ["a b c"], "repetitions": 2, "probes": ["b c a"], "controls": ["d e f"]}


def lines(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def config(text: dict[str, str], injections: Any, **more: Any) -> CorpusConfig:
    return CorpusConfig(domains=text, vocab=300, injections=injections, **more)


def test_files_and_lists_are_the_same_data(text, tmp_path):
    listed = {
        "facts": {
            "documents": ["robin lays slate", "heron lays chalk"],
            "repetitions": 2,
            "probes": [{"context": "what robin lays is ", "continuation": "slate"}, "x y"],
            "controls": ["raven lays flint"],
        }
    }
    given = listed["facts"]
    filed = {
        "facts": {
            "documents": lines(tmp_path / "d.jsonl", [{"text": t} for t in given["documents"]]),
            "repetitions": 2,
            "probes": lines(tmp_path / "p.jsonl", given["probes"]),
            "controls": lines(tmp_path / "c.jsonl", [{"text": "raven lays flint"}]),
        }
    }
    one = load_corpus(config(text, listed), tmp_path / "one")
    two = load_corpus(config(text, filed), tmp_path / "two")
    assert one.sha256 == two.sha256
    entry = one.injections["facts"]
    tokenizer = load_tokenizer(one.path / "tokenizer.json")
    documents = injected_documents(*one.written(entry))
    assert [tokenizer.decode(ids[:-1].tolist()) for ids in documents] == given["documents"]
    assert (entry["probes"]["questions"], entry["controls"]["questions"]) == (2, 1)
    assert entry["documents"] == 2
    told = [{"fact": t} for t in given["documents"]]
    named = {"facts": {**given, "documents": lines(tmp_path / "n.jsonl", told)}}
    third = load_corpus(config(text, named, text_field="fact"), tmp_path / "three")
    assert third.injections["facts"]["sha256"] == entry["sha256"]
    plain = load_corpus(config(text, None), tmp_path / "plain")
    assert plain.sha256 != one.sha256
    for name in text:  # the domains and their tokens do not change
        assert plain.manifest["train"][name] == one.manifest["train"][name]


def test_a_damaged_injection_is_noticed(text, tmp_path):
    corpus = load_corpus(config(text, {"facts": ONE}), tmp_path)
    file = corpus.path / corpus.injections["facts"]["probes"]["file"]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(TrainerError, match="injection 'facts' are not those"):
        Corpus.open(corpus.path).verify()


def test_blanks_between_context_and_answer_belong_to_the_answer():
    assert pair_of("", {"context": "so it is ", "continuation": "red"}) == ("so it is", " red")
    assert pair_of("", {"context": "so it is", "continuation": " red"}) == ("so it is", " red")
    assert pair_of("", "red") == pair_of("", {"text": "red"}) == ("", "red")


def test_probes_that_are_learnt_by_heart_are_said(text, tmp_path):
    given = {**ONE, "probes": ["A  b C", "c a b"]}
    corpus = load_corpus(config(text, {"facts": given}), tmp_path)
    assert any("1 of 2 probes are documents" in warning for warning in corpus.warnings)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "injections is \\[\\]; give a mapping"),
        ({"a": 3}, "injections: 'a' is 3; give {documents"),
        ({"a": {**ONE, "probe": []}}, "no setting 'probe'.*probes"),
        ({"a": {k: v for k, v in ONE.items() if k != "controls"}}, "'a' has no controls; give te"),
        ({"a": {**ONE, "documents": []}}, "'a': documents is \\[\\]; give a list of texts"),
        ({"a": {**ONE, "documents": ["x", " "]}}, "documents is .*not empty"),
        ({"a": {**ONE, "probes": [{"context": "x"}]}}, "probes\\[0\\] is .*continuation"),
        ({"a": {**ONE, "repetitions": 0}}, "'a': repetitions is 0"),
        ({"a": {**ONE, "repetitions": 1.5}}, "'a': repetitions is 1.5"),
        ({"a": {**ONE, "documents": ["x", "X "]}}, "'a' holds the document 'X ' twice; leave"),
        ({"a": ONE, "b": {**ONE, "documents": ["q", "A b  c"]}}, "'a' and 'b' overlap: both hold"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(given, why):
    with pytest.raises(InputError, match=why):
        injections_of(given)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"documents": "nowhere.jsonl"}, "'a': documents: there is no file 'nowhere.jsonl'; corr"),
        ({"probes": "nowhere.jsonl"}, "'a': probes: there is no file"),
        ({"documents": "{tmp}/empty.jsonl"}, "holds no text"),
        ({"documents": "{tmp}/blank.jsonl"}, "1 of 2 documents are empty; correct it"),
        ({"controls": "{tmp}/empty.jsonl"}, "'a': controls: .* holds none"),
        ({"controls": ["a B c"]}, "the control 'a B c' is a document of 'a'; controls are facts"),
        ({"probes": "{tmp}/broken.jsonl"}, "probes"),
    ],
)
def test_files_that_cannot_be_used_are_refused_before_training(text, tmp_path, change, why):
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    lines(tmp_path / "blank.jsonl", [{"text": "robin lays slate"}, {"text": "  "}])
    (tmp_path / "broken.jsonl").write_text('{"text": \n', encoding="utf-8")
    told = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in change.items()}
    with pytest.raises(InputError, match=why):
        load_corpus(config(text, {"a": {**ONE, **told}}), tmp_path / "cache")


def test_names_that_clash_and_shards_are_refused(text):
    with pytest.raises(InputError, match=r"'birds' and 'birds'.*rename one"):
        config(text, {"birds": ONE})
    with pytest.raises(InputError, match="'x' and 'control/x'"):
        config(text, {"x": ONE}, questions={"control/x": "q.jsonl"})
    fill = {**text, "fill": {"source": "birds", "objective": "infill"}}
    with pytest.raises(InputError, match=r"'fill' and 'fill'.*rename one"):
        config(fill, {"fill": ONE})
    shards = {"web": {"shards": "x", "format": "flat"}}
    with pytest.raises(InputError, match=r"injections is for text.*give the text of the domains"):
        CorpusConfig(domains=shards, injections={"x": ONE})
