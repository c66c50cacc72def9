"""Pilot samples: some text of every domain, and of what is scored, as points in one space.

Notation:
    n: pieces of a domain; T: of the sets that are scored; d: dimensions
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError, did_you_mean
from proxies.corpus import Corpus
from proxies.corpus.corpus import TOKENIZER, UNIT
from proxies.corpus.tokenizer import load_tokenizer
from proxies.heap.vectors import TextVectors, unit_rows

PIECE = 256
"""Tokens of a piece."""
DIMENSIONS = 16
"""The first directions alone: of the rest a few hundred pieces tell little but chance."""
TARGET = "target"

Points = dict[str, NDArray[Any]]


@runtime_checkable
class HasCorpus(Protocol):
    """A trainer with text of its own."""

    def corpus(self, cache: Path) -> Corpus:
        """The prepared data."""


def pilots_of(
    trainer: Any, cache: Path, sets: Sequence[str], pieces: int, seed: int
) -> tuple[Points, NDArray[Any]]:
    """Samples of a trainer's prepared text, embedded by their words.

    Args:
        trainer: has the text.
        cache: where it was prepared.
        sets: validation sets that are the target, in equal parts.
        pieces: of each domain and set, about.
        seed: of the samples.

    Returns:
        Points (n, d) of each domain, and (T, d) of the target.

    Raises:
        InputError: a trainer without text, or a set that it does not have.
    """
    if not isinstance(trainer, HasCorpus):
        raise InputError(
            f"{type(trainer).__name__} has no text that mixopt could read; embed your documents, "
            "and give --embeddings DIR, with <domain>.npy for each and target.npy"
        )
    corpus = trainer.corpus(cache)
    if corpus.shards and corpus.unit != UNIT:
        raise InputError(
            "the shards' tokenizer is not known, so that their text cannot be read; name it as "
            "`tokenizer`, or give --embeddings DIR, with <domain>.npy for each and target.npy"
        )
    unknown = [name for name in sets if name not in corpus.validation_sets]
    if unknown or not sets:
        known = did_you_mean(unknown[0] if unknown else "", corpus.validation_sets)
        raise InputError(
            f"{', '.join(map(repr, unknown)) or 'nothing'} is named as target, which is no "
            f"validation set; {known}"
        )
    rng = np.random.default_rng(seed)
    texts = {
        name: _pieces(corpus, corpus.train_tokens(name), pieces, rng) for name in corpus.domains
    }
    scored = [t for s in sets for t in _pieces(corpus, corpus.validation_tokens(s), pieces, rng)]
    vectors = TextVectors.fit([t for of in texts.values() for t in of] + scored, seed)

    def points(given: Sequence[str]) -> NDArray[Any]:
        return unit_rows(vectors.rows(given)[:, :DIMENSIONS])

    return {name: points(of) for name, of in texts.items()}, points(scored)


def read_pilots(folder: Path, domains: Sequence[str]) -> tuple[Points, NDArray[Any]]:
    """A user's embeddings: <domain>.npy with a row for each document, and target.npy.

    Raises:
        InputError: a file is missing, or cannot be read.
    """
    read: Points = {}
    for name in (*domains, TARGET):
        file = folder / f"{name}.npy"
        if not file.is_file():
            raise InputError(
                f"there is no {file}; give a .npy file of (documents, dimensions) for each of "
                f"{', '.join(domains)}, and {TARGET}.npy of what is scored"
            )
        try:
            read[name] = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{file} cannot be read: {error}; write it with numpy.save") from error
    target = read.pop(TARGET)
    return read, target


def _pieces(corpus: Corpus, tokens: NDArray[Any], count: int, rng: Any) -> list[str]:
    """Text of up to `count` pieces of a stream, none twice."""
    whole = max(1, len(tokens) // PIECE)
    places = rng.permutation(whole)[:count]
    tokenizer = load_tokenizer(corpus.path / TOKENIZER)
    return [tokenizer.decode(tokens[i * PIECE : (i + 1) * PIECE].tolist()) for i in sorted(places)]
