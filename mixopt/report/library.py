"""The library that draws a page's pictures, packed so that the page stays small.

It is plotly.js for cartesian charts alone, kept in `vendor` with its licence: the bundle that comes
with plotly for Python is three times as large. A page holds it compressed and unpacks it in the
browser.
"""

import base64
import gzip
from functools import cache
from importlib import resources

VERSION = "4.1.1"
SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"
"""Of the file as npm serves it, for whoever wants to know that it is unchanged."""
TRACES = frozenset({"scatter", "bar", "heatmap"})
"""The kinds of picture that reports draw; the bundle has them, and a test asks it."""


def source() -> bytes:
    """The library as it was published."""
    file = resources.files(__package__).joinpath("vendor", "plotly-cartesian.min.js")
    return file.read_bytes()


@cache
def packed() -> str:
    """The library, gzip in base64: the same characters every time."""
    return base64.b64encode(gzip.compress(source(), 9, mtime=0)).decode("ascii")
