"""Small pieces of HTML; every text that comes in is escaped here."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixopt.report.wording import MISSING, number


@dataclass(frozen=True)
class Markup:
    """HTML that is safe as it stands."""

    text: str


Cell = str | Markup


def escape(text: object) -> str:
    """Text that shows as it is."""
    return html.escape(str(text), quote=True)


def inner(cell: Cell) -> str:
    """HTML of a cell."""
    return cell.text if isinstance(cell, Markup) else escape(cell)


def table(
    heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, text: int = 1, mark: Sequence[int] = ()
) -> str:
    """A table; all columns but the first `text` hold numbers, rows at `mark` stand out."""
    kinds = ["text" if i < text else "num" for i in range(len(heads))]
    head = "".join(
        f'<th scope="col" class="{kind}">{escape(h)}</th>'
        for h, kind in zip(heads, kinds, strict=True)
    )
    body = []
    for place, row in enumerate(rows):
        cells = "".join(
            f'<td class="{kind}">{inner(cell)}</td>' for cell, kind in zip(row, kinds, strict=True)
        )
        body.append(f"<tr{' class=mark' if place in mark else ''}>{cells}</tr>")
    rows_html = "\n".join(body)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{rows_html}\n</tbody></table></div>"
    )


def section(key: str, title: str, body: str, caption: str = "", short: str = "") -> str:
    """A headed part of the page; `short` is its name in the navigation."""
    note = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    return (
        f'<section id="{key}" data-nav="{escape(short or title)}">\n<h2>{escape(title)}</h2>\n'
        f"{note}{body}\n</section>"
    )


def bullets(items: Sequence[Cell]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{inner(item)}</li>" for item in items) + "</ul>"


def facts(values: Mapping[str, Any]) -> str:
    """Names with their values; nested values are folded."""
    plain = {k: v for k, v in values.items() if not isinstance(v, Mapping | list | tuple)}
    nested = {k: v for k, v in values.items() if isinstance(v, Mapping | list | tuple) and v}
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(_value(v))}</dd>" for k, v in plain.items())
    folds = "".join(
        f"<details><summary>{escape(k)}</summary><pre>{escape(_nested(v))}</pre></details>"
        for k, v in nested.items()
    )
    return (f"<dl>{rows}</dl>" if rows else "") + folds


def data_block(key: str, value: Any) -> str:
    """JSON for the page's script; it cannot close the script element that holds it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return f'<script type="application/json" id="{key}">{json_safe(text)}</script>'


def json_safe(text: str) -> str:
    """JSON text that may stand inside a script element."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _value(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def _nested(value: Any) -> str:
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, default=str)


def _finite(value: Any) -> Any:
    """The same value with a dash for every number that is none."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return MISSING if isinstance(value, float) and number(value) == MISSING else value
