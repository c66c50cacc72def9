"""The report of a study: one HTML file that needs nothing but a browser."""

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from mixopt.errors import MissingDependencyError
from mixopt.lazy import require
from mixopt.report import sections, trade_offs
from mixopt.report.data import HeldOut, ReportData, table_observations
from mixopt.report.figures import Plate, plates
from mixopt.report.markup import escape, json_safe, section

__all__ = ["HeldOut", "ReportData", "render", "table_observations"]


def render(data: ReportData) -> str:
    """The report as one self-contained HTML page.

    What is missing is left out, and the page says what that means. Without plotly the page has
    no figures and names the extra that brings them.
    """
    made, note, library = _figures(data)
    by_key = {plate.key: _plate(plate) for plate in made}
    body = [
        sections.answer(data),
        sections.warnings(data),
        note,
        trade_offs.schedule(data),
        by_key.pop("schedule-figure", ""),
        sections.mixture(data),
        by_key.pop("mixture-figure", ""),
        trade_offs.settings(data),
        by_key.pop("front-figure", ""),
        trade_offs.front(data),
        sections.comparison(data),
        by_key.pop("confirmed", ""),
        by_key.pop("responses", ""),
        sections.quality(data),
        by_key.pop("held-out", ""),
        by_key.pop("learning", ""),
        by_key.pop("best", ""),
        sections.runs(data),
        sections.failures(data),
        sections.made(data),
    ]
    style, script = (_asset(name) for name in ("page.css", "page.js"))
    title = escape(data.title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title} · mixopt</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header><p>mixopt report</p><h1>{title}</h1></header>\n<nav id="nav"></nav>\n<main>\n'
        + "\n".join(part for part in body if part)
        + f"\n</main>\n{library}<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _figures(data: ReportData) -> tuple[Sequence[Plate], str, str]:
    """Plates, a note for the reader, and the script of plotly (once, where a figure needs it)."""
    try:
        made = plates(data)
        source = require("plotly.offline").get_plotlyjs() if made else ""
    except MissingDependencyError as error:
        return (
            [],
            f'<section class="warn" id="figures"><p>No figures: {escape(error)}</p></section>',
            "",
        )
    safe = source.replace("</script", "<\\/script")
    return made, "", f"<script>{safe}</script>\n" if made else ""


def _plate(plate: Plate) -> str:
    """A figure with its choices; the drawing is in JSON until the page's script draws it."""
    choose = ""
    if len(plate.options) > 1:
        options = "".join(f"<option>{escape(name)}</option>" for name in plate.options)
        choose = (
            f'<label class="choose">Show <select data-for="{plate.key}">{options}</select></label>'
        )
    blocks = ",".join(_drawing(figure) for figure in plate.options.values())
    height = next(iter(plate.options.values())).layout.height
    body = (
        f'{choose}<div class="plot" id="plot-{plate.key}" style="min-height:{height}px"></div>'
        f'<script type="application/json" id="plot-{plate.key}-data">[{blocks}]</script>'
    )
    return section(plate.key, plate.title, body, plate.caption, plate.short)


def _drawing(figure: Any) -> str:
    drawing = json.loads(figure.to_json())
    drawing["layout"].pop("template", None)
    return json_safe(json.dumps(drawing, separators=(",", ":"), ensure_ascii=False))


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
