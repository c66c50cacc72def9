"""From sections to one HTML file that needs nothing but a browser.

The templates escape every text; what is trusted is what this package brings: style, script, and
the library that draws.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from typing import Any

import jinja2
from markupsafe import Markup

from mixopt.plots.style import NIGHT
from mixopt.report import library
from mixopt.report.blocks import Plot, Section

REFRESH_SECONDS = 15


@dataclass(frozen=True)
class Head:
    """What stands above the sections.

    Attributes:
        title: of the page.
        over: what kind of page it is.
        written: when, for people.
        running: what is still under way, in words; the page then loads itself again until it is
            rewritten without.
    """

    title: str
    over: str = "mixopt report"
    written: str = ""
    running: str = ""


def make(head: Head, sections: Sequence[Section]) -> str:
    """The page."""
    drawn = any(isinstance(block, Plot) for section in sections for block in section.blocks)
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=head.title,
            over=head.over,
            written=head.written,
            running=head.running,
            refresh=REFRESH_SECONDS if head.running else 0,
            version=version("mixopt"),
            sections=sections,
            style=Markup(_asset("page.css")),
            script=Markup(_asset("page.js")),
            library=Markup(library.packed()) if drawn else "",
            night=NIGHT,
        )
    )


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["json"] = _json
    return made


def _json(value: Any) -> Markup:
    """JSON that cannot close the script element that holds it.

    Raises:
        ValueError: a number that JSON does not have; a browser would refuse the whole block.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _template(name: str) -> str:
    return _asset(name)


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
