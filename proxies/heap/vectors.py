"""Documents as points: TF-IDF of hashed words, turned to few dimensions by a truncated SVD.

What is learned (how rare a word is, and the directions) comes from a sample, so that memory does
not grow with the heap (Manning, Raghavan and Schuetze 2008, chapters 6 and 18).

Notation:
    n, d: documents, dimensions; h: hashed words (`WORDS`)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.utils.extmath import randomized_svd

WORDS = 2**16
DIMENSIONS = 64
PAIR = "[぀-ヿ㐀-鿿]{2}"
WORD = PAIR + r"|[^\W\d_]{2,24}"
"""A word: two signs of Chinese or Japanese, which have no blanks between words, or letters."""

PIECE = 2048
"""Characters of each of the three pieces by which a long document is judged."""

_COMMON, _RARE = 0.5, 2  # share and number of documents; words beyond tell no topics apart
_MANY = 50  # documents from which on rare words are left out

Rows = NDArray[np.float32]


def extract(text: str) -> str:
    """What a document is judged by: all of it, or its beginning, middle and end."""
    if len(text) <= 3 * PIECE:
        return text
    middle = (len(text) - PIECE) // 2
    return "\n".join((text[:PIECE], text[middle : middle + PIECE], text[-PIECE:]))


def unit_rows(rows: NDArray[Any]) -> Rows:
    """Rows of length 1, as cosines need them; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class TextVectors:
    """How documents become points.

    Attributes:
        rarity: inverse document frequency of each hashed word, (h,); 0 where it is left out.
        directions: (d, h).
    """

    rarity: NDArray[np.float32]
    directions: Rows

    @classmethod
    def fit(cls, texts: Sequence[str], seed: int) -> "TextVectors":
        """Learn from a sample of texts (as `extract` gives them)."""
        counted = _counted(texts)
        n = counted.shape[0]
        documents = np.bincount(counted.indices, minlength=WORDS)
        rarity = np.log((1 + n) / (1 + documents)) + 1
        if n >= _MANY:
            rarity[(documents < _RARE) | (documents > _COMMON * n)] = 0
        rarity = rarity.astype(np.float32)
        used = np.flatnonzero((documents > 0) & (rarity > 0))
        weighted = _weighted(counted, rarity)[:, used]
        d = max(1, min(DIMENSIONS, n - 1, len(used) - 1))
        directions = np.zeros((d, WORDS), dtype=np.float32)
        if len(used) > 1:
            _, _, rows = randomized_svd(weighted, d, n_iter=4, random_state=seed)
            directions[:, used] = rows
        else:
            directions[:, used] = 1.0
        return cls(rarity, directions)

    def rows(self, texts: Sequence[str]) -> Rows:
        """Points of texts, (n, d), of length 1; zeros for a text without a known word."""
        weighted = _weighted(_counted(texts), self.rarity)
        return unit_rows(np.asarray(weighted @ self.directions.T))


def _counted(texts: Sequence[str]) -> Any:
    counter = HashingVectorizer(
        n_features=WORDS,
        token_pattern=WORD,
        alternate_sign=False,
        norm=None,
        dtype=np.float32,
    )
    return counter.transform(texts)


def _weighted(counted: Any, rarity: NDArray[np.float32]) -> Any:
    """Sublinear counts times rarity, each row of length 1."""
    scaled = counted.copy()
    scaled.data = (1 + np.log(scaled.data)) * rarity[scaled.indices]
    lengths = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
    inverse = 1 / np.where(lengths > 0, lengths, 1.0)
    return sparse.diags_array(inverse.astype(np.float32)) @ scaled
