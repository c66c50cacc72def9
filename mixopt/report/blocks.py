"""What a page is made of: plain values, which the templates turn into HTML and escape.

Nothing here, nor any section that is built of it, holds markup.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from mixopt.report.wording import MISSING, number

State = Literal["yes", "no", "open"]


@dataclass(frozen=True)
class Bar:
    """A share as a bar of `width` per cent of the track, and in figures."""

    kind: ClassVar[str] = "bar"
    width: float
    text: str


@dataclass(frozen=True)
class Chip:
    """A short word on a coloured ground: green, red or grey."""

    kind: ClassVar[str] = "chip"
    text: str
    state: State


Cell = str | Bar | Chip


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Attributes:
        heads: headings.
        rows: cells, as many as headings.
        text: how many columns at the left hold text; the others hold numbers.
        mark: rows that stand out.
        tall: whether it scrolls in itself when it is long.
    """

    kind: ClassVar[str] = "table"
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    text: int = 1
    mark: Sequence[int] = ()
    tall: bool = False


@dataclass(frozen=True)
class Bullets:
    """Sentences, one a point."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Words:
    """A paragraph; with a heading where it has one."""

    kind: ClassVar[str] = "words"
    text: str
    heading: str = ""


@dataclass(frozen=True)
class Tiles:
    """Figures with what they count."""

    kind: ClassVar[str] = "tiles"
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    kind: ClassVar[str] = "facts"
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Fold:
    """What is shown on demand: blocks, or text as it is."""

    kind: ClassVar[str] = "fold"
    title: str
    blocks: Sequence["Block"] = ()
    text: str = ""


@dataclass(frozen=True)
class Plot:
    """A picture, or several to choose from.

    Attributes:
        key: its name on the page.
        options: what can be chosen.
        drawings: in the words of plotly.js, one an option.
        height: of the first, in pixels.
    """

    kind: ClassVar[str] = "plot"
    key: str
    options: Sequence[str]
    drawings: Sequence[Mapping[str, Any]]
    height: int


@dataclass(frozen=True)
class Runs:
    """The list of runs, which the page's script fills, sorts and filters.

    Attributes:
        values: columns, rows, groups and scales, plain JSON.
        boxes: key, label and whether it is on, of every group of columns that can be hidden.
    """

    kind: ClassVar[str] = "runs"
    values: Mapping[str, Any]
    boxes: Sequence[tuple[str, str, bool]]


@dataclass(frozen=True)
class Preferences:
    """Sliders over a front, one an objective: the page's script shows the mixture they ask for.

    Attributes:
        names: of the objectives, lower is better.
        values: (n, k) objectives of every mixture of the front.
        domains: names.
        mixtures: (n, m) shares.
    """

    kind: ClassVar[str] = "preferences"
    names: Sequence[str]
    values: Sequence[Sequence[float]]
    domains: Sequence[str]
    mixtures: Sequence[Sequence[float]]

    @property
    def front(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "names": list(self.names),
            "values": [list(row) for row in self.values],
            "domains": list(self.domains),
            "mixtures": [list(row) for row in self.mixtures],
        }


@dataclass(frozen=True)
class Answer:
    """The card at the top.

    Attributes:
        question: in the user's words; empty where none was given.
        headline: the answer.
        verdict: state, badge and sentence.
        trust: state, badge and sentence.
        facts: owner, dates.
        tiles: figures.
    """

    kind: ClassVar[str] = "answer"
    question: str
    headline: str
    verdict: tuple[str, str, str]
    trust: tuple[str, str, str] | None = None
    facts: Sequence[tuple[str, str]] = ()
    tiles: Sequence[tuple[str, str]] = ()


Block = Table | Bullets | Words | Tiles | Facts | Fold | Plot | Runs | Preferences | Answer


@dataclass(frozen=True)
class Section:
    """A headed part of the page.

    Attributes:
        key: its anchor.
        title: heading.
        blocks: what it holds.
        caption: how to read it.
        short: its name in the navigation, the title by default.
        tone: `"warn"` for doubts.
    """

    key: str
    title: str
    blocks: Sequence[Block] = field(hash=False)
    caption: str = ""
    short: str = ""
    tone: str = ""


def facts(values: Mapping[str, Any]) -> list[Block]:
    """Names with their values; nested values are folded."""
    plain = [(k, _value(v)) for k, v in values.items() if not _nested(v)]
    folds = [Fold(k, text=_shown(v)) for k, v in values.items() if _nested(v) and v]
    return [*([Facts(plain)] if plain else []), *folds]


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _value(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def _shown(value: Any) -> str:
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, default=str)


def _finite(value: Any) -> Any:
    """The same value with a dash for every number that is none."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return MISSING if isinstance(value, float) and number(value) == MISSING else value
