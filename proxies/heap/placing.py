"""To which domain a document belongs: by its words, by embeddings of the user's, or by a field."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from proxies.heap.clusters import CLEAR, Candidate, assign, best, curve, fit
from proxies.heap.heap import Document
from proxies.heap.look import Look, Tell, value_key
from proxies.heap.terms import names_of_terms, names_of_values, telling_terms
from proxies.heap.vectors import Rows, TextVectors, extract, unit_rows

UNLABELLED = "unlabelled"
"""The domain of documents without a value."""


class Places(Protocol):
    """Finds the domain of documents."""

    def of(self, documents: Sequence[Document]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The number of each one's domain, and how near to its middle it is (1 at most), (n,)."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Domains, before documents are put into them.

    Attributes:
        names: of the domains.
        terms: the most telling ones of each.
        places: finds the domain of documents.
        curve: what was tried to find out how many there are.
        notes: what the user should know.
    """

    names: tuple[str, ...]
    terms: tuple[tuple[str, ...], ...]
    places: Places
    curve: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class ByWords:
    """By the nearest centre of clusters of words."""

    vectors: TextVectors
    centres: Rows

    def of(self, documents: Sequence[Document]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Places`."""
        return assign(self.vectors.rows([extract(d.text) for d in documents]), self.centres)


@dataclass(frozen=True, eq=False)
class ByEmbeddings:
    """By the nearest centre of clusters of embeddings; row i is of document i."""

    rows: NDArray[Any]
    centres: Rows

    def of(self, documents: Sequence[Document]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Places`."""
        return assign(_rows_of(self.rows, [d.number for d in documents]), self.centres)


@dataclass(frozen=True)
class ByField:
    """By the value of a field, the first that is read; see `value_key`."""

    numbers: dict[str | None, int]

    def of(self, documents: Sequence[Document]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Places`."""
        numbers = [self.numbers[value_key(d.values[0])] for d in documents]
        return np.array(numbers, dtype=int), np.ones(len(numbers))


@dataclass(frozen=True)
class InOne:
    """All in the same."""

    def of(self, documents: Sequence[Document]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Places`."""
        return np.zeros(len(documents), dtype=int), np.ones(len(documents))


def all_in_one(name: str) -> Plan:
    """One domain, to be parted by quality."""
    return Plan(tuple(names_of_values([name])), ((),), InOne())


def by_words(seen: Look, k: int | None, seed: int, tell: Tell) -> Plan:
    """Clusters of words.

    Args:
        seen: what the first reading gave.
        k: clusters; None: as many as are found.
        seed: of all that is random.
        tell: is told of progress.

    Raises:
        InputError: there are too few documents.
    """
    tell("clustering", 0, 0)
    vectors = TextVectors.fit(seen.extracts, seed)
    rows = vectors.rows(seen.extracts)
    wordless = int((~rows.any(axis=1)).sum())
    if wordless == len(rows):
        raise InputError(
            f"none of {len(rows)} documents holds a word by which it could be told from others; "
            "give more documents, a field, or embeddings"
        )
    notes = (
        (
            f"{wordless} of {len(rows)} documents of the sample have no word that others have too; "
            "they lie anywhere",
        )
        if wordless
        else ()
    )
    centres, tried = _centres(rows, k, seed)
    return _of_clusters(seen, rows, ByWords(vectors, centres), centres, (tried, notes))


def by_embeddings(seen: Look, path: Path, k: int | None, seed: int, tell: Tell) -> Plan:
    """Clusters of the user's embeddings: a .npy file, a row for each document that is read.

    Raises:
        InputError: the file is none, or of other documents; there are too few documents.
    """
    tell("clustering", 0, 0)
    whole = open_embeddings(path)
    _check_length(path, whole, seen)
    rows = _rows_of(whole, seen.sample.tolist())
    centres, tried = _centres(rows, k, seed)
    return _of_clusters(seen, rows, ByEmbeddings(whole, centres), centres, (tried, ()))


def by_field(seen: Look, name: str) -> Plan:
    """The values of a field, those of most documents first; without one: `UNLABELLED`.

    Raises:
        InputError: all documents have the same.
    """
    ordered = sorted(seen.values, key=lambda value: -seen.values[value])
    named = [UNLABELLED if value is None else value for value in ordered]
    notes = []
    if None in seen.values:
        notes.append(
            f"{seen.values[None]} of {sum(seen.values.values())} documents have no value in "
            f"{name!r}; they are in {UNLABELLED!r}"
        )
    if len(ordered) == 1:
        raise InputError(
            f"every document has {ordered[0]!r} in {name!r}, which is one domain alone; name "
            "another field, or leave it out to have documents put together by their words"
        )
    numbers = {value: number for number, value in enumerate(ordered)}
    labels = np.array([numbers[value] for value in seen.sample_values], dtype=int)
    terms = telling_terms(seen.extracts, labels, len(ordered))
    return Plan(tuple(names_of_values(named)), tuple(terms), ByField(numbers), notes=tuple(notes))


def open_embeddings(path: Path) -> NDArray[Any]:
    """A file of embeddings, mapped and not read.

    Raises:
        InputError: it is no .npy file of numbers in two dimensions.
    """
    form = "give a .npy file of numbers with a row for each document, in the order of reading"
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"embeddings: {path} cannot be read ({error}); {form}") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind not in "fiu":
        plain = isinstance(rows, np.ndarray)
        shape = f"{rows.dtype} of shape {rows.shape}" if plain else "several arrays"
        raise InputError(f"embeddings: {path} holds {shape}; {form}")
    return rows


def _check_length(path: Path, rows: NDArray[Any], seen: Look) -> None:
    if len(rows) != seen.documents:
        empty, broken = int(seen.empty.sum()), sum(m.number for m in seen.counts.broken.values())
        raise InputError(
            f"embeddings: {path} has {len(rows)} rows and {seen.documents} documents were read "
            f"({empty} of them empty; {broken} lines, rows or documents are left out and count "
            "for none); make a row for each document that is read, empty ones included"
        )


def _rows_of(rows: NDArray[Any], numbers: Sequence[int]) -> Rows:
    chosen = np.asarray(rows[numbers], dtype=np.float32)
    odd = np.flatnonzero(~np.isfinite(chosen).all(axis=1))
    if len(odd):
        raise InputError(
            f"embeddings: row {numbers[int(odd[0])]} (counted from 0) holds NaN or infinity; "
            "compute it again, or leave its document out"
        )
    return unit_rows(chosen)


def _centres(rows: Rows, k: int | None, seed: int) -> tuple[Rows, tuple[Candidate, ...]]:
    tried = () if k is not None else tuple(curve(rows, seed))
    return fit(rows, best(tried).k if k is None else k, seed), tried


def _of_clusters(
    seen: Look,
    rows: Rows,
    places: Places,
    centres: Rows,
    found_out: tuple[tuple[Candidate, ...], tuple[str, ...]],
) -> Plan:
    labels, _ = assign(rows, centres)
    terms = telling_terms(seen.extracts, labels, len(centres))
    tried, notes = found_out
    if tried and max(c.agreement for c in tried) < CLEAR:
        notes = (
            *notes,
            "the documents fall into no clear parts: two halves of the sample agree on none of the "
            f"numbers of clusters (at most {max(c.agreement for c in tried):.2f} of 1); choose the "
            "number by what you want to tell apart",
        )
    return Plan(tuple(names_of_terms(terms)), tuple(terms), places, tried, notes)
