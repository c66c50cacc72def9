"""Numbers and names as people write them in a spec: counts with units, shares, names.

The JSON schema of each says what a file may hold, which is more than what a program then sees.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from mixopt.space.short import PATTERN, read_count

MOST = 10**18
"""A count at most: beyond this no number is meant."""

NAMING = ["string", "number", "boolean", "null"]
"""JSON types of a name in a file: `2020` and `no` are names as well, read as they were written."""


def _schema(least: dict[str, int], what: str) -> dict[str, Any]:
    return {
        "anyOf": [
            {"type": what, **least, "maximum": MOST},
            {"type": "string", "pattern": PATTERN},
        ]
    }


Count = Annotated[
    int,
    BeforeValidator(read_count),
    Field(gt=0, le=MOST),
    WithJsonSchema(_schema({"exclusiveMinimum": 0}, "integer")),
]
Tokens = Annotated[
    float,
    BeforeValidator(read_count),
    Field(ge=0, le=MOST),
    WithJsonSchema(_schema({"minimum": 0}, "number")),
]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=500), WithJsonSchema({"type": NAMING})]
