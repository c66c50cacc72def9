"""A heap of documents: files of text, read one document after another, as often as needed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixopt.errors import InputError, did_you_mean
from proxies.corpus.counts import Counts, printable
from proxies.corpus.reading import read_records, spans_of
from proxies.corpus.sources import sources_of
from proxies.corpus.survey import RECORDS, first_rows, text_field_of
from proxies.corpus.userfiles import Listing, find_files

_WHOLE = 2**62  # a part of a file that holds all of it


@dataclass(frozen=True)
class Document:
    """A document of the heap.

    Attributes:
        number: in the order of reading, from 0; empty ones count.
        text: of it.
        values: of other fields of its record, in the order of `Heap.fields`.
    """

    number: int
    text: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Heap:
    """Files of text, and how they are read.

    Attributes:
        name: of the heap, for messages.
        listing: the files, and those that are not read.
        text_field: of records.
        fields: of records that are read beside the text.
    """

    name: str
    listing: Listing = field(hash=False)
    text_field: str
    fields: tuple[str, ...]

    @classmethod
    def open(
        cls, paths: Sequence[str], source: Mapping[str, Any], fields: Sequence[str] = ()
    ) -> "Heap":
        """List the files.

        Args:
            paths: files, folders or URLs.
            source: other settings of a `Source`; without `text_field` it is looked for.
            fields: to be read beside the text.

        Raises:
            InputError: a path is missing or holds no text, or a setting is none.
        """
        name = _name(paths)
        given = {"path": list(paths), **source}
        listing = find_files(name, sources_of(name, given, "text"))
        text_field = str(source.get("text_field", ""))
        if not text_field:
            text_field = text_field_of(name, listing.files) or "text"
            given |= {"text_field": text_field}
            listing = find_files(name, sources_of(name, given, text_field))
        return cls(name, listing, text_field, tuple(fields))

    @property
    def size(self) -> int:
        """Bytes of the files as they are stored."""
        return sum(file.size for file in self.listing.files)

    def documents(self, counts: Counts) -> Iterator[Document]:
        """All documents, in the same order at every call.

        Args:
            counts: is added to.

        Raises:
            InputError: a file cannot be read.
        """
        number = 0
        for file in self.listing.files:
            for span in spans_of(self.name, file, _WHOLE):
                for text, values in read_records(self.name, file, counts, self.fields, span):
                    yield Document(number, text, values)
                    number += 1

    def known_fields(self) -> list[str]:
        """Fields of the first record; none where files are documents, or CSV."""
        for file in self.listing.files:
            if file.kind in RECORDS:
                first = next(iter(first_rows(self.name, file, 1)), None)
                return [str(key) for key in first] if isinstance(first, Mapping) else []
        return []

    def no_field(self, name: str, otherwise: str) -> InputError:
        """What to say where no record has a field: those that the first one has.

        Args:
            name: of the field.
            otherwise: what else to do about it than to name another.
        """
        known = self.known_fields()
        beside = did_you_mean(name, known) if known else "its files are documents, not records"
        return InputError(
            f"no document of {self.name!r} has a field {name!r} ({printable(beside, 600)}); name "
            f"another field, {otherwise}"
        )


def _name(paths: Sequence[str]) -> str:
    """A name for messages: that of the only path, or 'heap'."""
    if len(paths) != 1:
        return "heap"
    return Path(paths[0]).expanduser().resolve().name if "://" not in paths[0] else paths[0]
