"""Errors: each says what was given, which rule it broke and what to do about it."""

import difflib
from collections.abc import Iterable


class MixoptError(Exception):
    """Base of every error that mixopt raises on purpose."""


class InputError(MixoptError, ValueError):
    """A value given by the user breaks a rule; the message names value, rule and remedy."""


class InfeasibleError(InputError):
    """No mixture satisfies all constraints; the message names those that conflict."""


class SpecError(InputError):
    """The YAML spec breaks a rule; `path` is where, e.g. `objective.metrics.code`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class NotFittedError(MixoptError, RuntimeError):
    """A result was asked for before the data for it was there."""


class StoreError(MixoptError):
    """The store cannot be read or written, or holds what this study cannot use."""


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
    listing = f"known: {', '.join(names)}" if names else "none are known"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"{listing}; did you mean {close[0]!r}?" if close else listing
