"""Scores of documents: read, kept beside the tokens, alike by both builds; and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from mixopt.errors import InputError
from mixopt.runs.document_sampling import Sampler
from proxies.corpus import Corpus, CorpusConfig, load_corpus
from proxies.corpus.drawing import draw
from proxies.corpus.scored import Scored, with_perplexity
from proxies.corpus.scoring import BUILTIN, PERPLEXITY, Scorer

WORDS = ["robin", "heron", "finch", "crane", "stork", "eagle", "raven", "swift"]


def text_of(number: int, rng: np.random.Generator, good: bool) -> str:
    """Lines that begin with its number; a good one goes through the words in order.

    Two are so long that what is behind its beginning waits.
    """
    lines = 75 if number % 120 == 7 else 1
    words = [WORDS * 5 if good else rng.choice(WORDS, 40).tolist() for _ in range(lines)]
    return "\n".join(f"n{number} " + " ".join(line) for line in words)


def records(n: int = 240) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {"text": text_of(i, rng, i % 4 == 0), "meta": {"edu": 4.0 - i % 4}, "noise": i}
        for i in range(n)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def config(path: str, **changes: Any) -> CorpusConfig:
    given = {"scores": {"meta.edu": "high", PERPLEXITY: "low", "length": "high"}, **changes}
    return CorpusConfig(domains={"birds": path}, vocab=300, **given)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Corpus]:
    root = tmp_path_factory.mktemp("scored")
    path = write(root / "birds.jsonl", records())
    return {
        streaming: load_corpus(
            config(path), root / f"cache-{streaming}", streaming=streaming, workers=1
        )
        for streaming in (False, True)
    }


def documents(corpus: Corpus) -> list[str]:
    tokenizer = Tokenizer.from_file(str(corpus.path / "tokenizer.json"))
    ends = np.cumsum(corpus.scored("birds").sizes)
    stream = corpus.train_tokens("birds")
    return [tokenizer.decode(part.tolist()) for part in np.split(stream, ends[:-1])]


def test_scores_lie_beside_the_documents_they_are_of(built: dict[bool, Corpus]) -> None:
    corpus = built[False]
    assert corpus.scores == ("meta.edu", PERPLEXITY, "length")
    scored, known = corpus.scored("birds"), records()
    texts = documents(corpus)
    assert len(texts) == len(scored.sizes) == corpus.manifest["train"]["birds"]["documents"]
    assert scored.sizes.sum() == corpus.unique_tokens()["birds"]
    for text, own in zip(texts, scored.scores, strict=True):
        number = int(text.split()[0][1:])
        assert own[0] == -known[number]["meta"]["edu"]
        assert own[2] == -len(known[number]["text"])
    good = np.array([int(text.split()[0][1:]) % 4 == 0 for text in texts])
    assert scored.scores[good, 1].max() < scored.scores[~good, 1].min()


def test_no_document_is_foretold_by_itself() -> None:
    rng = np.random.default_rng(0)
    stream = rng.integers(1, 5, 2000)
    stream[:100] = [5, 6] * 50  # nowhere else
    scored = {"a": Scored(np.full(20, 100), np.full((20, 1), np.nan))}
    with_perplexity(scored, {"a": stream}, (PERPLEXITY,), 300)
    nats = scored["a"].scores[:, 0]
    assert nats[0] == pytest.approx(np.log(300 / 0.05), abs=0.1)
    assert nats[1:].max() < 2.0


def test_both_builds_give_the_same_scores(built: dict[bool, Corpus]) -> None:
    one, other = (built[streaming].scored("birds") for streaming in (False, True))
    assert (one.sizes == other.sizes).all()
    assert (one.scores == other.scores).all()
    assert built[False].sha256 == built[True].sha256


def test_scores_are_part_of_the_data(built: dict[bool, Corpus], tmp_path: Path) -> None:
    rows = records()
    rows[7]["meta"]["edu"] = 9.0
    path = write(tmp_path / "birds.jsonl", rows)
    changed = load_corpus(config(path), tmp_path)
    assert changed.sha256 != built[False].sha256
    scores = tmp_path / changed.path.name / changed.manifest["train"]["birds"]["quality"]["scores"]
    np.save(scores, changed.scored("birds").scores + 1)
    with pytest.raises(Exception, match="scores of 'birds' are not those"):
        Corpus.open(changed.path)._verify()


def test_the_best_are_read_more_often_and_the_rest_not(built: dict[bool, Corpus]) -> None:
    corpus = built[False]
    sampler = Sampler(1000, 0.25, 1.0, 0.0, {"meta.edu": 1})
    pool = corpus.unique_tokens()["birds"]
    drawn = draw(corpus, "birds", sampler, pool=pool, seed=3, least=17)
    assert drawn.record["kept"] == pytest.approx(0.25, abs=0.03)
    assert drawn.record["ratio"] == pytest.approx(0.5, abs=0.05)
    assert drawn.record["expected"] == pytest.approx(0.5, abs=0.01)
    again = draw(corpus, "birds", sampler, pool=pool, seed=3, least=17)
    assert (drawn.stream == again.stream).all()
    half = draw(corpus, "birds", Sampler(cut=0.5), pool=pool, seed=3, least=17)
    assert half.record["copies"] == half.record["read"]
    assert half.record["kept"] == pytest.approx(0.5, abs=0.02)


def test_by_default_all_of_the_stream_is_read_and_a_pool_cuts_it(
    built: dict[bool, Corpus],
) -> None:
    corpus = built[False]
    whole = corpus.train_tokens("birds")
    for pool in (len(whole), 501):
        drawn = draw(corpus, "birds", Sampler(), pool=pool, seed=0, least=17)
        assert (drawn.stream == whole[:pool]).all()


def test_where_nothing_is_left_the_best_fill_a_sequence(built: dict[bool, Corpus]) -> None:
    corpus = built[False]
    drawn = draw(
        corpus, "birds", Sampler(cut=0.0), pool=corpus.unique_tokens()["birds"], seed=0, least=100
    )
    assert len(drawn.stream) >= 100
    assert 0 < drawn.record["filled"] == drawn.record["read"] < 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"meta": {}}, r"line 8 of birds.jsonl \(.*has no score 'meta.edu'; give every"),
        ({"meta": {"edu": None}}, "line 8 of .*no score"),
        ({"meta": {"edu": math.nan}}, "line 8 of .*'nan' as score 'meta.edu', which is no number"),
        ({"meta": {"edu": "good"}}, "line 8 of .*'good' as score"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_a_document_without_a_score_is_named_by_its_line(
    change: dict[str, Any], message: str, streaming: bool, tmp_path: Path
) -> None:
    rows = records(20)
    rows[7] |= change
    path = write(tmp_path / "birds.jsonl", rows)
    with pytest.raises(InputError, match=message):
        load_corpus(config(path), tmp_path / "cache", streaming=streaming, workers=1)


def test_what_cannot_be_scored_is_refused(tmp_path: Path) -> None:
    (tmp_path / "birds.txt").write_text("robin heron " * 50)
    with pytest.raises(InputError, match=r"has no score 'meta.edu'; a .txt file has no fields"):
        load_corpus(config(str(tmp_path / "birds.txt")), tmp_path)
    with pytest.raises(InputError, match="'builtin:oratory' has no records"):
        load_corpus(config("builtin:oratory"), tmp_path)
    for given in ({"edu": "best"}, ["edu"], {}):
        with pytest.raises(InputError, match="scores"):
            Scorer.of(given)
    with pytest.raises(InputError, match="scores is for text"):
        CorpusConfig(domains={"a": {"shards": str(tmp_path)}}, scores={"edu": "high"})


def test_builtin_scores_are_numbers_of_any_text() -> None:
    for function in BUILTIN.values():
        for text in ("a", "a b c d e f g", "...", "1 2 3 " * 9):
            assert math.isfinite(function(text))
