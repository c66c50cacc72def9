"""Documents: from raw bytes to cleaned, unique pieces of text, split by content.

Everything here is a pure function of the text itself, so that the same files give the same
splits on every machine: order, split and duplicates are decided by SHA-256 of the content.
"""

import hashlib
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MIN_PARAGRAPH = 64
"""Shorter paragraphs (`import os`, `}`) repeat by nature and are kept (characters)."""

CHUNK_CHARS = 4096
"""Largest piece into which domains of few documents are cut before they are split; a hundredth of
the domain where that is less."""

LONG_DOCUMENT = 16_384
"""What a document holds beyond this many characters waits until every document had its turn, so
that a few long documents do not fill a capped domain or its validation set."""

FEW_DOCUMENTS = 200
"""A domain with fewer documents than this is split by chunk: its split would be too coarse."""

_BLANK_LINES = re.compile(r"\n[ \t]*\n")


class Text(NamedTuple):
    """A document.

    Attributes:
        text: of it.
        scores: of its quality, the smaller the better (`proxies.corpus.scoring`); () without any.
    """

    text: str
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Item:
    """One raw unit of a source: a file, or a record of a file.

    Attributes:
        origin: where it comes from, relative to its source; for messages only.
        raw: its bytes as stored.
        extract: turns the decoded text into documents.
        scores: of all of these; see `Text`.
        score: of each of these by its text, in place of `scores`.
    """

    origin: str
    raw: bytes
    extract: Callable[[str], Iterable[str]]
    scores: tuple[float, ...] = ()
    score: Callable[[str], tuple[float, ...]] | None = None

    def digest(self) -> str:
        """SHA-256 of the raw bytes, which orders items."""
        return hashlib.sha256(self.raw).hexdigest()


def whole(text: str) -> Iterable[str]:
    """The extractor that takes the text as one document."""
    return (text,)


def normalise(text: str) -> str:
    r"""Unix line ends, no trailing blanks, at most one blank line in a row.

    >>> normalise("a \r\n\n\n\nb")
    'a\n\nb'
    """
    text = text.encode("utf-8", errors="replace").decode()  # JSON may hold lone surrogates
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    text = "\n".join(lines)
    if "\n\n\n" in text:
        text = re.sub(r"\n{3,}", "\n\n", text)
    return text.strip("\n")


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a document: what blank lines separate."""
    return _BLANK_LINES.split(text)


def joined(kept: list[str]) -> str:
    """A document out of the paragraphs that are kept."""
    return "\n\n".join(kept).strip("\n")


def fraction_of(text: str) -> float:
    """A number in [0, 1) that depends on the content alone; it decides the split."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13


@dataclass
class Deduplicator:
    """Remembers documents and paragraphs by hash, and lets each through only once."""

    seen: set[bytes] = field(default_factory=set)

    def filter(self, text: str) -> str:
        """The text without the paragraphs met before; empty if the whole document was met."""
        if self._repeated(text):
            return ""
        pieces = paragraphs(text)
        if len(pieces) == 1:
            return text
        kept = [p for p in pieces if len(p) < MIN_PARAGRAPH or not self._repeated(p)]
        return joined(kept)

    def _repeated(self, text: str) -> bool:
        key = hashlib.sha256(text.strip().encode()).digest()[:16]
        if key in self.seen:
            return True
        self.seen.add(key)
        return False


def chunks(text: str, size: int = CHUNK_CHARS) -> Iterator[str]:
    """Cut a document at line ends into pieces of about `size` characters.

    The pieces, joined by newlines, are the document again.
    """
    piece: list[str] = []
    length = 0
    for line in text.split("\n"):
        piece.append(line)
        length += len(line) + 1
        if length >= size:
            yield "\n".join(piece)
            piece, length = [], 0
    if piece:
        yield "\n".join(piece)


@dataclass
class Tally:
    """How much of a domain was read, to estimate how much text it has in all (bytes)."""

    raw_total: int = 0
    raw_read: int = 0
    text_read: int = 0

    def available(self) -> int:
        """Estimated bytes of unique text in the whole domain, read or not."""
        return round(self.text_read * self.raw_total / max(1, self.raw_read))


def documents(items: Iterable[Item], dedup: Deduplicator, tally: Tally) -> Iterator[Text]:
    """Unique, normalised documents of a domain, lazily, in the order of the items' hashes.

    Items of equal bytes count once. Text that is not UTF-8 is read with replacement characters.
    """
    unique = sorted({item.digest(): item for item in items}.items())
    tally.raw_total = sum(len(item.raw) for _, item in unique)
    for _, item in unique:
        tally.raw_read += len(item.raw)
        for document in item.extract(item.raw.decode("utf-8", errors="replace")):
            text = dedup.filter(normalise(document))
            if text.strip():
                tally.text_read += len(text.encode())
                yield Text(text, item.scores if item.score is None else item.score(document))


@dataclass
class Split:
    """Training and validation documents of one domain, each with its own cap in bytes.

    `scores` are those of the training documents, one after another.
    """

    max_train: int
    max_validation: int
    validation_fraction: float
    train: list[str] = field(default_factory=list)
    validation: list[str] = field(default_factory=list)
    scores: list[tuple[float, ...]] = field(default_factory=list)
    train_bytes: int = 0
    validation_bytes: int = 0

    def add(self, text: str, place: float, scores: tuple[float, ...] = ()) -> bool:
        """Put a piece of text where `place` (see `fraction_of`) sends it; False once all is full.

        A piece that exceeds what is left of the cap is still taken whole.
        """
        size = len(text.encode())
        if place < self.validation_fraction:
            if self.validation_bytes < self.max_validation:
                self.validation.append(text)
                self.validation_bytes += size
        elif self.train_bytes < self.max_train:
            self.train.append(text)
            self.scores.append(scores)
            self.train_bytes += size
        full_train = self.train_bytes >= self.max_train or self.validation_fraction >= 1
        full_validation = self.validation_bytes >= self.max_validation
        return not (full_train and (full_validation or self.validation_fraction <= 0))


def split_chunks(texts: list[Text], split: Split) -> None:
    """Cut few documents into pieces and hold out every 1/fraction-th in the order of hashes."""
    size = min(CHUNK_CHARS, max(256, sum(len(text) for text, _ in texts) // 100))
    pieces = {
        fraction_of(p): (p, scores)
        for text, scores in texts
        for p in chunks(text, size)
        if p.strip()
    }
    share = split.validation_fraction
    for rank, (_, (piece, scores)) in enumerate(sorted(pieces.items())):
        held_out = math.floor((rank + 1) * share) > math.floor(rank * share)
        if not split.add(piece, 0.0 if held_out else 1.0, scores):
            return


def split_documents(
    texts: Iterator[Text], *, max_train: int, max_validation: int, validation_fraction: float
) -> Split:
    """Send documents to training and validation by their hash, up to the caps.

    Args:
        texts: documents in a fixed order; consumed only as far as the caps need.
        max_train: cap of the training side in bytes of UTF-8.
        max_validation: the same of the validation side.
        validation_fraction: share of documents held out; 1 makes a validation-only set.

    Returns:
        The split. A document is on one side as a whole, except in a domain of fewer than
        `FEW_DOCUMENTS` documents, which is cut into chunks first and split by chunk.
    """
    split = Split(max_train, max_validation, validation_fraction)
    head = list(itertools.islice(texts, FEW_DOCUMENTS))
    if len(head) < FEW_DOCUMENTS:
        split_chunks(head, split)
        return split
    waiting: list[tuple[str, float, tuple[float, ...]]] = []
    for text, scores in itertools.chain(head, texts):
        place = fraction_of(text)
        first, *rest = chunks(text, LONG_DOCUMENT)
        if not split.add(first, place, scores):
            return split
        waiting += ((piece, place, scores) for piece in rest)
    for piece, place, scores in waiting:
        if piece.strip() and not split.add(piece, place, scores):
            break
    return split
