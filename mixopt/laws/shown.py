"""How a fitted law shows itself: what it has learned by name and shape, not number by number."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mixopt.space import html

_LONG = 60  # characters of a value that is shown as it is


class Shown:
    """Base of fitted laws, which are dataclasses of arrays and of other fitted laws."""

    def __repr__(self) -> str:
        said = ", ".join(f"{name} {value}" for name, value in _fields(self))
        return f"<{type(self).__name__}: {said}>"

    def _repr_html_(self) -> str:
        return html.table(["learned", "what"], _fields(self), type(self).__name__)


def _fields(law: object) -> Iterator[tuple[str, str]]:
    assert dataclasses.is_dataclass(law)
    for one in dataclasses.fields(law):
        if not one.name.startswith("_"):
            yield one.name, _said(getattr(law, one.name))


def _said(value: Any) -> str:
    """A value in a few words: arrays by their shape, laws and other objects by their kind."""
    if isinstance(value, np.ndarray):
        return "x".join(map(str, value.shape)) if value.size > 1 else f"{value.reshape(-1)}"
    if isinstance(value, str | bool | int | float) or value is None:
        text = f"{value:.5g}" if isinstance(value, float) else str(value)
        return text if len(text) <= _LONG else f"{text[:_LONG]}..."
    if isinstance(value, Sequence | Mapping):
        kinds = dict.fromkeys(type(v).__name__ for v in value)
        few = ", ".join(kinds) if len(kinds) <= 4 else f"{len(kinds)} kinds"
        return f"{len(value)} of {few}" if len(value) else "none"
    return type(value).__name__
