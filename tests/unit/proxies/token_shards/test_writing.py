"""Shards out of text: the bytes of one machine, whoever writes them, and nothing twice."""

import json
from pathlib import Path

import numpy as np
import pytest

from mixopt import InputError
from proxies.corpus import CorpusConfig, load_corpus
from proxies.corpus.encoder import Encoder
from proxies.corpus.tokenizer import end_token, load_tokenizer, train_tokenizer
from proxies.token_shards import TokenSource
from proxies.token_shards.sample import Wanted, draw
from proxies.token_shards.writing import ShardWriter


@pytest.fixture
def config(tmp_path: Path) -> dict[str, object]:
    rng = np.random.default_rng(0)
    words = ["heron", "gneiss", "über", "fin\nch", "crane"]
    texts = []
    for number in range(30):
        texts.append(" ".join(rng.choice(words, 50)))
        row = json.dumps({"text": texts[-1]})
        with (tmp_path / f"{number % 3}.jsonl").open("a") as file:
            file.write(f"{row}\n")
    tokenizer = train_tokenizer({"a": texts}, 290)
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    domains = {"web": [str(tmp_path / f"{i}.jsonl") for i in range(3)]}
    out = str(tmp_path / "out")
    return {"domains": domains, "tokenizer": str(tmp_path / "tokenizer.json"), "out": out}


def written(config: dict[str, object], order: int = 1) -> tuple[dict[str, bytes], list[float]]:
    writer = ShardWriter(**config)  # type: ignore[arg-type]
    specs = writer.runs(config, writer.prepare(Path("unused")).data)
    seen = writer.train(specs[::order], Path("unused"))
    assert all(o.ok for o in seen), seen
    root = Path(str(config["out"]))
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*_document.*")}
    return files, [o.metrics["tokens"] for o in seen]


def test_shards_hold_the_documents_as_the_tokenizer_has_them(config, tmp_path):
    files, tokens = written(config)
    assert sorted(files) == [f"web/00000_text_document.{end}" for end in ("bin", "idx", "json")]
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json")
    shards = TokenSource(str(tmp_path / "out/web"), "megatron", "stored").open("web")
    drawn = draw("web", shards, Wanted(10**9, 1, 0.0), "stored", end_token(tokenizer)).train
    rows = [json.loads(x)["text"] for i in range(3) for x in (tmp_path / f"{i}.jsonl").open()]
    assert [d.tolist() for d in drawn] == [tokenizer.encode(text).ids for text in rows]
    assert tokens == [sum(len(d) + 1 for d in drawn)]
    receipt = json.loads(files["web/00000_text_document.json"])
    assert receipt["bytes"] == sum(len(text.encode()) for text in rows)
    # And a proxy reads them with that tokenizer.
    source = {"shards": str(tmp_path / "out/web"), "format": "megatron"}
    corpus = load_corpus(
        CorpusConfig(domains={"web": source}, tokenizer=str(tmp_path / "tokenizer.json")),
        tmp_path / "cache",
    )
    assert corpus.available_tokens() == {"web": tokens[0]}


def test_the_bytes_do_not_depend_on_who_writes_them_or_in_which_order(config, tmp_path):
    small = {**config, "shard_bytes": 1}
    one, _ = written(small)
    two, _ = written({**small, "out": str(tmp_path / "again")}, order=-1)
    assert len(one) == 9  # a shard a file
    assert one == two


def test_what_is_there_is_left_and_what_changed_or_was_killed_is_written_anew(
    config, tmp_path, monkeypatch
):
    small = {**config, "shard_bytes": 1}
    before, _ = written(small)
    asked: list[str] = []
    whole = Encoder.document
    monkeypatch.setattr(Encoder, "document", lambda s, text: asked.append(text) or whole(s, text))
    assert written(small)[0] == before
    assert asked == []
    (tmp_path / "out/web/00001_text_document.json").unlink()  # the receipt comes last
    assert written(small)[0] == before
    assert len(asked) == 10
    with (tmp_path / "2.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n{"text": 3}\n')
    after, tokens = written(small)
    changed = [name for name in after if after[name] != before[name]]
    assert sorted(changed) == [f"web/00002_text_document.{e}" for e in ("bin", "idx", "json")]
    assert len(asked) == 21
    receipt = json.loads(after["web/00002_text_document.json"])
    assert "1 of 12 lines, rows or documents are left out" in receipt["left_out"][0]
    assert len(tokens) == 3


def test_text_that_cannot_be_read_is_named(config, tmp_path):
    with pytest.raises(InputError, match="domain 'web' is built in"):
        ShardWriter(**{**config, "domains": {"web": "builtin:python"}})
    other = ShardWriter(**{**config, "tokenizer": str(tmp_path / "0.jsonl")})
    with pytest.raises(InputError, match=r"is no tokenizer\.json"):
        other.prepare(tmp_path)
    (tmp_path / "bad.jsonl").write_text("no json\n")
    config = {**config, "domains": {"web": str(tmp_path / "bad.jsonl")}}
    writer = ShardWriter(**config)
    (seen,) = writer.train(writer.runs(config, writer.prepare(tmp_path).data), tmp_path)
    assert "nothing in it holds text" in seen.error
    assert not list((tmp_path / "out").rglob("*.json"))


def test_shards_of_another_call_are_refused_and_not_read_with_these(config, tmp_path):
    small = {**config, "shard_bytes": 1}
    written(small)
    fewer = ShardWriter(**{**small, "domains": {"web": str(tmp_path / "0.jsonl")}})
    with pytest.raises(InputError, match=r"web holds 00001_text_document, .* delete .* another"):
        fewer.prepare(tmp_path)
    ShardWriter(**small).prepare(tmp_path)


def test_files_that_are_not_opened_are_told(config, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "0.jsonl").rename(tmp_path / "folder" / "0.jsonl")
    (tmp_path / "folder" / "picture.png").write_bytes(b"x")
    writer = ShardWriter(**{**config, "domains": {"web": str(tmp_path / "folder")}})
    (warning,) = writer.prepare(tmp_path).warnings
    assert "domain 'web': files not read: 1. " in warning
    assert "picture.png" in warning


def test_files_that_changed_since_the_tasks_were_numbered_fail_the_task(config, tmp_path):
    small = {**config, "shard_bytes": 1}
    writer = ShardWriter(**small)
    specs = writer.runs(small, writer.prepare(tmp_path).data)
    with (tmp_path / "0.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n')
    (seen,) = ShardWriter(**small).train(specs[:1], tmp_path)
    assert "files or the tokenizer changed" in seen.error
    assert not (tmp_path / "out").exists()
