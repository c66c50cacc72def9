"""Checks of trainers' settings, which come from YAML as they are."""

import math
from typing import Any

from mixopt.errors import InputError


def check_number(
    name: str, value: Any, *, least: float = -math.inf, most: float = math.inf, open: bool = False
) -> None:
    """Refuse a setting that is no number between two bounds.

    Args:
        name: of the setting, for the message.
        value: as it was given.
        least: lower bound.
        most: upper bound.
        open: whether the lower bound itself is refused.

    Raises:
        InputError: it is text, a truth value, not finite, or out of bounds.
    """
    above = f"above {least:g}" if open else f"of at least {least:g}"
    rule = f"a number {above}" + ("" if most == math.inf else f" and at most {most:g}")
    if isinstance(value, str):
        raise InputError(
            f"{name} is the text {value!r}; give {rule} (YAML takes 1e-3 for text: write 1.0e-3)"
        )
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}; give {rule}")
    if open and value == least:
        raise InputError(f"{name} is {value!r}; give {rule}")
