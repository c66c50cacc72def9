"""Third stage: buckets of documents become tokens, side by side; assembling joins them in order.

Notation:
    piece: what is put on a side as a whole: the head of a document, or a stretch of its rest
    section: the pieces of a bucket of one kind, in this order: heads for training, heads for
        validation, rests for training, rests for validation
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.runs.files import write_atomically
from proxies.corpus.documents import (
    LONG_DOCUMENT,
    Split,
    Text,
    chunks,
    fraction_of,
    joined,
    paragraphs,
    split_chunks,
)
from proxies.corpus.encoder import Encoder
from proxies.corpus.scored import table_of
from proxies.corpus.streaming.duplicates import drops_of, slice_of
from proxies.corpus.streaming.extract import segment_path
from proxies.corpus.streaming.plan import Plan
from proxies.corpus.tokenizer import check_size

PIECES = np.dtype([("section", "u1"), ("tokens", "<u4"), ("bytes", "<u4")])
FOLDER = "tokens"
TRAIN, VALIDATION = 0, 1
SIDES = 2  # sections 2 and 3 are the rests of the sides 0 and 1


@dataclass
class Seen:
    """How much text was read and how much of it was new (bytes)."""

    read: int = 0
    kept: int = 0


def bucket_documents(
    plan: Plan, segments: Sequence[tuple[int, int]], rank: int, bucket: int, seen: Seen
) -> Iterator[Text]:
    """The documents of one bucket by digest, without what was met before."""
    dropped = drops_of(plan, rank, bucket)
    documents: dict[int, tuple[bytes, tuple[float, ...]]] = {}
    for part, number in segments:
        if plan.parts[part].rank == rank:
            documents |= _slice(plan, part, number, bucket)
    for digest in sorted(documents):
        raw, scores = documents.pop(digest)
        text = raw.decode()
        seen.read += len(text.encode())
        text = _without(text, dropped.get(digest, set()))
        if text.strip():
            seen.kept += len(text.encode())
            yield Text(text, scores)


def _slice(
    plan: Plan, part: int, number: int, bucket: int
) -> dict[int, tuple[bytes, tuple[float, ...]]]:
    digests = np.load(segment_path(plan, part, number, "-digests.npy"), mmap_mode="r")
    in_bucket = slice_of(digests, plan.sets[plan.parts[part].rank].buckets, bucket)
    places = np.load(segment_path(plan, part, number, "-places.npy"), mmap_mode="r")[in_bucket]
    scores = np.load(segment_path(plan, part, number, "-scores.npy"), mmap_mode="r")[in_bucket]
    if not len(places):
        return {}
    first = int(places["start"][0])
    with open(segment_path(plan, part, number, ".txt"), "rb") as file:
        file.seek(first)
        data = file.read(int(places["start"][-1]) + int(places["size"][-1]) - first)
    rows = zip(digests[in_bucket].tolist(), places.tolist(), scores.tolist(), strict=True)
    return {
        digest: (data[start - first : start - first + size], tuple(own))
        for digest, (start, size), own in rows
    }


def _without(text: str, dropped: set[int]) -> str:
    if not dropped:
        return text
    if 0 in dropped:
        return ""
    return joined([p for at, p in enumerate(paragraphs(text), start=1) if at not in dropped])


@dataclass
class _Sections:
    """Tokens of a bucket, by section."""

    encoder: Encoder
    rows: list[list[tuple[int, int, int]]] = field(default_factory=lambda: [[], [], [], []])
    data: list[list[bytes]] = field(default_factory=lambda: [[], [], [], []])
    scores: list[list[tuple[float, ...]]] = field(default_factory=lambda: [[], [], [], []])

    def add(self, section: int, text: str, scores: tuple[float, ...]) -> None:
        tokens = self.encoder.document(text)
        count = len(tokens) // self.encoder.dtype.itemsize
        self.rows[section].append((section, count, len(text.encode())))
        self.data[section].append(tokens)
        self.scores[section].append(scores)

    def save(self, plan: Plan, name: str) -> None:
        """Write tokens and pieces, after a check that the tokens account for the bytes."""
        joined_tokens = b"".join(data for section in self.data for data in section)
        pieces = np.array([row for section in self.rows for row in section], dtype=PIECES)
        ids = np.frombuffer(joined_tokens, dtype=self.encoder.dtype)
        check_size(int(self.encoder.lengths[ids].sum()), int(pieces["bytes"].sum()))
        (plan.folder / FOLDER / f"{name}.bin").write_bytes(joined_tokens)
        np.save(plan.folder / FOLDER / f"{name}.npy", pieces, allow_pickle=False)
        scores = table_of([row for section in self.scores for row in section])
        np.save(plan.folder / FOLDER / f"{name}-scores.npy", scores, allow_pickle=False)


def encode_bucket(
    plan: Plan,
    encoder: Encoder,
    segments: Sequence[tuple[int, int]],
    at: tuple[int, int],
    wanted: Sequence[bool],
) -> dict[str, Any]:
    """Tokenise one bucket.

    Args:
        plan: of the corpus.
        encoder: of its tokenizer.
        segments: (part, number) of all of them.
        at: rank and bucket.
        wanted: per side, whether any piece of it can still be needed. What is left out is never
            read, so the result of the whole does not depend on it.

    Returns:
        `heads`: bytes of the heads per side; `read` and `kept`: see `Seen`.
    """
    rank, bucket = at
    marker = plan.folder / FOLDER / f"{rank:04d}-{bucket:04d}.json"
    if marker.exists():
        return dict(json.loads(marker.read_text(encoding="utf-8")))
    fraction = plan.sets[rank].fraction
    sections, seen = _Sections(encoder), Seen()
    for text, scores in bucket_documents(plan, segments, rank, bucket, seen):
        side = VALIDATION if fraction_of(text) < fraction else TRAIN
        if not wanted[side]:
            continue
        head, *rest = chunks(text, LONG_DOCUMENT)
        sections.add(side, head, scores)
        for piece in rest:
            if piece.strip():
                sections.add(SIDES + side, piece, scores)
    sections.save(plan, marker.stem)
    heads = [sum(size for _, _, size in sections.rows[side]) for side in range(SIDES)]
    done = {"heads": heads, "read": seen.read, "kept": seen.kept}
    write_atomically(marker, json.dumps(done).encode())
    return done


def encode_few(
    plan: Plan, encoder: Encoder, segments: Sequence[tuple[int, int]], rank: int
) -> dict[str, Any]:
    """Tokenise a set of few documents as one bucket; it is split by chunks, not by documents.

    Returns:
        As `encode_bucket`.
    """
    marker = plan.folder / FOLDER / f"{rank:04d}-0000.json"
    if marker.exists():
        return dict(json.loads(marker.read_text(encoding="utf-8")))
    seen = Seen()
    split = few_documents(plan, segments, rank, seen)
    sections = _Sections(encoder)
    for text, scores in zip(split.train, split.scores, strict=True):
        sections.add(TRAIN, text, scores)
    for text in split.validation:
        sections.add(VALIDATION, text, ())
    sections.save(plan, marker.stem)
    done = {
        "heads": [split.train_bytes, split.validation_bytes],
        "read": seen.read,
        "kept": seen.kept,
        "few": True,
    }
    write_atomically(marker, json.dumps(done).encode())
    return done


def few_documents(plan: Plan, segments: Sequence[tuple[int, int]], rank: int, seen: Seen) -> Split:
    """The split of a set of few documents, all of which are held in memory (about 1 MB each)."""
    split = Split(plan.max_train, plan.max_validation, plan.sets[rank].fraction)
    texts: list[Text] = []
    for bucket in range(plan.sets[rank].buckets):
        texts += bucket_documents(plan, segments, rank, bucket, seen)
    split_chunks(texts, split)
    return split


def load_pieces(plan: Plan, rank: int, bucket: int) -> NDArray[Any]:
    """The pieces of a bucket, section by section."""
    pieces: NDArray[Any] = np.load(plan.folder / FOLDER / f"{rank:04d}-{bucket:04d}.npy")
    return pieces


def load_scores(plan: Plan, rank: int, bucket: int) -> NDArray[np.float64]:
    """The scores of these pieces."""
    path = plan.folder / FOLDER / f"{rank:04d}-{bucket:04d}-scores.npy"
    scores: NDArray[np.float64] = np.load(path)
    return scores
