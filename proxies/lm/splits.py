"""The steering split: text that a mixer may look at, and by which nothing is judged.

Three splits keep apart what changes a run from what judges it. *Training* text is trained on;
*validation* text is scored, and the verdict is on that alone; *steering* text is what a mixer's
held-out losses and target gradients are measured on:

* of a training domain the end of its training text, whole documents where they are not too long,
  which a run that steers by it does not train on (shards hold documents in the order of hashes, so
  that the end is a random part);
* of a set that is no training domain those parts of it which are scored at no scale: of documents
  that are scored nowhere if that is enough, else from between the scored parts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixopt.errors import InputError, did_you_mean
from proxies.corpus import Corpus
from proxies.lm.evaluate import scored_starts
from proxies.lm.examples import Examples, rows_of

SHARE = 20
"""One part in so many of a domain's training text is steered by, at most."""
_LONGEST = 2
"""A document that would take so many times as much is cut."""
_LEAST = 4
"""Sequences of a domain, with which it can give one to steer by."""
SEED = 0
"""Of the examples that are made of text under an objective: the same for every run."""
_ENOUGH = 4
"""Unscored documents are taken alone if they hold one part in so many of what is wanted."""


@dataclass(frozen=True)
class SteeringSet:
    """What a target is measured on.

    Attributes:
        name: of the target.
        ids: (s, T + 1) tokens, on the device.
        ends: where the training text of the domain ends from now on; None: it is no domain.
        shares_documents: whether documents are in it that the verdict sees other parts of.
    """

    name: str
    ids: Tensor
    ends: int | None = None
    shares_documents: bool = False

    @property
    def tokens(self) -> int:
        """Of a look at it."""
        return len(self.ids) * (self.ids.shape[1] - 1)

    def record(self) -> dict[str, Any]:
        """Plain JSON values for the run's record."""
        split = "validation, unscored" if self.ends is None else "training, left out"
        return {"tokens": self.tokens, "from": split, "shares_documents": self.shares_documents}


def steering_sets(
    corpus: Corpus,
    targets: Iterable[str],
    *,
    context: int,
    tokens: int,
    scored: Sequence[tuple[int, int]],
    device: torch.device,
) -> list[SteeringSet]:
    """The steering split of some targets, (n), the same for every run of a corpus.

    Args:
        corpus: the data.
        targets: names of validation sets.
        context: T.
        tokens: of each, about.
        scored: (context, tokens) of what is scored, at each scale that there may be.
        device: where it is used.

    Raises:
        InputError: a target is no validation set, or nothing of it is left to steer by.
    """
    sets = []
    examples = Examples(corpus, context, SEED)
    for name in targets:
        if name not in corpus.validation_sets:
            known = did_you_mean(name, corpus.validation_sets)
            raise InputError(f"the mixer steers by {name!r}, which is no validation set; {known}")
        if name in corpus.domains:
            end = training_end(corpus, name, context, tokens)
            stream = corpus.train_tokens(name)[end:]
            starts = scored_starts(len(stream), context, tokens)
            ids = _rows(examples, name, stream, starts)
            sets.append(SteeringSet(name, ids.to(device), end))
        else:
            stream = corpus.validation_tokens(name)
            lengths = [(Examples(corpus, c, SEED).stride(name), number) for c, number in scored]
            starts, shared = unscored(stream, corpus.token_bytes, lengths, context)
            if not len(starts):
                raise InputError(
                    f"all of {name!r} is scored, and nothing is left to steer by; lower "
                    "evaluation_tokens, raise max_validation_bytes, or name training domains as "
                    "targets"
                )
            some = np.linspace(0, len(starts) - 1, min(len(starts), max(1, tokens // context)))
            ids = _rows(examples, name, stream, starts[some.round().astype(int)])
            sets.append(SteeringSet(name, ids.to(device), None, shared))
    return sets


def training_end(corpus: Corpus, domain: str, context: int, tokens: int) -> int:
    """Where the training text of a domain ends, if its end is steered by.

    Args:
        corpus: the data.
        domain: its name.
        context: tokens of a sequence.
        tokens: wanted to steer by.

    Raises:
        InputError: the domain is too short.
    """
    stream = corpus.train_tokens(domain)
    if len(stream) <= _LEAST * context + 1:
        raise InputError(
            f"domain {domain!r} has {len(stream)} tokens, too few to train on some and steer by "
            f"others in sequences of {context}; add text, or name other targets"
        )
    size = max(context + 1, min(tokens, len(stream) // SHARE))
    first = max(0, len(stream) - _LONGEST * size)
    latest = len(stream) - size
    marks = np.flatnonzero(corpus.token_bytes[np.asarray(stream[first:latest])] == 0)
    return first + int(marks[-1]) + 1 if len(marks) else latest


def unscored(
    stream: NDArray[Any],
    token_bytes: NDArray[np.int32],
    scored: Sequence[tuple[int, int]],
    context: int,
) -> tuple[NDArray[np.int64], bool]:
    """Starts of the sequences that are scored at no scale, and whether scored documents hold them.

    Args:
        stream: (tokens,) of a validation set.
        token_bytes: (V,) bytes of each token; 0 ends a document.
        scored: see `steering_sets`.
        context: tokens of a sequence.
    """
    tokens = np.asarray(stream)
    taken = np.zeros(len(tokens), dtype=bool)
    for length, number in scored:
        for start in scored_starts(len(tokens), length, number):
            taken[start : start + length + 1] = True
    document = np.concatenate(([0], np.cumsum(token_bytes[tokens] == 0)[:-1]))
    of_documents = np.isin(document, np.unique(document[taken]))
    apart = _stretches(~of_documents, context)
    wanted = max(1, max((number for _, number in scored), default=0) // context // _ENOUGH)
    return (apart, False) if len(apart) >= wanted else (_stretches(~taken, context), True)


def _stretches(free: NDArray[np.bool_], context: int) -> NDArray[np.int64]:
    """Starts of sequences, inputs and targets, that lie in free tokens alone."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], free.view(np.int8), [0]))))
    starts = [
        np.arange(begin, end - context, context)
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *starts])


def _rows(examples: Examples, name: str, stream: NDArray[Any], starts: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(rows_of(examples, name, stream, starts.tolist())[0])
