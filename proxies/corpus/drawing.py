"""Which documents of a domain a run reads, and how often: a sampler applied to its stream.

Notation:
    n documents of a domain; S: how often each is read on average (`mixopt.runs.document_sampling`)
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.runs.document_rule import HIGH, LOW, ScoredDocuments
from mixopt.runs.document_sampling import Sampler, copies, ranks
from proxies.corpus.corpus import Corpus
from proxies.corpus.scoring import Scorer


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a run reads of a domain.

    Attributes:
        stream: the tokens, one round of documents after another: in the first all that are read,
            in the next those that are read twice, and so on.
        record: plain JSON values: `documents` there are, `read` of them, `copies` in all, the
            share of the tokens that is read at least once (`kept`), tokens of the `stream` over
            those there are (`ratio`) and what was expected of that; documents that were taken
            beside to fill a sequence (`filled`).
    """

    stream: NDArray[Any]
    record: dict[str, Any]


def draw(
    corpus: Corpus, domain: str, sampler: Sampler, *, pool: int, seed: int, least: int
) -> Drawn:
    """Draw the documents of a domain.

    Ranks are those in the whole domain, whatever the pool; they are found once in a process.

    Args:
        corpus: the data.
        domain: of them.
        sampler: of its documents.
        pool: tokens from the beginning of the domain's stream that may be read; the document in
            which they end is cut.
        seed: of the run.
        least: tokens to read; the best documents fill up what is missing.
    """
    alpha = tuple(sampler.weights(corpus.scores).tolist())
    r = _ranks(corpus.path, corpus.sha256, domain, alpha)
    ends = np.cumsum(corpus.scored(domain).sizes)
    n = int(np.searchsorted(ends, pool, side="left")) + 1
    starts = np.concatenate([[0], ends[: n - 1]])
    stops = np.minimum(ends[:n], pool)
    sizes = stops - starts
    # crc32 and not hash(): the latter differs between processes
    rng = np.random.default_rng([seed, zlib.crc32(f"documents/{domain}".encode())])
    times = copies(sampler.expected(r), rng)[:n]
    filled = 0
    for i in np.argsort(r[:n], kind="stable"):
        if int(times @ sizes) >= min(least, pool):
            break
        filled += int(times[i] == 0)
        times[i] = max(1, times[i])
    whole = corpus.train_tokens(domain)
    parts = [
        whole[starts[i] : stops[i]]
        for number in range(int(times.max(initial=0)))
        for i in np.flatnonzero(times > number)
    ]
    stream = np.concatenate(parts)
    record = {
        "documents": n,
        "read": int((times > 0).sum()),
        "copies": int(times.sum()),
        "kept": round(float(sizes[times > 0].sum() / max(1, sizes.sum())), 4),
        "ratio": round(len(stream) / max(1, int(sizes.sum())), 4),
        "expected": round(sampler.mean, 4),
        "filled": filled,
    }
    return Drawn(stream, record)


def documents_of(corpus: Corpus, scorer: Scorer | None) -> dict[str, ScoredDocuments]:
    """The documents of every domain, with the scores that they were given.

    Raises:
        InputError: no document is scored.
    """
    if scorer is None:
        raise InputError("no document is scored; give the trainer scores, like {edu: high}")
    good, low = tuple(LOW if of else HIGH for of in scorer.low), np.array(scorer.low)
    made = {}
    for name in corpus.domains:
        of = corpus.scored(name)
        values = np.where(low, of.scores, -of.scores)
        made[name] = ScoredDocuments(scorer.names, good, values, of.sizes)
    return made


@lru_cache(maxsize=256)
def _ranks(path: Path, sha256: str, domain: str, alpha: tuple[float, ...]) -> NDArray[np.float64]:
    del sha256  # a corpus that was built anew in the same place
    scored = Corpus.open(path).scored(domain)
    return ranks(scored.scores, scored.sizes, np.array(alpha))
