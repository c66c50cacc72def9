"""The second reading of a heap: every document into the file of its domain."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from mixopt.errors import InputError
from proxies.corpus.counts import Counts
from proxies.heap.heap import Document, Heap
from proxies.heap.look import Look, Tell
from proxies.heap.placing import Plan

EXAMPLES = 2
_SHOWN = 160  # characters of an example
_BATCH = 256  # documents
_BUFFER = 2**16


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
    """

    name: str
    terms: tuple[str, ...]
    documents: int = 0
    bytes: int = 0
    near: int = 0
    examples: tuple[str, ...] = ()
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
        self.without = set(fields)
        """Fields of which no record had a value."""

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
        self.without -= record.keys()
        # halves of characters may stand in other fields than the text
        line = json.dumps(record, ensure_ascii=False, default=str) + "\n"
        self._files[name].write(line.encode("utf-8", errors="replace"))


def write(
    heap: Heap, seen: Look, plan: Plan, out: Path, how: tuple[bool, Tell]
) -> tuple[list[Part], list[str]]:
    """Write a .jsonl file per domain: an object a line, the text under `text`.

    Args:
        heap: to read once more.
        seen: what the first reading gave.
        plan: the domains.
        out: folder of the files.
        how: whether near-duplicates are dropped, and who is told of progress, in bytes of text.

    Returns:
        The domains, in the order of the plan (one may be empty, and has no file); and the fields
        of which no record had a value.

    Raises:
        InputError: the files have changed since the first reading.
    """
    drop, tell = how
    parts = [Part(name, terms) for name, terms in zip(plan.names, plan.terms, strict=True)]
    left_out = seen.empty | seen.near if drop else seen.empty
    done, read = 0, 0
    with _Files(out, heap.fields) as files:
        for batch in _batches(heap.documents(Counts())):
            read += len(batch)
            _check_unchanged(heap, seen, read, last=False)
            kept = [document for document in batch if not left_out[document.number]]
            if not kept:
                continue
            places, closeness = plan.places.of(kept)
            for document, place, near in zip(kept, places.tolist(), closeness, strict=True):
                files.add(parts[place].name, document)
                size = len(document.text.encode())
                parts[place].add(document.text, size, float(near))
                parts[place].near += bool(seen.near[document.number])
                done += size
            tell("writing", done, seen.size)
    _check_unchanged(heap, seen, read, last=True)
    return parts, sorted(files.without)


def _check_unchanged(heap: Heap, seen: Look, read: int, *, last: bool) -> None:
    if read > seen.documents or (last and read < seen.documents):
        raise InputError(
            f"{heap.name!r} had {seen.documents} documents at the first reading and now has "
            f"{'fewer' if last else 'more'}; leave its files alone meanwhile, and call it again"
        )


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    while batch := list(islice(documents, _BATCH)):
        yield batch
