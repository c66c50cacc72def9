"""Heaps of three topics, each of words of its own beside words of all."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

TOPICS = {
    "sea": ["ship", "sail", "harbour", "wave", "anchor", "captain", "tide", "deck"],
    "law": ["judge", "court", "appeal", "verdict", "witness", "statute", "clause", "jury"],
    "art": ["canvas", "sculpture", "gallery", "fresco", "portrait", "easel", "pigment", "etching"],
}
COMMON = ["year", "people", "time", "place", "thing", "day", "way", "part", "world", "hand"]


def topical(topic: str, rng: np.random.Generator, words: int = 60) -> str:
    own = rng.choice(TOPICS[topic], size=words // 2)
    rest = rng.choice(COMMON, size=words - words // 2)
    return " ".join(rng.permutation(np.concatenate([own, rest])))


def records(documents: int = 240, seed: int = 0) -> list[dict[str, object]]:
    """Documents in a random order, with their topic and a number."""
    rng = np.random.default_rng(seed)
    topics = rng.choice(list(TOPICS), size=documents)
    return [{"text": topical(t, rng), "topic": str(t), "id": i} for i, t in enumerate(topics)]


WriteHeap = Callable[[Sequence[object]], Path]


@pytest.fixture
def heap_of(tmp_path: Path) -> WriteHeap:
    """Writes records, or lines as they are, to a .jsonl file."""

    def write(rows: Sequence[object]) -> Path:
        path = tmp_path / "heap.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def rows() -> list[dict[str, object]]:
    return records()
