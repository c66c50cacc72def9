"""Text in three tiers: no document in two of them, and words that change places."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from analysis import planted_tiers


def test_noise_moves_half_of_the_words_and_keeps_lines_and_all_words() -> None:
    lines = [f"    {i} = " + " ".join(f"w{i}-{j}" for j in range(8)) for i in range(50)]
    text = "\n".join(lines)
    made = planted_tiers.noisy(text, np.random.default_rng(0))
    assert Counter(made.split()) == Counter(text.split())
    assert all(line.startswith("    ") for line in made.split("\n"))
    pairs = zip(text.split(), made.split(), strict=True)
    assert np.mean([a != b for a, b in pairs]) == pytest.approx(0.5, abs=0.02)


def test_each_tier_has_documents_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        name: [f"{name}{i} " + " ".join(f"{name}{i}" for _ in range(200)) for i in range(300)]
        for name in planted_tiers.SOURCES
    }
    monkeypatch.setattr(planted_tiers, "pieces", texts.__getitem__)
    assert planted_tiers.write(tmp_path)[0].startswith("clean: ")
    words: dict[str, set[str]] = {}
    for tier, size in planted_tiers.BYTES.items():
        rows = [json.loads(line)["text"] for line in (tmp_path / f"{tier}.jsonl").open()]
        assert sum(map(len, rows)) <= 2 * size
        words[tier] = {row.split()[0] for row in rows}
    assert not words["clean"] & words["noisy"]
    assert not words["noisiest"] & (words["clean"] | words["noisy"])
