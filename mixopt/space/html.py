"""Small tables and bars that notebooks show for the nouns of mixopt; text of users is escaped.

The look is the notebook's own: no colour of text or background is set, so that dark themes stay
dark. Every string that comes in is text; what comes out is HTML.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mixopt.space.short import largest, others, short_number

MOST_ROWS = 12
"""Domains that are shown one by one; a space of sixty is read by its largest."""
_RULES = 8
_CELL = "text-align:left;padding:2px 10px 2px 0;vertical-align:middle"
_NUMBER = "text-align:right;padding:2px 10px 2px 0;font-variant-numeric:tabular-nums"


@dataclass(frozen=True)
class Markup:
    """HTML that is shown as it is, where a cell would be escaped."""

    text: str


Cell = str | float | Markup | None


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], title: str = "") -> str:
    """A table: numbers to the right with five digits, text to the left, nothing for None."""
    head = "".join(f'<th style="{_CELL}">{html.escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    above = f"<caption style='text-align:left'>{html.escape(title)}</caption>" if title else ""
    return f"<table>{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def paragraph(text: str, *, strong: bool = False) -> str:
    """A paragraph of text."""
    inner = html.escape(text)
    return f"<p>{f'<b>{inner}</b>' if strong else inner}</p>"


def bar(share: float, interval: tuple[float, float] | None = None, edge: float = 1.0) -> Markup:
    """A share as a bar, with its interval as a line across it.

    Args:
        share: between 0 and `edge`.
        interval: least and most.
        edge: the share that fills the whole width.
    """

    def x(value: float) -> float:
        return round(160 * min(max(value / edge, 0.0), 1.0), 1)

    line = ""
    if interval is not None:
        low, high = map(x, interval)
        line = (
            f'<line x1="{low}" x2="{high}" y1="7" y2="7" stroke="currentColor" stroke-width="1.5"/>'
        )
    return Markup(
        '<svg width="162" height="14" role="img" aria-hidden="true">'
        f'<rect x="0" y="2" width="{x(share)}" height="10" fill="#0072B2" fill-opacity="0.7"/>'
        f"{line}</svg>"
    )


def shares(
    weights: Mapping[str, float],
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    beside: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Shares as bars, the largest first; of many domains those beyond twelve in one row.

    Args:
        weights: domain to share.
        intervals: domain to least and most share.
        beside: name to other shares by domain, a column each.
    """
    more, within = beside or {}, intervals or {}
    named, rest = largest(weights, MOST_ROWS)
    highs = [within[name][1] for name in named if name in within]
    edge = max([*(weights[name] for name in named), *highs, 1e-9])
    rows: list[list[Cell]] = []
    for name in named:
        row: list[Cell] = [name, percent(weights[name]), bar(weights[name], within.get(name), edge)]
        if intervals is not None:
            row.append(_between(within.get(name)))
        rows.append([*row, *(percent(of.get(name, 0.0)) for of in more.values())])
    if rest:
        left = [others(rest), percent(sum(weights[n] for n in rest)), None]
        left += [None] if intervals is not None else []
        sums = (percent(sum(of.get(n, 0.0) for n in rest)) for of in more.values())
        rows.append([*left, *sums])
    header = ["domain", "share", ""] + (["90 %"] if intervals is not None else []) + [*more]
    return table(header, rows)


def in_words(weights: Mapping[str, float], most: int = 4) -> str:
    """The largest shares in one line: `"web 62.0 %, code 30.1 %, 7.9 % in 3 others"`."""
    named, rest = largest({name: w for name, w in weights.items() if w > 0}, most)
    parts = [f"{name} {percent(weights[name])}" for name in named]
    parts += [f"{percent(sum(weights[n] for n in rest))} in {others(rest)}"] if rest else []
    return ", ".join(parts)


def space(
    prior: Mapping[str, float],
    limits: Mapping[str, tuple[float, float]],
    tokens: Mapping[str, float],
    rules: Sequence[str],
    prior_name: str,
) -> str:
    """The domains of a space, the largest first, and its constraints in words.

    Args:
        prior: domain to share.
        limits: domain to least and most share.
        tokens: domain to unique tokens, where known.
        rules: constraints in words.
        prior_name: what `prior` is.
    """
    named, rest = largest(prior, MOST_ROWS)
    edge = max(prior.values())
    rows: list[list[Cell]] = [
        [
            name,
            short_number(tokens[name]) if name in tokens else None,
            percent(prior[name]),
            bar(prior[name], edge=edge),
            _between(limits[name]),
        ]
        for name in named
    ]
    if rest:
        total = percent(sum(prior[n] for n in rest))
        rows.append([others(rest), None, total, None, None])
    header = ["domain", "unique tokens", prior_name, "", "allowed"]
    more = [f"{len(rules) - _RULES} more"] if len(rules) > _RULES else []
    said = [*rules[:_RULES], *more]
    words = paragraph(f"Constraints: {'; '.join(said)}") if said else ""
    return table(header, rows, f"{len(prior)} domains") + words


def percent(share: float) -> str:
    """`"12.3 %"`."""
    return f"{100 * share + 0.0:.1f} %"


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"


def _cell(value: Cell) -> str:
    if isinstance(value, Markup):
        return f'<td style="{_CELL}">{value.text}</td>'
    if isinstance(value, float | int):
        return f'<td style="{_NUMBER}">{value:.5g}</td>'
    return f'<td style="{_CELL}">{html.escape(value or "")}</td>'
