"""Sources: what a user names as the text of a domain, and how it is to be read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mixopt.errors import InputError, did_you_mean

PREFIX = "builtin:"
AUTO = "auto"
"""The encoding that is read off the file: by its byte-order mark, and UTF-8 without one."""

Given = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""A path, a mapping with `path` and other fields of `Source`, or a list of both."""


@dataclass(frozen=True)
class Source:
    """One place where a domain's text lies.

    Attributes:
        path: a file or folder, a URL that fsspec opens, or `builtin:<name>`.
        text_field: key (JSON), or column (parquet, arrow, csv) of the text; `a.b` is `b` inside of
            `a`, unless there is a field of that very name.
        encoding: of files without a byte-order mark. `auto` is UTF-8, and refuses a domain of which
            more than 1 % is not; an encoding that is named is taken at its word.
        suffixes: of the files of a folder that are read, all others are not; empty: as
            `proxies.corpus.forms` says.
    """

    path: str
    text_field: str = "text"
    encoding: str = AUTO
    suffixes: tuple[str, ...] = ()

    @property
    def builtin(self) -> str:
        """Name of the built-in source; empty if it is none."""
        return self.path.removeprefix(PREFIX) if self.path.startswith(PREFIX) else ""


_FIELDS = tuple(field.name for field in fields(Source))


def sources_of(name: str, given: Any, text_field: str) -> tuple[Source, ...]:
    """The sources of a domain or set, from what the user wrote.

    Args:
        name: the domain, for messages.
        given: see `Given`.
        text_field: where a source names none of its own.

    Raises:
        InputError: it has another form.
    """
    parts = [given] if isinstance(given, str | Mapping) else given
    if not isinstance(parts, Sequence) or not parts:
        raise _no_text(name, given)
    return tuple(source for part in parts for source in _source(name, part, text_field))


def _source(name: str, given: Any, text_field: str) -> Iterator[Source]:
    if isinstance(given, str):
        given = {"path": given}
    if not isinstance(given, Mapping):
        raise _no_text(name, given)
    for key in given:
        if key not in _FIELDS:
            known = did_you_mean(str(key), _FIELDS)
            raise InputError(f"domain {name!r}: a source has no setting {key!r}; {known}")
    paths = given.get("path")
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, Sequence) or not paths:
        raise _no_text(name, given)
    field = _text_field(name, given.get("text_field", text_field))
    encoding = _encoding(name, given.get("encoding", AUTO))
    suffixes = _suffixes(name, given.get("suffixes", ()))
    for path in paths:
        if not isinstance(path, str) or not path or "\0" in path:
            raise _no_text(name, path)
        if path.startswith(PREFIX) and len(given) > 1:
            raise InputError(
                f"domain {name!r}: {path!r} is built in and takes no settings; name its path alone"
            )
        yield Source(path, field, encoding, suffixes)


def _text_field(name: str, given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise InputError(
            f"domain {name!r}: text_field is {given!r}; give the name of the field with the text, "
            "like text or data.text"
        )
    return given


def _encoding(name: str, given: Any) -> str:
    if given == AUTO:
        return AUTO
    try:
        usable = "a\n".encode(given).decode(given) == "a\n"
    except (LookupError, TypeError, ValueError):
        usable = False
    if not usable:
        raise InputError(
            f"domain {name!r}: encoding is {given!r}, which Python does not know as one of text; "
            "give one like utf-8, cp1252, latin-1, utf-16-le or shift_jis, or leave it out"
        )
    return str(given)


def _suffixes(name: str, given: Any) -> tuple[str, ...]:
    listed = (given,) if isinstance(given, str) else given
    if not isinstance(listed, Sequence) or not all(
        isinstance(suffix, str) and (not suffix or suffix.startswith(".")) for suffix in listed
    ):
        raise InputError(
            f"domain {name!r}: suffixes is {given!r}; give a list of ends of file names, each with "
            "its dot, like [.py, .md]"
        )
    return tuple(suffix.lower() for suffix in listed)


def _no_text(name: str, given: Any) -> InputError:
    shown = repr(given)
    shown = shown if len(shown) <= 200 else shown[:200] + " ..."
    return InputError(
        f"domain {name!r}: {shown} names no text; give a path, a list of paths, a mapping like "
        f"{{path: data/web, text_field: body}}, or '{PREFIX}<name>'"
    )
