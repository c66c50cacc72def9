"""A trainer of your own, as a program: an n-gram model of bytes, by the standard library and numpy.

    python docs/examples/ngram.py --mixture mixture.json --tokens 400000 --seed 0 --metrics out.json

It knows of mixopt only what it is given: a file of shares, a number of tokens (here: bytes), a seed
and a file to write its metrics to. Text is that of packages that are installed, as the language
model's `domains: builtin` reads it; the first run keeps it as files that the others read.

The model interpolates the counts of one to six bytes as Witten and Bell do. With c the times that a
context was seen, and t the different bytes that followed it:

    p = (times this byte followed + t * p of the shorter context) / (c + t)
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proxies.corpus.builtin import BUILTIN
from proxies.corpus.documents import fraction_of, normalise

ORDER = 6
PIECE = 4096  # bytes of a domain that are drawn together
HELD_OUT, SCORED = 0.05, 60_000  # share of documents, and bytes of each set that are scored

Bytes = NDArray[np.uint64]


def main() -> None:
    """Train once and write the metrics."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mixture", type=Path, required=True, help="JSON: domain to share")
    arguments.add_argument("--tokens", type=int, required=True, help="bytes to train on")
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--texts", type=Path, default=Path("runs/cache/ngram"))
    arguments.add_argument("--metrics", type=Path, required=True)
    given = arguments.parse_args()
    shares = json.loads(given.mixture.read_text())
    model = Model(drawn(shares, given.tokens, given.texts, np.random.default_rng(given.seed)))
    targets = {"code_target": "code_target", **{name: name for name in shares}}
    scores = {
        name: model.bits_per_byte(text_of(domain, given.texts)[1][:SCORED])
        for name, domain in targets.items()
    }
    given.metrics.write_text(json.dumps({"tokens": given.tokens, **scores}))


def drawn(shares: dict[str, float], tokens: int, texts: Path, rng: np.random.Generator) -> Bytes:
    """So many bytes of each domain as its share says, in pieces; all of them before one twice."""
    parts = []
    for domain, share in shares.items():
        text, left = text_of(domain, texts)[0], round(share * tokens)
        while left > 0:
            starts = PIECE * rng.permutation(-(-len(text) // PIECE))
            pieces = np.concatenate([text[start : start + PIECE] for start in starts])[:left]
            parts.append(pieces)
            left -= len(pieces)
    return np.concatenate(parts)


def text_of(domain: str, texts: Path) -> tuple[Bytes, Bytes]:
    """Training and held-out bytes of a domain; read from its packages once, kept as a file."""
    file = texts / f"{domain}.npz"
    if not file.exists():
        texts.mkdir(parents=True, exist_ok=True)
        parts: tuple[list[str], list[str]] = ([], [])
        builtin = BUILTIN[domain]
        for source in builtin.sources:
            for item in builtin.items(source):
                for document in item.extract(item.raw.decode("utf-8", errors="replace")):
                    text = normalise(document)
                    held_out = builtin.validation_only or fraction_of(text) < HELD_OUT
                    parts[held_out].append(text)
        train, rest = ("\n\n".join(sorted(part, key=fraction_of)).encode() for part in parts)
        half = file.with_suffix(f".{os.getpid()}.npz")
        np.savez(half, train=np.frombuffer(train, "u1"), rest=np.frombuffer(rest, "u1"))
        half.replace(file)  # whole or not there: other runs may look at the same time
    kept = np.load(file)
    return kept["train"].astype(np.uint64), kept["rest"].astype(np.uint64)


class Model:
    """Counts of every run of one to `ORDER` bytes, and of what follows each."""

    def __init__(self, text: Bytes) -> None:
        self.grams = [np.unique(grams(text, n), return_counts=True) for n in range(1, ORDER + 1)]

    def bits_per_byte(self, text: Bytes) -> float:
        """Of a text, from its first whole context on."""
        p = np.full(len(text), 1 / 256)
        for n, (known, counts) in enumerate(self.grams, start=1):
            contexts, first = np.unique(known >> np.uint64(8), return_index=True)
            after = np.diff(np.append(first, len(known)))  # different bytes after each context
            seen = np.add.reduceat(counts, first)
            here = grams(text, n)
            count = looked_up(here, known, counts)
            context = here >> np.uint64(8)
            kinds, times = looked_up(context, contexts, after), looked_up(context, contexts, seen)
            p[n - 1 :] = np.where(
                times > 0, (count + kinds * p[n - 1 :]) / np.maximum(times + kinds, 1), p[n - 1 :]
            )
        return float(-np.log2(p[ORDER - 1 :]).mean())


def grams(text: Bytes, n: int) -> Bytes:
    """Every n bytes in a row as one number."""
    number = np.zeros(max(len(text) - n + 1, 0), np.uint64)
    for i in range(n):
        number = (number << np.uint64(8)) | text[i : len(text) - n + 1 + i]
    return number


def looked_up(keys: Bytes, known: Bytes, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The value of each key, 0 where it is not known."""
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, values[at], 0)


if __name__ == "__main__":
    main()
