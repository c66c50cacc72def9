"""The documents of a domain's training shard: their tokens, and scores of their quality.

Notation:
    n documents of a domain, N scores of each, the smaller the better
    a, b: tokens that follow each other; c: counts; V: entries of the vocabulary
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxies.corpus.scoring import PERPLEXITY

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SAMPLE = 2**21
"""Tokens of each domain, from its beginning, that the bigram model counts."""

_PAIR, _ONE, _ANY = 0.6, 0.35, 0.05  # weights of c(ab) / c(a), c(b) / c and 1 / V


def table_of(scores: Sequence[tuple[float, ...]]) -> Floats:
    """Rows as an array (n, N); of those that are not scored NaN."""
    width = max(map(len, scores), default=0)
    out = np.full((len(scores), width), np.nan)
    for row, own in zip(out, scores, strict=True):
        row[: len(own)] = own
    return out


@dataclass(frozen=True, eq=False)
class Scored:
    """Documents in the order of their shard.

    Attributes:
        sizes: (n,) tokens of each, the one that ends it included.
        scores: (n, N).
    """

    sizes: Ints
    scores: Floats

    @classmethod
    def of(cls, sizes: Sequence[int], scores: Sequence[tuple[float, ...]]) -> "Scored":
        """From lists."""
        return cls(np.array(sizes, dtype=np.int64), table_of(scores))

    @cached_property
    def sha256(self) -> str:
        """Hash of both."""
        digest = hashlib.sha256(self.sizes.astype("<i8").tobytes())
        digest.update(self.scores.astype("<f8").tobytes())
        return digest.hexdigest()

    def write(self, folder: Path, shard: str) -> dict[str, str]:
        """Write both beside a shard; returns their entry in the manifest."""
        stem = Path(shard).stem
        files = {"sizes": f"{stem}-sizes.npy", "scores": f"{stem}-scores.npy"}
        np.save(folder / files["sizes"], self.sizes, allow_pickle=False)
        np.save(folder / files["scores"], self.scores, allow_pickle=False)
        return {**files, "sha256": self.sha256}

    @classmethod
    def read(cls, folder: Path, entry: Mapping[str, str]) -> "Scored":
        """What `write` wrote."""
        files = (folder / entry[key] for key in ("sizes", "scores"))
        return cls(*(np.load(file, allow_pickle=False) for file in files))


def with_perplexity(
    scored: Mapping[str, Scored],
    streams: Mapping[str, NDArray[Any]],
    names: Sequence[str],
    vocab: int,
) -> None:
    """Fill in the perplexity of all documents, where it is one of the scores.

    The model is interpolated: .6 c(ab) / c(a) + .35 c(b) / c + .05 / V. Documents of even number
    are scored by the counts of the odd ones, and the other way round: none is foretold by itself.

    Args:
        scored: by domain.
        streams: their shards.
        names: of the scores.
        vocab: V.
    """
    if PERPLEXITY not in names:
        return
    column = names.index(PERPLEXITY)
    halves = [_Counts(vocab), _Counts(vocab)]
    for name, own in scored.items():
        at = np.arange(min(SAMPLE, len(streams[name])))
        tokens, document = _with_documents(streams[name], own.sizes, at)
        for parity, half in enumerate(halves):
            half.add(tokens, document, document % 2 == parity)
    for half in halves:
        half.finish()
    for name, own in scored.items():
        own.scores[:, column] = _perplexities(streams[name], own.sizes, halves)


def _with_documents(stream: NDArray[Any], sizes: Ints, at: Ints) -> tuple[Ints, Ints]:
    """Tokens at some places, and the number of the document that each is of."""
    return stream[at].astype(np.int64), np.searchsorted(np.cumsum(sizes), at, side="right")


class _Counts:
    """Counts of tokens, and of pairs of them within documents."""

    def __init__(self, vocab: int) -> None:
        self._vocab = vocab
        self._single = np.zeros(vocab)
        self._parts: list[Ints] = []

    def add(self, tokens: Ints, document: Ints, own: NDArray[np.bool_]) -> None:
        self._single += np.bincount(tokens[own], minlength=self._vocab)
        pair = own[1:] & (document[1:] == document[:-1])
        self._parts.append((tokens[:-1] * self._vocab + tokens[1:])[pair])

    def finish(self) -> None:
        keys = np.concatenate([np.zeros(0, dtype=np.int64), *self._parts])
        self._keys, self._pairs = np.unique(keys, return_counts=True)
        self._parts = []

    def nats(self, tokens: Ints, first: NDArray[np.bool_]) -> Floats:
        """(t,) of each token after the one before it; the first of a document by its count."""
        total = max(1.0, self._single.sum())
        before = np.concatenate([[0], tokens[:-1]])
        keys = before * self._vocab + tokens
        at = np.minimum(np.searchsorted(self._keys, keys), max(0, len(self._keys) - 1))
        met = (self._keys[at] == keys) & ~first if len(self._keys) else np.zeros(len(keys), bool)
        pairs = np.where(met, self._pairs[at], 0.0) if len(self._keys) else np.zeros(len(keys))
        after = pairs / np.maximum(1.0, self._single[before])
        p = _PAIR * after + _ONE * self._single[tokens] / total + _ANY / self._vocab
        return np.asarray(-np.log(p))


def _perplexities(stream: NDArray[Any], sizes: Ints, halves: Sequence[_Counts]) -> Floats:
    """(n,) mean nats per token of documents, in pieces of the stream that hold whole documents."""
    out = np.empty(len(sizes))
    ends = np.cumsum(sizes)
    start, place = 0, 0
    while start < len(sizes):
        stop = max(start + 1, int(np.searchsorted(ends, place + SAMPLE, side="right")))
        at = np.arange(place, int(ends[stop - 1]))
        tokens, document = _with_documents(stream, sizes, at)
        first = np.concatenate([[True], document[1:] != document[:-1]])
        even, odd = (half.nats(tokens, first) for half in halves[::-1])
        by = np.where(document % 2 == 0, even, odd)
        sums = np.bincount(document - start, weights=by, minlength=stop - start)
        out[start:stop] = sums / sizes[start:stop]
        start, place = stop, int(ends[stop - 1])
    return out
