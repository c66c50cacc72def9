"""Counts as people write them and read them (64k, 1.5M, 800B), and many domains in few rows."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mixopt.space.redaction import shown

_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
PATTERN = r"^\s*((?:0|[1-9][0-9_]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?)\s*([kMGBT]?)\s*$"
_COUNT = re.compile(PATTERN)
_RULE = "give a number such as 65536, 1e9 or 64k"


def read_count(value: Any) -> Any:
    """A count as people write it, as a number; what is neither text nor a number stays.

    Raises:
        ValueError: text that is no count.

    >>> read_count("1.5M"), read_count("64k")
    (1500000, 64000)
    """
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


def short_number(value: float) -> str:
    """A count (parameters, tokens) for people: 1500000 is '1.5M', and a billion is 'B'.

    >>> short_number(262144), short_number(25e9), short_number(100)
    ('262k', '25B', '100')
    """
    return quantity(value).replace("G", "B")


def quantity(value: float, unit: str = "") -> str:
    """An amount in a unit, with the prefix of the SI: 25e9 bytes are '25GB'.

    >>> quantity(25e9, "B"), quantity(3.35e12, "FLOP"), quantity(100, " bytes")
    ('25GB', '3.35TFLOP', '100 bytes')
    """
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}{unit}"
    return f"{value:.3g}{unit}"


def largest(shares: Mapping[str, float], most: int) -> tuple[list[str], list[str]]:
    """Domains that have rows of their own, the largest first, and those that share the last one.

    No single domain is left to share a row with none.

    >>> largest({"web": 0.2, "code": 0.5, "math": 0.1, "wiki": 0.2}, 2)
    (['code', 'web'], ['wiki', 'math'])
    >>> largest({"web": 0.2, "code": 0.5, "math": 0.3}, 2)
    (['code', 'math', 'web'], [])
    """
    ranked = sorted(shares, key=lambda name: -shares[name])
    return (ranked, []) if len(ranked) <= most + 1 else (ranked[:most], ranked[most:])


def others(rest: Sequence[str]) -> str:
    """What the row of `rest` is called."""
    return f"{len(rest)} others"
