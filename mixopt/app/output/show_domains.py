"""What is shown of domains that were cut from a heap, and while they are."""

import time
from collections.abc import Mapping
from typing import Any

from rich.status import Status
from rich.table import Table
from rich.text import Text

from mixopt.app.output import console
from mixopt.app.output.live import Live
from mixopt.evidence.numbers import percent, plural
from mixopt.runs import quantity, short_number

_SECONDS = 5.0
_TERMS = 5
_MANY = 8  # domains; of more, one example each is enough on a screen

Values = Mapping[str, Any]


class CutProgress(Live[Status]):
    """Stage and bytes of text: one line on a terminal, a line every five seconds elsewhere."""

    def __init__(self) -> None:
        super().__init__(console.err.status("reading") if console.err.is_terminal else None)
        self._stage, self._last = "", time.monotonic()

    def __call__(self, stage: str, done: float, whole: float) -> None:
        """Show how far it is; `whole` is 0 where it is unknown."""
        amount = f" {quantity(done)} bytes of text" if done else ""
        amount += f" ({percent(done / whole, 0)})" if whole else ""
        if self._live:
            self._live.update(f"{stage}{amount}")
            return
        now = time.monotonic()
        if stage != self._stage or now - self._last >= _SECONDS:
            self._stage, self._last = stage, now
            console.say(f"[{stage}]{amount}")


def show_domains(manifest: Values) -> None:
    """The table of domains, examples, how many clusters were tried, and what was left out."""
    console.out.print(_table(manifest["domains"]))
    console.out.print()
    several = len(manifest["domains"]) <= _MANY
    for domain in manifest["domains"]:
        for example in domain["examples"] if several else domain["examples"][:1]:
            console.out.print(Text(domain["name"], style="bold") + Text(f": {example}"))
    if manifest["clusters"]["tried"]:
        console.out.print()
        console.out.print(_curve(manifest["clusters"]))
    console.out.print()
    console.out.print(_left_out(manifest), markup=False)
    for note in manifest["notes"]:
        console.note(note)


def _table(domains: list[Values]) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, title in enumerate(("domain", "share", "tokens", "bytes", "documents", "terms")):
        table.add_column(title, justify="right" if 0 < place < 5 else "left", overflow="fold")
    for domain in domains:
        table.add_row(
            Text(domain["name"], style="bold"),
            percent(domain["share"]),
            f"~{short_number(domain['tokens'])}",
            quantity(domain["bytes"]),
            str(domain["documents"]),
            Text(", ".join(domain["terms"][:_TERMS])),
        )
    return table


def _curve(clusters: Values) -> Table:
    table = Table(
        title="How many clusters: separation (silhouette) and agreement of two halves",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for title in ("clusters", "separation", "agreement", ""):
        table.add_column(title, justify="right" if title else "left")
    for tried in clusters["tried"]:
        chosen = tried["k"] == clusters["chosen"]
        table.add_row(
            str(tried["k"]),
            f"{tried['separation']:.3f}",
            f"{tried['agreement']:.3f}",
            "chosen" if chosen else "",
        )
    return table


def _left_out(manifest: Values) -> str:
    duplicates = manifest["duplicates"]
    fate = "dropped" if duplicates["dropped"] else "kept (--drop-duplicates leaves them out)"
    near = plural(duplicates["near"], "near-duplicate")
    return (
        f"{plural(manifest['documents'], 'document')} read, {manifest['empty']} of them empty and "
        f"left out; {near} ({duplicates['exact']} to the letter)"
        + (f" {fate}" if duplicates["near"] else "")
    )
