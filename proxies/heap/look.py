"""The first reading of a heap: how much there is, what was met before, and a sample of it."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from proxies.corpus.counts import Counts
from proxies.heap.clusters import MOST
from proxies.heap.duplicates import Sketches, digest, repeated
from proxies.heap.heap import Document, Heap
from proxies.heap.vectors import extract

SAMPLE = 10_000
"""Documents from which is learned what clusters there are."""

_TOLD = 500  # documents between two calls of `tell`

Tell = Callable[[str, float, float], None]
"""What is told of progress: the stage, what is done of it and all of it, 0 if unknown."""


def silent(_stage: str, _done: float, _all: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class Look:
    """What the first reading gave; arrays have one entry a document, (n,).

    Attributes:
        counts: what was read and left out.
        size: bytes of text.
        empty: documents without text.
        exact: documents that were met before to the letter.
        near: documents that are nearly one before them, exact ones included.
        sample: numbers of the documents of the sample, ascending; none is empty or was met before.
        extracts: their text, as far as it is looked at.
        sample_values: their values of the field that tells domains.
        absent: fields of which no document has a value.
        values: of the field that tells domains, in the order in which they were met, and of how
            many documents each is; None stands for no value.
    """

    counts: Counts
    size: int
    empty: NDArray[np.bool_]
    exact: NDArray[np.bool_]
    near: NDArray[np.bool_]
    sample: NDArray[np.int64]
    extracts: tuple[str, ...]
    sample_values: tuple[str | None, ...]
    absent: tuple[str, ...]
    values: dict[str | None, int]

    @property
    def documents(self) -> int:
        """How many were read, empty ones included."""
        return len(self.empty)


_Sampled = tuple[int, str, str | None]
# number, extract, value of the field


@dataclass
class _Reservoir:
    """A sample of a stream in which each document is equally likely (Vitter 1985, algorithm R)."""

    rng: np.random.Generator
    kept: list[_Sampled] = field(default_factory=list)
    met: int = 0

    def offer(self, document: Document, value: str | None) -> None:
        self.met += 1
        place = len(self.kept) if len(self.kept) < SAMPLE else int(self.rng.integers(self.met))
        if place < SAMPLE:
            self.kept[place : place + 1] = [(document.number, extract(document.text), value)]


def look(heap: Heap, by_field: bool, scratch: Path, seed: int, tell: Tell = silent) -> Look:
    """Read a heap once.

    Args:
        heap: to read.
        by_field: whether the first of its fields tells the domains.
        scratch: folder for the sketches of documents, half a kilobyte each.
        seed: of the sample.
        tell: is told of progress, in bytes of text.

    Raises:
        InputError: it holds no text, or the field has too many values.
    """
    with Sketches(scratch / "sketches") as sketches:
        return _look(heap, by_field, sketches, np.random.default_rng(seed), tell)


def _look(
    heap: Heap, by_field: bool, sketches: Sketches, rng: np.random.Generator, tell: Tell
) -> Look:
    counts = Counts()
    reservoir = _Reservoir(rng)
    digests, empty, size = array("Q"), array("b"), 0
    values: dict[str | None, int] = {}
    absent = dict(enumerate(heap.fields))
    for document in heap.documents(counts):
        nothing = not document.text.strip()
        empty.append(nothing)
        digests.append(digest(document.text))
        sketches.add(document.text)
        if document.number % _TOLD == 0:
            tell("reading", size, 0)
        if nothing:
            continue
        size += len(document.text.encode())
        for place in [place for place in absent if document.values[place] is not None]:
            del absent[place]
        value = _count_value(heap, document.values[0], values) if by_field else None
        reservoir.offer(document, value)
    counts.check(heap.name, heap.listing.skipped)
    if len(empty) == sum(empty):
        raise InputError(f"{heap.name!r} holds no text: {_nothing(counts)}; name other files")
    tell("comparing", 0, 0)
    without = np.frombuffer(empty, dtype=np.int8).astype(bool)
    exact = repeated(np.frombuffer(digests, dtype=np.uint64)) & ~without
    near = ((sketches.near() != np.arange(len(without))) & ~without) | exact
    kept = sorted(
        (one for one in reservoir.kept if not near[one[0]]), key=lambda sampled: sampled[0]
    )
    return Look(
        counts,
        size,
        without,
        exact,
        near,
        np.array([number for number, _, _ in kept], dtype=np.int64),
        tuple(text for _, text, _ in kept),
        tuple(value for _, _, value in kept),
        tuple(absent.values()),
        values,
    )


def _nothing(counts: Counts) -> str:
    documents = counts.documents
    return f"{documents} documents, all empty" if documents else "not a single document"


def _count_value(heap: Heap, value: Any, values: dict[str | None, int]) -> str | None:
    name = heap.fields[0]
    if isinstance(value, dict | list):
        raise InputError(
            f"field {name!r} holds a {'list' if isinstance(value, list) else 'mapping'}, which "
            "names no domain; name a field of text, like topic or meta.topic"
        )
    key = value_key(value)
    values[key] = values.get(key, 0) + 1
    if len(values) > MOST:
        some = ", ".join(repr(v) for v in list(values)[:3])
        raise InputError(
            f"field {name!r} has more than {MOST} values (such as {some}), which are no domains; "
            "name a coarser field, or leave it out to have documents put together by their words"
        )
    return key


def value_key(value: Any) -> str | None:
    """A value of a field as text; None for none, and for text that is blank."""
    return None if value is None else str(value).strip() or None
