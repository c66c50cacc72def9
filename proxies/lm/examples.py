"""Sequences out of a domain's text: as it stands, or as examples of an objective.

An example is a function of the text and of (seed, domain, number of the sequence): a run that
resumes, and another mixture with the same seed, read the same ones. Prefix, boundary, targets and,
where these do not fill the sequence, more boundaries; so the tokens themselves say which of them
bear loss, and a batch is one tensor of whole sequences whatever its domains are.

Notation:
    T + 1 tokens of a sequence; L of them from the source, n hidden, in s spans
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxies.corpus import Corpus
from proxies.corpus.objectives import END, SPECIAL, Objective

Ints = NDArray[np.int64]

NOWHERE = -1
"""The place in the source of a token that is not from there."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens that are not the tokenizer's.

    Attributes:
        boundary: between prefix and targets, and behind these.
        ends: (V,) whether a token ends a document.
    """

    boundary: int
    ends: NDArray[np.bool_]

    @property
    def end(self) -> int:
        """Of the targets; of `infill` of each span."""
        return self.boundary + END

    @property
    def sentinel(self) -> int:
        """The first one; the k-th span is behind the k-th."""
        return self.boundary + SPECIAL


@dataclass(frozen=True)
class Example:
    """A sequence of an objective.

    Attributes:
        ids: (T + 1,) tokens.
        places: (T + 1,) where each is from, counted from the first token of the source;
            `NOWHERE` of sentinels, boundaries and ends.
        bearing: tokens that bear loss.
    """

    ids: Ints
    places: Ints
    bearing: int


def example(
    objective: Objective, tokens: Ints, context: int, words: Vocabulary, draws: np.random.Generator
) -> Example:
    """Make an example of L tokens.

    Args:
        objective: L is its `source_tokens` of the context.
        tokens: (L,).
        context: T.
        words: tokens beyond those of the text.
        draws: where spans lie.
    """
    starts, ends = _spans(objective, words.ends[tokens], draws)
    ids = np.full(context + 1, words.boundary, dtype=np.int64)
    places = np.full(context + 1, NOWHERE, dtype=np.int64)
    every, spans = np.arange(len(tokens)), np.arange(len(starts))
    of_token = np.searchsorted(starts, every, side="right") - 1  # the last span that has begun
    hidden = (of_token >= 0) & (every < ends[of_token])
    before: Ints = np.cumsum(hidden) - hidden  # hidden tokens before each
    if objective.name == "s":  # one span at the end, which needs no sentinel
        at = every + hidden
    else:
        behind = len(tokens) - int(hidden.sum()) + len(spans) + 1  # where the targets begin
        extra = 2 if objective.name == "infill" else 1
        of_target = behind + before + extra * of_token + 1
        at = np.where(hidden, of_target, every - before + of_token + 1)
        ids[starts - before[starts] + spans] = words.sentinel + spans
        ids[behind + before[starts] + extra * spans] = words.sentinel + spans
        last = spans if extra == 2 else spans[-1:]
        ids[at[ends[last] - 1] + 1] = words.end
    ids[at], places[at] = tokens, every
    return Example(ids, places, _bearing(objective, starts, ends, len(tokens)))


def _bearing(objective: Objective, starts: Ints, ends: Ints, tokens: int) -> int:
    """Tokens that bear loss in an example with these spans."""
    return objective.lengths(int((ends - starts).sum()), len(starts), tokens)[1]


def _spans(
    objective: Objective, document_ends: NDArray[np.bool_], draws: np.random.Generator
) -> tuple[Ints, Ints]:
    """(s,) starts and ends of the hidden spans, in order, none next to another."""
    length = len(document_ends)
    if objective.name == "s":
        hidden = objective.hidden(length)
        return np.array([length - hidden]), np.array([length])
    if objective.name == "infill":
        first, stop = _longest_document(document_ends)
        hidden = objective.hidden(stop - first, 2 * objective.rate * draws.random())
        kept = stop - first - hidden
        spans = min(objective.spans(hidden), kept + 1)
        between = _segments(kept + 2, spans + 1, draws)
        between[[0, -1]] -= 1  # it may begin and end with a span
        between[0] += first
    else:  # the form of T5: begins with text, ends with a span
        hidden = objective.hidden(length)
        spans = objective.spans(hidden)
        between = _segments(length - hidden, spans, draws)
    sizes = _segments(hidden, spans, draws)
    starts = np.cumsum(between[:spans]) + np.cumsum(sizes) - sizes
    return starts, starts + sizes


def _segments(total: int, parts: int, draws: np.random.Generator) -> Ints:
    """(parts,) whole numbers above 0 that sum to `total`, each such list equally likely."""
    cuts = np.sort(draws.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate(([0], cuts, [total])))


def _longest_document(document_ends: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the longest stretch without the end of a document lies; of two tokens at least."""
    edges = np.concatenate(([-1], np.flatnonzero(document_ends), [len(document_ends)]))
    longest = int(np.diff(edges).argmax())
    first, stop = int(edges[longest]) + 1, int(edges[longest + 1])
    return (first, stop) if stop - first >= 2 else (0, len(document_ends))


class Examples:
    """Reads the sequences of some domains, or of validation sets.

    Args:
        corpus: the data.
        context: T.
        seed: of the run.
    """

    def __init__(self, corpus: Corpus, context: int, seed: int) -> None:
        self._context, self._seed = context, seed
        self._objectives = {name: of.objective for name, of in corpus.derived.items()}
        self._strides = {n: of.source_tokens(context) for n, of in self._objectives.items()}
        self._words = None
        if corpus.boundary is not None:
            self._words = Vocabulary(corpus.boundary, corpus.token_bytes == 0)

    def __contains__(self, name: object) -> bool:
        """Whether a domain or set is read under an objective."""
        return name in self._objectives

    def stride(self, name: str) -> int:
        """L: tokens of the text from one sequence to the next; T where it is read as it stands."""
        return self._strides.get(name, self._context)

    def read(
        self, name: str, stream: NDArray[np.integer], start: int, number: int
    ) -> tuple[Ints, int]:
        """A sequence, (T + 1,), and how many of its tokens bear loss.

        Args:
            name: of the domain.
            stream: its tokens.
            start: where the sequence begins there.
            number: of the sequence, in the order of the run.
        """
        if name not in self._objectives:
            return stream[start : start + self._context + 1].astype(np.int64), self._context
        made = self.example(name, stream, start, number)
        return made.ids, made.bearing

    def behind(
        self, piece: Ints, name: str, stream: NDArray[np.integer], start: int, number: int
    ) -> tuple[Ints, int]:
        """A sequence, (T + 1,), that begins with a piece of another text, which bears loss.

        Of a domain that is read as it stands, the text loses its beginning. Of one under an
        objective a shorter example of the same text follows, with spans of its own, or boundaries
        where no example fits; the piece stands between two boundaries, as targets do.

        Args:
            piece: `room` + 1 tokens at most, the first of which is no target.
            name: of the domain; this and the others as in `read`.
            stream: its tokens.
            start: where the sequence begins there.
            number: of the sequence.

        Returns:
            The sequence, and how many tokens of the domain bear loss in it.
        """
        if name not in self._objectives:
            ids, bearing = self.read(name, stream, start, number)
            return np.concatenate((piece, ids[len(piece) :])), bearing - (len(piece) - 1)
        assert self._words is not None
        left = self._context - 1 - len(piece)  # tokens of the example
        edge = np.array([self._words.boundary])
        rest, bearing = np.repeat(edge, left), 0
        if self._objectives[name].makes(left - 1):
            made = self.example(name, stream, start, number, left - 1)
            rest, bearing = made.ids, made.bearing
        return np.concatenate((piece[:1], edge, piece[1:], edge, rest)), bearing

    @property
    def room(self) -> int:
        """Targets that the longest piece has which any sequence can begin with; see `behind`."""
        return self._context - (0 if self._words is None else 2)

    def example(
        self,
        name: str,
        stream: NDArray[np.integer],
        start: int,
        number: int,
        context: int | None = None,
    ) -> Example:
        """A sequence of a domain under an objective; see `read`. It may be one of a shorter T."""
        assert self._words is not None
        objective, length = self._objectives[name], self.stride(name)
        if context is not None:
            length = objective.source_tokens(context)
        tokens = stream[start : start + length].astype(np.int64)
        draws = self._draws(name, number)
        return example(objective, tokens, context or self._context, self._words, draws)

    def bearing(self, name: str, stream: NDArray[np.integer], start: int, number: int) -> int:
        """Tokens of a sequence that bear loss; see `read`, which need not have been there."""
        objective = self._objectives.get(name)
        if objective is None:
            return self._context
        length = self.stride(name)
        if objective.name != "infill":  # of which each sequence draws its own share
            return objective.lengths(*objective.most(length), length)[1]
        assert self._words is not None
        ends = self._words.ends[stream[start : start + length]]
        return _bearing(objective, *_spans(objective, ends, self._draws(name, number)), length)

    def _draws(self, name: str, number: int) -> np.random.Generator:
        # a counter gives every sequence numbers of its own, whichever are read before it
        key = np.array([self._seed % 2**64, zlib.crc32(f"objective/{name}".encode())], np.uint64)
        bits = np.random.Philox(key=key, counter=np.array([0, 0, 0, number], np.uint64))
        return np.random.Generator(bits)


def bears_loss(ids: Tensor, boundary: int) -> Tensor:
    """Which targets bear loss, (..., T) float32 of 0 and 1.

    All of a sequence without a boundary; else those behind its first one until the next, and so on
    by turns, boundaries themselves left out: what stands between two is a piece of targets.

    Args:
        ids: (..., T + 1) tokens.
        boundary: the token.
    """
    is_boundary = ids == boundary
    passed = is_boundary.cumsum(-1)
    within = (passed[..., :-1] % 2 == 1) & ~is_boundary[..., 1:]
    return (within | (passed[..., -1:] == 0)).to(torch.float32)


def mean_loss(each: Tensor, ids: Tensor, boundary: int | None) -> Tensor:
    """Mean loss of every sequence over its targets that bear loss, (...).

    Args:
        each: (..., T) losses of tokens.
        ids: (..., T + 1) tokens.
        boundary: None: all of them do.
    """
    if boundary is None:
        return each.mean(-1)
    bears = bears_loss(ids, boundary)
    return (each * bears).sum(-1) / bears.sum(-1)


def rows_of(
    examples: Examples, name: str, stream: NDArray[np.integer], starts: Sequence[int]
) -> tuple[Ints, Ints]:
    """Sequences of a set, numbered from 0, and the place in the stream of each token.

    Returns:
        (b, T + 1) tokens, and places; those of tokens that are not from the text are the
        sequence's first.
    """
    rows, places = [], []
    for number, start in enumerate(starts):
        if name in examples:
            made = examples.example(name, stream, start, number)
            rows.append(made.ids)
            places.append(start + np.maximum(made.places, 0))
        else:
            rows.append(examples.read(name, stream, start, number)[0])
            places.append(start + np.arange(len(rows[-1])))
    return np.stack(rows), np.stack(places)


def sharing(corpus: Corpus, ends: Mapping[str, int]) -> dict[str, int]:
    """Where the training text of domains ends: of all that have the text of one that ends there."""
    of_sources = {corpus.source_of(name): end for name, end in ends.items()}
    every = ((name, corpus.source_of(name)) for name in corpus.domains)
    return {name: of_sources[source] for name, source in every if source in of_sources}
