"""Documents met before: to the letter, and nearly, by MinHash of their runs of words.

The sketches are those of datasketch (Broder 1997). They lie on disk, and documents that may be
alike are brought together by sorting one band of the sketches at a time (locality-sensitive
hashing; Leskovec, Rajaraman and Ullman 2020, section 3.4): tables of bands in memory, as libraries
keep them, take a kilobyte or more a document.

Notation:
    n: documents; P: permutations (`PERMUTATIONS`)
"""

import re
import zlib
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

PERMUTATIONS = 128
NEAR = 0.8
"""Jaccard similarity of two documents' runs of words from which on they are near-duplicates."""

_RUN = 5  # words
_BANDS = 16  # of 8 values: of pairs of similarity .8 95 % meet in one of them, of .5 6 %
_COMPARED = 8  # documents of a bucket that the others are compared with
_WORD = re.compile(r"\w+")
_FACTORS = np.array([1, 31, 961, 29791, 923521], dtype=np.uint64)
_MIX = np.uint64(0x9E3779B97F4A7C15)


def digest(text: str) -> int:
    """64 bits that stand for a text to the letter, blanks at its ends aside."""
    return int.from_bytes(blake2b(text.strip().encode(), digest_size=8).digest(), "little")


def repeated(digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of n documents were met before, (n,)."""
    _, first = np.unique(digests, return_index=True)
    again = np.ones(len(digests), dtype=bool)
    again[first] = False
    return again


class Sketches:
    """Sketches of documents, one after another, in a file."""

    def __init__(self, path: Path, seed: int = 1) -> None:
        self._path = path
        self._file = path.open("wb")
        self._empty = MinHash(PERMUTATIONS, seed=seed, hashfunc=_same)

    def __enter__(self) -> "Sketches":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, text: str) -> None:
        """Sketch the next document."""
        sketch = MinHash(
            PERMUTATIONS,
            hashfunc=_same,
            permutations=self._empty.permutations,
            scheme=self._empty.scheme,
        )
        sketch.update_batch(runs(text).tolist())
        self._file.write(np.asarray(sketch.hashvalues, dtype=np.uint32).tobytes())

    def near(self) -> NDArray[np.int64]:
        """For each document the first one that it is nearly the same as, or itself, (n,).

        Of a chain of near-duplicates all are those of its first.
        """
        self._file.flush()
        if not self._path.stat().st_size:
            return np.zeros(0, dtype=np.int64)
        sketches = np.memmap(self._path, dtype=np.uint32, mode="r").reshape(-1, PERMUTATIONS)
        first = np.arange(len(sketches))
        for band in range(_BANDS):
            for bucket in _buckets(_keys(sketches, band)):
                _compare(sketches, bucket[first[bucket] == bucket], first)
        return _roots(first)


def _same(value: int) -> int:
    return value


def runs(text: str) -> NDArray[np.uint32]:
    """A hash of every run of five words; of all words where there are fewer."""
    words = np.array([zlib.crc32(w.encode()) for w in _WORD.findall(text.lower())], dtype=np.uint64)
    if len(words) < _RUN:
        words = np.concatenate([words, np.full(_RUN - len(words), len(words), dtype=np.uint64)])
    windows = np.lib.stride_tricks.sliding_window_view(words, _RUN)
    mixed = (windows * _FACTORS).sum(axis=1) * _MIX
    return cast("NDArray[np.uint32]", np.unique((mixed >> np.uint64(32)).astype(np.uint32)))


def _keys(sketches: NDArray[np.uint32], band: int) -> NDArray[np.uint64]:
    """A number for each document's values of a band, (n,)."""
    width = PERMUTATIONS // _BANDS
    values = sketches[:, band * width : (band + 1) * width].astype(np.uint64)
    keys = np.zeros(len(values), dtype=np.uint64)
    for column in values.T:
        keys = (keys ^ column) * _MIX
        keys ^= keys >> np.uint64(29)
    return keys


def _buckets(keys: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """The documents of equal keys, in their order, where there are several."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order])) + 1
    edges = np.concatenate([[0], starts, [len(order)]])
    several = np.flatnonzero(np.diff(edges) > 1)
    return [order[edges[i] : edges[i + 1]] for i in several]


def _compare(sketches: NDArray[Any], bucket: NDArray[Any], first: NDArray[Any]) -> None:
    """Note in `first` which documents of a bucket are nearly those before them."""
    for _ in range(_COMPARED):
        if len(bucket) < 2:
            return
        others = bucket[1:]
        near = (sketches[others] == sketches[bucket[0]]).mean(axis=1) >= NEAR
        first[others[near]] = bucket[0]
        bucket = others[~near]


def _roots(first: NDArray[np.int64]) -> NDArray[np.int64]:
    while True:
        further = first[first]
        if np.array_equal(further, first):
            return first
        first = further
