"""The second reading of a heap: every document into the file of its domain."""

import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from mixopt.errors import InputError
from proxies.corpus.counts import Counts
from proxies.heap.heap import Document, Heap
from proxies.heap.look import Look, Tell, silent
from proxies.heap.placing import Plan
from proxies.heap.quality import Score

EXAMPLES = 2
_SHOWN = 160  # characters of an example
_BATCH = 256  # documents
_BUFFER = 2**16


@dataclass
class Marks:
    """What is remembered of each document of a domain, in the order of its file.

    Attributes:
        scores: of its quality, those of a document after another.
        sizes: bytes of text.
        closeness: to the middle of the domain.
        near: whether it is nearly one before it.
    """

    scores: "array[float]" = field(default_factory=lambda: array("d"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    closeness: "array[float]" = field(default_factory=lambda: array("f"))
    near: "array[int]" = field(default_factory=lambda: array("b"))


@dataclass(frozen=True)
class How:
    """How a heap is written.

    Attributes:
        drop: whether near-duplicates are left out.
        scores: of quality, that are marked for each document.
        tell: is told of progress, in bytes of text.
    """

    drop: bool = False
    scores: tuple[Score, ...] = ()
    tell: Tell = silent


@dataclass
class Part:
    """A domain as it was written.

    Attributes:
        name: of it.
        terms: the most telling ones, the first the most so.
        documents: written.
        bytes: of text.
        near: documents that are nearly one before them, wherever that is; written unless they are
            dropped.
        examples: the beginnings of the documents nearest to its middle.
        marks: of its documents; empty where they are not scored.
        parent: the domain of which it is a tier of quality; empty if it is none.
        tier: which.
    """

    name: str
    terms: tuple[str, ...]
    documents: int = 0
    bytes: int = 0
    near: int = 0
    examples: tuple[str, ...] = ()
    marks: Marks = field(default_factory=Marks)
    parent: str = ""
    tier: str = ""
    _nearest: list[tuple[float, str]] = field(default_factory=list)

    def add(self, text: str, size: int, closeness: float) -> None:
        """Count a document."""
        self.documents += 1
        self.bytes += size
        if len(self._nearest) < EXAMPLES or closeness > self._nearest[-1][0]:
            shown = " ".join(text[: 4 * _SHOWN].split())[:_SHOWN]
            if all(shown != other for _, other in self._nearest):
                self._nearest.append((closeness, shown))
                self._nearest = sorted(self._nearest, key=lambda one: -one[0])[:EXAMPLES]
                self.examples = tuple(shown for _, shown in self._nearest)


class _Files:
    """The files of domains, each opened when its first document comes."""

    def __init__(self, out: Path, fields: Sequence[str]) -> None:
        self._out = out
        self._fields = fields
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, name: str, document: Document) -> None:
        """Write a document: an object on a line, the text first."""
        if name not in self._files:
            path = self._out / f"{name}.jsonl"
            self._files[name] = self._stack.enter_context(path.open("wb", buffering=_BUFFER))
        beside = zip(self._fields, document.values, strict=True)
        record = {"text": document.text} | {k: v for k, v in beside if v is not None}
        # halves of characters may stand in other fields than the text
        line = json.dumps(record, ensure_ascii=False, default=str) + "\n"
        self._files[name].write(line.encode("utf-8", errors="replace"))


def write(heap: Heap, seen: Look, plan: Plan, out: Path, how: How) -> list[Part]:
    """Write a .jsonl file per domain: an object a line, the text under `text`.

    Args:
        heap: to read once more.
        seen: what the first reading gave.
        plan: the domains.
        out: folder of the files.
        how: what is left out and marked, and who is told of progress.

    Returns:
        The domains, in the order of the plan; one may be empty, and has no file.

    Raises:
        InputError: the files have changed since the first reading.
    """
    parts = [Part(name, terms) for name, terms in zip(plan.names, plan.terms, strict=True)]
    left_out = seen.empty | seen.near if how.drop else seen.empty
    done, read = 0, 0
    with _Files(out, heap.fields) as files:
        for batch in _batches(heap.documents(Counts())):
            read += len(batch)
            _check_unchanged(heap, seen, read, last=False)
            kept = [document for document in batch if not left_out[document.number]]
            if not kept:
                continue
            places, closeness = plan.places.of(kept)
            for document, place, close in zip(kept, places.tolist(), closeness, strict=True):
                part, near = parts[place], bool(seen.near[document.number])
                files.add(part.name, document)
                size = len(document.text.encode())
                part.add(document.text, size, float(close))
                part.near += near
                if how.scores:
                    part.marks.scores.extend(score.of(document) for score in how.scores)
                    part.marks.sizes.append(size)
                    part.marks.closeness.append(close)
                    part.marks.near.append(near)
                done += size
            how.tell("writing", done, seen.size)
    _check_unchanged(heap, seen, read, last=True)
    return parts


def _check_unchanged(heap: Heap, seen: Look, read: int, *, last: bool) -> None:
    if read > seen.documents or (last and read < seen.documents):
        raise InputError(
            f"{heap.name!r} had {seen.documents} documents at the first reading and now has "
            f"{'fewer' if last else 'more'}; leave its files alone meanwhile, and call it again"
        )


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    while batch := list(islice(documents, _BATCH)):
        yield batch
