"""A proxy's own vocabulary: the ids that are frequent in its sample; all others share one.

A proxy of a million parameters cannot afford a row for each of 100,000 tokens. Its ids: 0 ends a
document; then the frequent ones; the last one stands for all others, where there are any. A
tokenizer that is small enough keeps its own ids, so that a proxy is the one of the same text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxies.token_shards.ports import Ids

END = 0
MIN_VOCAB = 3


@dataclass(frozen=True)
class Vocabulary:
    """Which ids a proxy tells apart.

    Attributes:
        ids: (n,) the shards' ids, the most frequent first; they are 1 to n for the proxy.
        shares_rest: whether other ids were seen, which all become n + 1.
        end: of a tokenizer that keeps its ids, the one that ends documents; `ids` are all of them.
    """

    ids: NDArray[np.int64]
    shares_rest: bool
    end: int | None = None

    @property
    def size(self) -> int:
        """V: the end of documents, the ids, and the shared one."""
        return len(self.ids) + int(self.end is None) + int(self.shares_rest)

    @classmethod
    def whole(cls, size: int, end: int) -> "Vocabulary":
        """A tokenizer's own ids."""
        return cls(np.arange(size), shares_rest=False, end=end)

    @classmethod
    def of(cls, samples: Mapping[str, Sequence[Ids]], size: int) -> "Vocabulary":
        """The most frequent ids, every domain with an equal say.

        Args:
            samples: documents per domain.
            size: V, at most; `MIN_VOCAB` or more.
        """
        widest = max((int(d.max()) for docs in samples.values() for d in docs if len(d)), default=0)
        counts = np.zeros(widest + 1)
        for documents in samples.values():
            own = np.zeros(widest + 1)
            for document in documents:
                own += np.bincount(document.astype(np.int64), minlength=widest + 1)
            counts += own / max(1.0, own.sum())
        seen = np.flatnonzero(counts)
        ordered = seen[np.lexsort((seen, -counts[seen]))]
        if len(ordered) + 1 <= size:
            return cls(ordered, shares_rest=False)
        return cls(ordered[: size - 2], shares_rest=True)

    def encode(self, documents: Sequence[Ids]) -> NDArray[np.uint32]:
        """Documents as one stream of the proxy's ids, each ended; (tokens,)."""
        if self.end is not None:
            own = [np.append(document, self.end).astype(np.uint32) for document in documents]
            return np.concatenate([np.zeros(0, np.uint32), *own])
        last = len(self.ids) + int(self.shares_rest)
        widest = max((int(d.max()) for d in documents if len(d)), default=0)
        table = np.full(max(widest, int(self.ids.max(initial=0))) + 1, last, np.uint32)
        table[self.ids] = np.arange(1, len(self.ids) + 1)
        ended = [
            np.append(table[document.astype(np.int64)], np.uint32(END)) for document in documents
        ]
        return np.concatenate([np.zeros(0, np.uint32), *ended])

    def shared(self, stream: NDArray[Any]) -> float:
        """Share of a stream's tokens that are the shared id."""
        if not self.shares_rest or not len(stream):
            return 0.0
        return float(np.mean(stream == self.size - 1))

    def token_bytes(
        self, lengths: NDArray[np.int32] | None, documents: Sequence[Ids]
    ) -> NDArray[np.int32]:
        """Bytes of text behind each of the proxy's ids, (V,); 1 each where nobody knows them.

        Of the shared id it is the mean over what shares it, rounded.

        Args:
            lengths: bytes of each of the shards' ids.
            documents: in which the shared ids are counted.
        """
        if self.end is not None and lengths is not None:
            return lengths
        sizes = np.ones(self.size, np.int32)
        sizes[END] = 0
        if lengths is None:
            return sizes
        sizes[1 : len(self.ids) + 1] = np.maximum(1, lengths[self.ids])
        if self.shares_rest:
            every = np.concatenate([d.astype(np.int64) for d in documents])
            rest = every[~np.isin(every, self.ids)]
            sizes[-1] = max(1, round(float(lengths[rest].mean()))) if len(rest) else 1
        return sizes
