"""First stage: parts of files become segments of cleaned documents, and keys of what they hold.

A segment is a file of documents (UTF-8, one after another, by digest) and two sorted tables: the
digests with where each document lies (`PLACES`), and the keys of documents and paragraphs with
whose they are (`OWNERS`). What a table is sorted by is a file of its own, so that a search touches
a few pages of it and not all.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mixopt.runs.files import write_atomically
from proxies.corpus.builtin import BUILTIN
from proxies.corpus.counts import Counts
from proxies.corpus.documents import (
    FEW_DOCUMENTS,
    LONG_DOCUMENT,
    MIN_PARAGRAPH,
    chunks,
    normalise,
    paragraphs,
)
from proxies.corpus.records import PIECE
from proxies.corpus.scored import table_of
from proxies.corpus.scoring import scored_texts
from proxies.corpus.shards import Files
from proxies.corpus.sources import PREFIX, Source
from proxies.corpus.streaming.plan import SEGMENT_BYTES, Part, Plan

PLACES = np.dtype([("start", "<u8"), ("size", "<u4")])
OWNERS = np.dtype([("rank", "<u2"), ("digest", "<u8"), ("index", "<u4")])
"""`index` 0 is the document as a whole, 1, 2, ... are its paragraphs."""

FOLDER = "extract"


def digest_of(data: bytes) -> int:
    """The first 64 bits of a SHA-256."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def key_of(text: str) -> int:
    """The key by which equal documents and paragraphs are found."""
    return digest_of(text.strip().encode())


@dataclass
class _Segment:
    """Documents on their way to disk.

    Attributes:
        texts: by digest.
        scores: of each, if they are scored.
        size: bytes of all of them.
    """

    texts: dict[int, str] = field(default_factory=dict)
    scores: dict[int, tuple[float, ...]] = field(default_factory=dict)
    size: int = 0


def extract(plan: Plan, number: int) -> dict[str, Any]:
    """Read part `number`, write its segments; a part that is done is not read again.

    Returns:
        `segments` written, `counts` of what was met in files, `bytes` and `content` of their
        documents (see `Files`), `text_bytes` of those that differ within a segment (also where the
        caps leave no use for them), and `kept` documents.

    Raises:
        InputError: a file cannot be read.
    """
    folder = plan.folder / FOLDER
    marker = folder / f"{number:06d}.json"
    if marker.exists():
        return dict(json.loads(marker.read_text(encoding="utf-8")))
    part = plan.parts[number]
    files, segment = Files(), _Segment()
    done: dict[str, Any] = {"segments": 0, "text_bytes": 0, "kept": 0}
    for raw, scores in _texts(plan, part, files.counts):
        for text in _cut(raw):
            data = text.encode("utf-8", errors="replace")
            clean = normalise(text)
            if not clean.strip():
                continue
            digest = digest_of(data) if part.builtin else files.add(data)
            if digest not in segment.texts:
                segment.texts[digest] = clean
                segment.scores[digest] = scores
                segment.size += len(data)
        if segment.size >= SEGMENT_BYTES:
            _flush(plan, number, segment, done)
            segment = _Segment()
    if segment.texts:
        _flush(plan, number, segment, done)
    done["counts"] = files.counts.to_dict()
    done |= {"content": f"{files.content:064x}", "bytes": files.size}
    write_atomically(marker, json.dumps(done).encode())
    return done


def segment_path(plan: Plan, part: int, segment: int, suffix: str) -> str:
    """Where one of a segment's files is."""
    return str(plan.folder / FOLDER / f"{part:06d}-{segment:04d}{suffix}")


def _texts(plan: Plan, part: Part, counts: Counts) -> Iterator[tuple[str, tuple[float, ...]]]:
    name, scorer = plan.sets[part.rank].name, plan.scorer(part.rank)
    for file in part.files:
        yield from scored_texts(name, file, counts, scorer, part.span)
    if part.builtin:
        builtin, given = BUILTIN[part.builtin], Source(PREFIX + part.builtin)
        for source in builtin.sources:
            items = builtin.items(source)
            for item in items if scorer is None else scorer.attach(name, given, items):
                for text in item.extract(item.raw.decode("utf-8", errors="replace")):
                    yield text, () if item.score is None else item.score(text)


def _cut(text: str) -> Iterator[str]:
    """A very long document as several, cut at line ends, or anywhere if there are none."""
    if len(text) <= PIECE:
        yield text
        return
    for piece in chunks(text, PIECE):
        for start in range(0, len(piece), 2 * PIECE):
            yield piece[start : start + 2 * PIECE]


def _flush(plan: Plan, number: int, segment: _Segment, done: dict[str, Any]) -> None:
    """Write the documents of a segment that can matter, in the order of their digests."""
    where = done["segments"]
    rank = plan.parts[number].rank
    digests: list[int] = []
    scores: list[tuple[float, ...]] = []
    places: list[tuple[int, int]] = []
    keys: list[int] = []
    owners: list[tuple[int, int, int]] = []
    start = useful = 0
    with open(segment_path(plan, number, where, ".txt"), "wb") as file:
        for digest in sorted(segment.texts):
            text = segment.texts[digest]
            data = text.encode()
            done["text_bytes"] += len(data)
            if useful >= plan.needed_bytes and len(digests) >= FEW_DOCUMENTS:
                continue
            useful += min(len(data), LONG_DOCUMENT)
            file.write(data)
            digests.append(digest)
            scores.append(segment.scores[digest])
            places.append((start, len(data)))
            start += len(data)
            for at, key in _keys(text):
                keys.append(key)
                owners.append((rank, digest, at))
    done["kept"] += len(digests)
    by_key = np.array(keys, dtype="<u8")
    order = np.argsort(by_key, kind="stable")
    tables = {
        "digests": np.array(digests, dtype="<u8"),
        "places": np.array(places, dtype=PLACES),
        "scores": table_of(scores),
        "keys": by_key[order],
        "owners": np.array(owners, dtype=OWNERS)[order],
    }
    for name, table in tables.items():
        np.save(segment_path(plan, number, where, f"-{name}.npy"), table, allow_pickle=False)
    done["segments"] += 1


def _keys(text: str) -> Iterator[tuple[int, int]]:
    yield 0, key_of(text)
    pieces = paragraphs(text)
    if len(pieces) > 1:
        for at, paragraph in enumerate(pieces, start=1):
            if len(paragraph) >= MIN_PARAGRAPH:
                yield at, key_of(paragraph)
