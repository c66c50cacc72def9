"""Numbers for people, the same on screen, page and in JSON's sentences: one rounding, no `-0`."""

import numpy as np

MISSING = "–"


def number(value: float | None, digits: int = 4) -> str:
    """A number for people, a dash where there is none.

    >>> number(2.50714), number(float("nan")), number(123456.0), number(-0.0)
    ('2.5071', '–', '1.23e+05', '0.0000')
    """
    if value is None or not np.isfinite(value):
        return MISSING
    if value == 0 or 5e-4 <= abs(value) < 1e4:
        return f"{value + 0.0:.{digits}f}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def signed(value: float | None) -> str:
    """A difference with its sign; none where it is zero."""
    text = number(value)
    return text if value is None or not np.isfinite(value) or value <= 0 else f"+{text}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent; what is there but rounds to nothing is shown as such.

    >>> percent(0.123), percent(0.0), percent(0.0002), percent(-1e-17)
    ('12.3 %', '0 %', '< 0.1 %', '0 %')
    """
    if share is None or not np.isfinite(share):
        return MISSING
    least = 10.0**-digits
    if abs(share * 100) < least / 2:
        return f"< {least:.{digits}f} %" if share > 1e-12 else "0 %"
    return f"{100 * share:.{digits}f} %".replace("-", "−")


def plural(n: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
