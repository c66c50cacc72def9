"""Fields of a spec that may be written in more than one form, each with its JSON schema."""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from mixopt.errors import shorten
from mixopt.space.counts import NAMING
from mixopt.space.redaction import shown
from mixopt.strategies import STRATEGIES

ADDRESS = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*$"
_HAS_ADDRESS = r"^[^:]+:[^:]+$"
_MOST = 1e12  # of a weight: larger ones only overflow
_DEEP = 30


class Strict(BaseModel):
    """A part of a spec: unknown keys and other types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def plain_values(value: Any, path: str = "", depth: int = 0) -> Any:
    """Refuse what cannot be kept as JSON: numbers without a value, odd objects, endless nesting.

    Raises:
        ValueError: names the place.
    """
    where = f"{path}: " if path else ""
    if depth > _DEEP:
        raise ValueError(f"{shorten(path, 40)} is more than {_DEEP} levels deep; write it flatter")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}{value} is no number to train with; give a finite one")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{where}the key {key!r} is no text; put it in quotes")
            plain_values(item, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            plain_values(item, f"{path}.{place}" if path else str(place), depth + 1)
    elif not isinstance(value, str | int | float | bool | None):
        raise ValueError(f"{where}a {type(value).__name__} is no plain value; write it as text")
    return value


def _metrics(value: Any) -> Any:
    """A metric, a list without repeats, or metric to weight."""
    if isinstance(value, str):
        if not value:
            raise ValueError("a metric has no name; give one")
        return value
    if isinstance(value, Mapping):
        return {_name(name): _weight(str(name), weight) for name, weight in value.items()}
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} names no metric; give a name, a list, or name to weight")
    names = [_name(name) for name in value]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is named twice; name it once, or give weights")
    return names


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{shown(value)} is no name; write it as text, in quotes")
    return value


def _weight(name: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MOST:
        raise ValueError(f"{name} weighs {shown(value)}; give a number from 0 to {_MOST:g}")
    return float(value)


def _epochs(value: Any) -> Any:
    """Passes: a number above 0, or by name."""
    given = value if isinstance(value, Mapping) else {"": value}
    for name, passes in given.items():
        where = f"{name}: " if name else ""
        number = isinstance(passes, int | float) and not isinstance(passes, bool)
        if not isinstance(name, str) or not number or not 0 < passes <= _MOST:
            raise ValueError(
                f"{where}{shown(passes)} is no number of passes; give one above 0 (1e6 allows any)"
            )
    if isinstance(value, Mapping):
        return {name: float(passes) for name, passes in value.items()}
    return float(value)


def _options(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} is no list; give two or more values in [ ]")
    for option in value:
        plain = isinstance(option, str | int | float | bool)
        if not plain or (isinstance(option, float) and not math.isfinite(option)):
            raise ValueError(f"{shown(option)} is no option; give text, numbers, true, false")
    return list(value)


_NAME = {"type": NAMING}
_POSITIVE = {"type": "number", "exclusiveMinimum": 0, "maximum": _MOST}

MetricWeights = Annotated[
    str | list[str] | dict[str, float],
    BeforeValidator(_metrics),
    WithJsonSchema(
        {
            "anyOf": [
                _NAME,
                {"type": "array", "items": _NAME},
                {
                    "type": "object",
                    "additionalProperties": {"type": "number", "minimum": 0, "maximum": _MOST},
                },
            ]
        }
    ),
]
Epochs = Annotated[
    float | dict[str, float],
    BeforeValidator(_epochs),
    WithJsonSchema({"anyOf": [_POSITIVE, {"type": "object", "additionalProperties": _POSITIVE}]}),
]
Options = Annotated[
    list[Any],
    BeforeValidator(_options),
    WithJsonSchema({"type": "array", "items": {"type": ["number", "string", "boolean"]}}),
]


def named_in(table: Iterable[str], *patterns: str) -> dict[str, Any]:
    """The JSON schema of a name in a table, or of what is at an address."""
    texts = [{"type": "string", "pattern": pattern} for pattern in (*patterns, _HAS_ADDRESS)]
    return {"anyOf": [{"enum": list(table)}, *texts]}


StrategyName = Annotated[
    str,
    Field(min_length=1, max_length=200),
    WithJsonSchema(named_in(STRATEGIES, r"^optuna:[a-z]+$")),
]
