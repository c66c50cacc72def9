"""Numbers as people write them in a spec: counts with units, shares."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
_COUNT = re.compile(r"^\s*([0-9][0-9_]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)\s*([kMGBT]?)\s*$")


def _count(value: Any) -> Any:
    """Read counts as people write them: 65536, 1e9 (a text in YAML), '64k', '1.5M'."""
    if isinstance(value, bool):
        raise ValueError("give a number such as 65536, 1e9 or 64k")
    if isinstance(value, str):
        match = _COUNT.match(value)
        if not match:
            raise ValueError(f"{value!r} is no count; give a number such as 65536, 1e9 or 64k")
        value = float(match.group(1).replace("_", "")) * _UNITS[match.group(2)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


Count = Annotated[int, BeforeValidator(_count), Field(gt=0)]
Tokens = Annotated[float, BeforeValidator(_count), Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def read_count(value: Any) -> Any:
    """A count as people write it, as a number; what is no count stays or is refused.

    Raises:
        ValueError: text that is no count.

    >>> read_count("1.5M"), read_count("64k")
    (1500000, 64000)
    """
    return _count(value)
