"""What reading met: documents, and all that was left out or read in another way, with its reason.

Notation:
    unit: what is read or left out as one: a line, a row, an element of an array, a file that is one
        document
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mixopt.errors import InputError, SourceError

NOT_UTF8 = "not UTF-8"
UNDECODABLE = "not in the encoding that is named"
NULS = "NUL bytes, as in binary data"
WITHOUT_MARK = {
    encoding: f"{encoding.upper()} without a byte-order mark"
    for encoding in ("utf-16-le", "utf-16-be")
}
ENCODING_SHARE = 0.01
"""A domain of which more units than this are in an unknown encoding is refused."""

_SHOWN = 10
_IN_ERRORS = 4
_LONGEST = 160


@dataclass
class Met:
    """How often something was met, and where first."""

    number: int
    first: str


Reasons = dict[str, Met]


def note(table: Reasons, reason: str, where: str, number: int = 1) -> None:
    """Count something that was met."""
    if reason in table:
        table[reason].number += number
    else:
        table[reason] = Met(number, where)


def merge(table: Reasons, other: Mapping[str, Met]) -> None:
    """Count what another part met as well."""
    for reason, met in other.items():
        note(table, reason, met.first, met.number)


def total(table: Mapping[str, Met]) -> int:
    """How many in all."""
    return sum(met.number for met in table.values())


def sentence(table: Mapping[str, Met], shown: int = _SHOWN) -> str:
    """The reasons in a line, the most frequent first.

    >>> sentence({"hidden file": Met(2, ".a.txt"), "suffix .pdf": Met(3, "b.pdf")})
    'suffix .pdf: 3 (first: b.pdf); hidden file: 2 (first: .a.txt)'
    """
    ordered = sorted(table.items(), key=lambda item: -item[1].number)
    parts = [
        f"{reason}: {m.number} (first: {printable(m.first, 100)})" for reason, m in ordered[:shown]
    ]
    if len(ordered) > shown:
        rest = sum(met.number for _, met in ordered[shown:])
        parts.append(f"{len(ordered) - shown} other reasons: {rest}")
    return "; ".join(parts)


def printable(text: str, longest: int = _LONGEST) -> str:
    r"""A name or message for a line of output: no control characters, not too long.

    >>> printable("a\nb\udcff")
    'a\\nb\\udcff'
    """
    if not (text.isprintable() and len(text) <= longest):
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(text) > longest:
        text = f"{text[: longest // 2]}...{text[-longest // 2 :]}"
    return text


@dataclass
class Counts:
    """What reading met.

    Attributes:
        documents: texts that were read.
        empty: those of them without any text.
        broken: units that were left out.
        unread: files that were left out as a whole: not those of other suffixes, which are not
            opened, but those that hold something else than their names say.
        changed: files or texts that were read in another way than their names or bytes say.
    """

    documents: int = 0
    empty: int = 0
    broken: Reasons = field(default_factory=dict)
    unread: Reasons = field(default_factory=dict)
    changed: Reasons = field(default_factory=dict)

    def fail(self, reason: str, where: str) -> None:
        """Count a unit that is left out."""
        note(self.broken, reason, where)

    def add(self, other: "Counts") -> None:
        """Count what another part met as well."""
        self.documents += other.documents
        self.empty += other.empty
        merge(self.broken, other.broken)
        merge(self.unread, other.unread)
        merge(self.changed, other.changed)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Counts":
        """What `to_dict` gave."""
        tables = {key: reasons_of(values[key]) for key in ("broken", "unread", "changed")}
        return cls(values["documents"], values["empty"], **tables)

    def faults(self) -> dict[str, Any]:
        """What was not read as it stands, for a manifest; empty if nothing was."""
        return {key: n for key, n in self.to_dict().items() if n and key != "documents"}

    def check(self, name: str, skipped: Mapping[str, Met]) -> list[str]:
        """What the user should know of it; empty if all is well.

        Args:
            name: the domain.
            skipped: files of its folders that were not opened.

        Raises:
            InputError: units were read and none of them holds text, or many are in an unknown
                encoding.
        """
        self._check_encoding(name)
        lost = total(self.broken)
        if (lost or self.unread) and self.documents == self.empty:
            reasons = sentence(self.broken | self.unread, _IN_ERRORS)
            beside = f". Files not opened: {sentence(skipped, _IN_ERRORS)}" if skipped else ""
            told = f"domain {name!r}: nothing in it holds text. {reasons}{beside}. "
            if any("field" in reason or " under " in reason for reason in self.broken):
                raise SourceError(
                    f"{told}Name the field of the text as `text_field`; a source may have its own, "
                    "as in {path: ..., text_field: ...}",
                    "text_field",
                )
            raise InputError(told + self._remedy())
        parts = []
        if lost:
            parts.append(
                f"{lost} of {lost + self.documents} lines, rows or documents are left out. "
                f"{sentence(self.broken)}"
            )
        if self.empty:
            parts.append(f"{self.empty} of {self.documents} documents are empty")
        if self.unread:
            parts.append(f"files that hold no text: {total(self.unread)}. {sentence(self.unread)}")
        if skipped:
            parts.append(f"files not read: {total(skipped)}. {sentence(skipped)}")
        if self.changed:
            changed = sentence(self.changed)
            parts.append(f"read in another way than usual: {total(self.changed)}. {changed}")
        return [f"domain {name!r}: {part}" for part in parts]

    def _remedy(self) -> str:
        """What to do where nothing holds text, whatever its field."""
        if "no JSON" in self.broken:
            return "A .jsonl file holds one JSON object a line; correct or convert the files"
        return "Correct or convert the files, or name others"

    def _check_encoding(self, name: str) -> None:
        likely = {NOT_UTF8: "cp1252"} | {r: encoding for encoding, r in WITHOUT_MARK.items()}
        doubtful = {r: met for r, met in self.broken.items() if r in likely}
        units = self.documents + total(self.broken)
        if total(doubtful) > ENCODING_SHARE * units:
            encoding = likely[next(iter(doubtful))]
            doubt = " if it is Western European" if encoding == "cp1252" else ""
            raise SourceError(
                f"domain {name!r}: {total(doubtful)} of {units} lines, rows or documents are not "
                f"in UTF-8. {sentence(doubtful)}. Name the encoding of that source, as in "
                f"{{path: ..., encoding: {encoding}}}{doubt}, or convert the files; with "
                "encoding: utf-8, what is not UTF-8 is left out and counted",
                "encoding",
            )


def reasons_of(values: Mapping[str, Any]) -> Reasons:
    """Reasons out of JSON values."""
    return {reason: Met(**met) for reason, met in values.items()}
