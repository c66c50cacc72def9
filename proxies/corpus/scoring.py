"""Scores of a document's quality: built-in ones, functions of its text, fields of its record.

Scores are kept so that the smaller one is better: one of which a high value is good has its sign
turned.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mixopt.errors import InputError
from mixopt.lazy import callable_at
from proxies.corpus.counts import Counts, printable
from proxies.corpus.documents import Item
from proxies.corpus.reading import read_records, read_rows, read_texts
from proxies.corpus.record_fields import value_at
from proxies.corpus.records import Span
from proxies.corpus.sources import Source
from proxies.corpus.userfiles import TextFile

HIGH, LOW = "high", "low"
PERPLEXITY = "bigram_perplexity"
"""Nats per token under a bigram model of the corpus (`proxies.corpus.scored`)."""

_RUN = 5  # words
_WORD = re.compile(r"\w+")
_BEGINNING = 60  # characters of a text that are shown


def _length(text: str) -> float:
    return float(len(text.encode()))


def _letters(text: str) -> float:
    return sum(map(str.isalpha, text)) / len("".join(text.split()))


def _variety(text: str) -> float:
    words = _WORD.findall(text.lower())
    runs = set(zip(*(words[at:] for at in range(_RUN)), strict=False))
    return len(runs) / (len(words) - _RUN + 1) if len(words) >= _RUN else 1.0


BUILTIN: dict[str, Callable[[str], float]] = {
    "length": _length,
    "letters": _letters,
    "variety": _variety,
}
"""Scores of a text that is not blank: its bytes; letters among all signs but blanks, low in tables
and markup; different runs of five words among all of them, 1 where nothing is repeated."""


def is_field(name: str) -> bool:
    """Whether a score is named that is neither built in nor a function."""
    return name not in BUILTIN and ":" not in name


def as_number(value: Any) -> float | None:
    """A score as a number; NaN where there is none, None where there is something else."""
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


class Unscored(Exception):
    """A document has no score; the message says what it has."""


@dataclass(frozen=True)
class Scorer:
    """What scores the documents of a corpus.

    Attributes:
        names: of the scores.
        low: whether a low one is good, of each.
        functions: of a text, by name; those without one are fields, or wait for the tokens.
        fields: that are read of records.
    """

    names: tuple[str, ...]
    low: tuple[bool, ...]
    functions: Mapping[str, Callable[[str], Any]]
    fields: tuple[str, ...]

    @classmethod
    def of(cls, given: Any) -> "Scorer":
        """From a configuration: name to `high` or `low`, whichever is good.

        Raises:
            InputError: it has another form, or there is no such function.
        """
        form = "{edu: high, bigram_perplexity: low}"
        if not isinstance(given, Mapping) or not given:
            raise InputError(
                f"scores is {given!r}; give each score with the side that is good, like {form}"
            )
        for name, good in given.items():
            if not isinstance(name, str) or good not in (HIGH, LOW):
                raise InputError(
                    f"scores.{name} is {good!r}; say {HIGH} or {LOW}, whichever is good, like "
                    f"{form}"
                )
        names = tuple(given)
        functions = {
            name: BUILTIN.get(name) or callable_at(name, "function of a text")
            for name in names
            if not is_field(name)
        }
        fields = tuple(n for n in names if n not in functions and n != PERPLEXITY)
        return cls(names, tuple(given[n] == LOW for n in names), functions, fields)

    def of_document(self, text: str, values: Sequence[Any] = ()) -> tuple[float, ...]:
        """The scores of a document, the smaller the better; NaN of those that wait for tokens.

        Args:
            text: not blank.
            values: of the record's `fields`.

        Raises:
            Unscored: it does not have one of them.
        """
        own = dict(zip(self.fields, values, strict=True))
        return tuple(
            math.nan if name == PERPLEXITY else self._one(name, low, text, own)
            for name, low in zip(self.names, self.low, strict=True)
        )

    def _one(self, name: str, low: bool, text: str, own: Mapping[str, Any]) -> float:
        function = self.functions.get(name)
        given = own[name] if function is None else function(text)
        number = as_number(given)
        if given is None or given == "":
            raise Unscored(f"no score {name!r}")
        if number is None or not math.isfinite(number):
            raise Unscored(f"{printable(str(given), 60)!r} as score {name!r}, which is no number")
        return number if low else -number

    def attach(self, name: str, source: Source, items: Sequence[Item]) -> list[Item]:
        """The items of a built-in source, scored by their texts.

        Raises:
            InputError: a score is a field of records, which there are none of.
        """
        if self.fields:
            raise InputError(
                f"domain {name!r}: {source.path!r} has no records, so that none of its documents "
                f"has the score {self.fields[0]!r}; score by {', '.join(BUILTIN)}, {PERPLEXITY} or "
                "a module:function of the text, or name files of your own"
            )

        def score(text: str) -> tuple[float, ...]:
            try:
                return self.of_document(text) if text.strip() else ()
            except Unscored as error:
                raise InputError(f"domain {name!r}: {_beginning(text)} has {error}") from error

        return [replace(item, score=score) for item in items]


def scored_texts(
    name: str, file: TextFile, counts: Counts, scorer: Scorer | None, span: Span | None = None
) -> Iterator[tuple[str, tuple[float, ...]]]:
    """The documents of a file, or of a part of it, each with its scores.

    Args:
        name: the domain, for messages.
        file: what to read.
        counts: is added to.
        scorer: None: nothing is scored.
        span: which part.

    Raises:
        InputError: see `read_records`; or a document that is not blank has no score, or one that
            is no finite number: with its file and line.
    """
    if scorer is None:
        yield from ((text, ()) for text in read_texts(name, file, counts, span))
        return
    for text, values in read_records(name, file, counts, scorer.fields, span):
        try:
            yield text, scorer.of_document(text, values) if text.strip() else ()
        except Unscored as error:
            where = _place(name, file, text, dict(zip(scorer.fields, values, strict=True)))
            remedy = (
                "a .txt file has no fields: name files of records, or score by the text"
                if file.kind == "txt" and scorer.fields
                else "give every document one, or take those without out of the file"
            )
            raise InputError(f"domain {name!r}: {where} has {error}; {remedy}") from error


def _place(name: str, file: TextFile, text: str, values: Mapping[str, Any]) -> str:
    """Where a document is, in words: file and line where it is a record of JSON or parquet."""
    if file.kind not in ("txt", "csv"):
        try:
            for where, row in read_rows(name, file):
                same = value_at(row, file.text_field) in (text, text.encode())
                if same and all(_same(value_at(row, f), v) for f, v in values.items()):
                    return where
        except InputError:  # another record is broken: this one is found by how it begins
            pass
    return f"{_beginning(text)} in {printable(file.path)}"


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or str(one) == str(other) == "nan"


def _beginning(text: str) -> str:
    return f"the document that begins {printable(' '.join(text[:200].split()), _BEGINNING)!r}"
