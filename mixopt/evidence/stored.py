"""Frozen results as plain JSON values and back, by the types of their fields.

An outcome is made of many small dataclasses (predictions, intervals, verdicts); each is written
field by field, so that what is stored cannot fall behind what is computed. A fitted law is written
by itself. A missing number is null in JSON and NaN in memory, infinity is the text `inf`.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from mixopt.errors import InputError, StoreError
from mixopt.laws import FittedLaw, fitted_law


def plain(value: Any) -> Any:
    """Plain JSON values of a result.

    Raises:
        InputError: a value of a type that has no form in JSON.
    """
    for kinds, write in _WRITERS:
        if isinstance(value, kinds):
            return write(value)
    if isinstance(value, FittedLaw):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in _stored(type(value))}
    raise InputError(f"{type(value).__name__} cannot be stored as JSON")


def _number(value: float) -> float | str | None:
    """JSON has neither NaN nor infinities."""
    if np.isnan(value):
        return None
    return float(value) if np.isfinite(value) else str(value)


_WRITERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (str | bool | int | types.NoneType, lambda value: value),
    (float | np.floating, lambda value: _number(float(value))),
    (np.ndarray, lambda value: [plain(part) for part in value.tolist()]),
    (Mapping, lambda value: {str(key): plain(part) for key, part in value.items()}),
    (tuple | list, lambda value: [plain(part) for part in value]),
    (frozenset, lambda value: sorted(plain(part) for part in value)),
)


def restored(kind: Any, value: Any) -> Any:
    """The result of type `kind` that `plain` wrote.

    Raises:
        InputError: the values do not have the form of that type.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _either([part for part in parts if part is not types.NoneType], value)
    for known, read in _READERS:
        if known in (kind, origin):
            return read(parts, value)
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: restored(parts[1], item) for key, item in value.items()}
    return value


def read_back(kind: type, values: Mapping[str, Any], form: int, what: str, remedy: str) -> Any:
    """The result that was written as `{"format": form, **plain(result)}`.

    Args:
        kind: its type.
        values: what was written.
        form: the format that this version reads.
        what: it is, for messages.
        remedy: what to do where it cannot be read.

    Raises:
        StoreError: another format, or values that do not have the form of that type.
    """
    fields_of = dict(values)
    given = fields_of.pop("format", None)
    if given != form:
        raise StoreError(
            f"the stored {what} has format {given}, and this mixopt reads {form}; {remedy}"
        )
    try:
        return restored(kind, fields_of)
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the stored {what} cannot be read ({error}); {remedy}") from error


def _either(kinds: list[Any], value: Any) -> Any:
    """A value that may be missing; of several plain types it is what it is."""
    return restored(kinds[0], value) if value is not None and len(kinds) == 1 else value


def _tuple(parts: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
    return tuple(restored(part, item) for part, item in zip(kinds, value, strict=True))


_READERS: tuple[tuple[Any, Callable[[tuple[Any, ...], Any], Any]], ...] = (
    (float, lambda _, value: np.nan if value is None else float(value)),
    (FittedLaw, lambda _, value: fitted_law(value)),
    (np.ndarray, lambda _, value: np.array(value, dtype=float)),
    (frozenset, lambda _, value: frozenset(value)),
    (tuple, _tuple),
)


def _dataclass(kind: type, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise InputError(f"a stored {kind.__name__} is {type(value).__name__}, not an object")
    hints, named = get_type_hints(kind), {f.name for f in _stored(kind)}
    if set(value) != named:
        odd = sorted(set(value) ^ named)
        raise InputError(f"a stored {kind.__name__} differs in {', '.join(odd[:4])}")
    return kind(**{name: restored(hints[name], part) for name, part in value.items()})


def _stored(kind: Any) -> list[Field[Any]]:
    """The fields that are stored: all but those marked `metadata={"stored": False}`."""
    return [f for f in fields(kind) if f.metadata.get("stored", True)]
