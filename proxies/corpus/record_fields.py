"""What a record holds under the name of a field, or why it holds nothing there."""

from collections.abc import Iterator
from typing import Any


class Broken(str):
    """Why a unit is left out, and (behind a line break) what is special about this one."""

    __slots__ = ()


def value_at(row: Any, field: str) -> Any:
    """What a record holds under a field, which may be dotted; None where it holds nothing."""
    value = inside(row, field, field.split("."))
    return None if isinstance(value, Broken) else value


def inside(row: Any, field: str, steps: list[str]) -> Any:
    """What a row holds under a dotted name, or why it holds nothing."""
    if not isinstance(row, dict):
        return Broken(f"{in_words(row)}, no object")
    if field in row:
        return row[field]
    value: Any = row
    for step in steps:
        if not isinstance(value, dict) or step not in value:
            return Broken(f"no field {field!r}\nwhich has {', '.join(_names(row)) or 'no fields'}")
        value = value[step]
    return value


def _names(row: dict[str, Any], before: str = "") -> Iterator[str]:
    for key, value in list(row.items())[:20]:
        if isinstance(value, dict) and not before:
            yield from _names(value, f"{key}.")
        elif isinstance(value, str):
            yield before + str(key)
        else:
            yield f"{before}{key} ({in_words(value)})"


def in_words(value: Any) -> str:
    """What kind of JSON value it is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list):
        turns = bool(value) and all(isinstance(v, dict) and "content" in v for v in value)
        return "a conversation" if turns else "a list"
    if isinstance(value, dict):
        return "an object"
    return "a string" if isinstance(value, str) else "a number"
