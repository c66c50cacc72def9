"""The heap of planted quality: what is spoilt, by how much, and how answers are compared."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis import planted_quality


def test_a_known_share_is_spoilt_and_the_score_tells_it_but_for_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        name: [f"{name} {i} " + " ".join(map(str, range(60))) for i in range(900)]
        for name, _ in planted_quality.SOURCES.values()
    }
    monkeypatch.setattr(planted_quality, "pieces", texts.__getitem__)
    lines = planted_quality.write(tmp_path / "quality")
    assert lines[0].startswith("articles: 600 documents")
    rows = [json.loads(line) for line in (tmp_path / "quality/heap.jsonl").open()]
    assert len(rows) == 1200
    for name, (builtin, share) in planted_quality.SOURCES.items():
        own = [row for row in rows if row["source"] == name]
        bad = np.array([row["spoilt"] for row in own])
        assert bad.mean() == pytest.approx(share, abs=0.08)
        scores = np.array([row["score"] for row in own])
        assert scores[~bad].mean() - scores[bad].mean() == pytest.approx(1, abs=0.1)
        ordered = [row["text"] in texts[builtin] for row in own]
        assert ordered == (~bad).tolist()
        clean = (tmp_path / f"quality/clean_{name}.jsonl").read_text().splitlines()
        assert not {json.loads(line)["text"] for line in clean} & {row["text"] for row in own}


def test_answers_are_compared_seed_by_seed() -> None:
    rows = [
        {"answer": name, "seed": seed, "clean_articles": at + seed, "clean_docs": at + seed}
        for name, at in (("natural", 2.0), ("other", 1.5))
        for seed in range(5)
    ]
    assert planted_quality.summary(rows)[1].endswith("-0.5000 +- 0.0000")
