"""Numbers and names as people write them in a spec: counts with units, shares, names.

The JSON schema of each says what a file may hold, which is more than what a program then sees.
"""

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from mixopt.space.redaction import shown

MOST = 10**18
"""A count at most: beyond this no number is meant."""

NAMING = ["string", "number", "boolean", "null"]
"""JSON types of a name in a file: `2020` and `no` are names as well, read as they were written."""

_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
_PATTERN = r"^\s*((?:0|[1-9][0-9_]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?)\s*([kMGBT]?)\s*$"
_COUNT = re.compile(_PATTERN)
_RULE = "give a number such as 65536, 1e9 or 64k"


def _count(value: Any) -> Any:
    """Read counts as people write them: 65536, 1e9, '64k', '1.5M'."""
    if isinstance(value, bool):
        raise ValueError(_RULE)
    if isinstance(value, str):
        match = _COUNT.match(value)
        if not match:
            raise ValueError(f"{shown(value, 40)} is no count; {_RULE}")
        value = float(match.group(1).replace("_", "")) * _UNITS[match.group(2)]
        value = round(value) if math.isclose(value, round(value), rel_tol=1e-12) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _schema(least: dict[str, int], what: str) -> dict[str, Any]:
    return {
        "anyOf": [
            {"type": what, **least, "maximum": MOST},
            {"type": "string", "pattern": _PATTERN},
        ]
    }


Count = Annotated[
    int,
    BeforeValidator(_count),
    Field(gt=0, le=MOST),
    WithJsonSchema(_schema({"exclusiveMinimum": 0}, "integer")),
]
Tokens = Annotated[
    float,
    BeforeValidator(_count),
    Field(ge=0, le=MOST),
    WithJsonSchema(_schema({"minimum": 0}, "number")),
]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=500), WithJsonSchema({"type": NAMING})]


def read_count(value: Any) -> Any:
    """A count as people write it, as a number; what is no count stays or is refused.

    Raises:
        ValueError: text that is no count.

    >>> read_count("1.5M"), read_count("64k")
    (1500000, 64000)
    """
    return _count(value)


def short_number(value: float) -> str:
    """A count for people: 1500000 is '1.5M'.

    >>> short_number(262144), short_number(25e9), short_number(100)
    ('262k', '25G', '100')
    """
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
