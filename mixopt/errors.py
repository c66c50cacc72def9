"""Errors: each says what was given, which rule it broke and what to do about it."""

import difflib
import textwrap
from collections.abc import Iterable

_NAMES = 40
_LINES, _WIDTH = 24, 100  # of a screen


class MixoptError(Exception):
    """Base of every error that mixopt raises on purpose."""


class InputError(MixoptError, ValueError):
    """A value given by the user breaks a rule; the message names value, rule and remedy."""


class InfeasibleError(InputError):
    """No mixture satisfies all constraints; the message names those that conflict."""


class SourceError(InputError):
    """The text of a source needs a setting: `setting` is its key, as a trainer's source has it."""

    def __init__(self, message: str, setting: str) -> None:
        super().__init__(message)
        self.setting = setting

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # of another process
        return type(self), (str(self), self.setting)


class SpecError(InputError):
    """The YAML spec breaks a rule; `path` is where, e.g. `objective.minimize.code`, on `line`."""

    def __init__(self, message: str, path: str = "", line: int = 0) -> None:
        at = f"{shorten(path)} (line {line})" if line else shorten(path)
        super().__init__(screen(f"{at}: {message}" if path else message))
        self.message, self.path, self.line = message, path, line


class NotFittedError(MixoptError, RuntimeError):
    """A result was asked for before the data for it was there."""


class StoreError(MixoptError):
    """The store cannot be read or written, or holds what this study cannot use."""


class StoreAwayError(StoreError):
    """The store does not answer or has no room just now; the same may succeed later."""


class TrainerError(MixoptError):
    """A trainer cannot train: its data, configuration or process failed."""


class MissingDependencyError(MixoptError, ImportError):
    """An optional library is needed and not installed; the message says which extra has it."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of a message about an unknown name: the known ones and the closest match.

    >>> did_you_mean("loglinear", ["log-linear", "gp"])
    "known: gp, log-linear; did you mean 'log-linear'?"
    """
    names = sorted(known)
    shown = [shorten(n, 60) for n in names[:_NAMES]]
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    listing = f"known: {', '.join(shown)}{more}" if names else "none are known"
    close = nearest(name, names)
    return f"{listing}; did you mean {close!r}?" if close else listing


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """The known name that is most like one, if any is so by the ratio of difflib; else empty.

    >>> nearest("loglinear", ["log-linear", "gp"]), nearest("x", ["gp"])
    ('log-linear', '')
    """
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)), "")


def shorten(text: str, width: int = 80) -> str:
    """A text of at most `width` characters: its beginning and its end.

    >>> shorten("a" * 50, 20)
    'aaaaaaaaaaa ... aaaa'
    """
    if len(text) <= width:
        return text
    tail = width // 5
    return f"{text[: width - tail - 5]} ... {text[-tail:]}"


def screen(text: str, lines: int = _LINES) -> str:
    """A message of at most one screen, 24 lines of 100 characters; says how much was left out.

    Characters that no terminal shows as such are written as escapes.
    """
    text = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    kept: list[str] = []
    for row in text.splitlines():
        kept += textwrap.wrap(row, _WIDTH, subsequent_indent="    ", drop_whitespace=False) or [""]
    if len(kept) <= lines:
        return text
    head = kept[: lines - 1]
    return "\n".join([*head, f"... and {len(kept) - len(head)} more lines"])
