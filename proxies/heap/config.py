"""What to cut, and how: the settings of `mixopt domains`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.errors import InputError
from proxies.corpus.scoring import BUILTIN, is_field
from proxies.heap.clusters import MOST

TIERS, MOST_TIERS = 3, 10


@dataclass(frozen=True)
class HeapConfig:
    """What to cut, and how.

    Attributes:
        paths: files, folders or URLs, in the forms of a spec's data.
        text_field: of records; looked for where it is empty.
        encoding: of files without a byte-order mark; UTF-8 where it is empty.
        suffixes: of the files of folders that are read; as of a spec's data where there are none.
        k: clusters; None: as many as are found; 1 only to be parted by quality.
        field: of records, whose values are the domains; empty: clusters.
        embeddings: a .npy file with a row for each document; None: clusters of words.
        keep: other fields of records that are written with the text.
        drop_duplicates: whether documents that are nearly one before them are left out.
        quality: scores by which each domain is parted into tiers, high is good: built-in
            (`proxies.corpus.scoring.BUILTIN`), `module:function`, or a field of records.
        quality_low: the same, low is good.
        tiers: of quality; 3 where scores are named.
        seed: of the sample and the clusters.
    """

    paths: tuple[str, ...]
    text_field: str = ""
    encoding: str = ""
    suffixes: tuple[str, ...] = ()
    k: int | None = None
    field: str = ""
    embeddings: Path | None = None
    keep: tuple[str, ...] = ()
    drop_duplicates: bool = False
    quality: tuple[str, ...] = ()
    quality_low: tuple[str, ...] = ()
    tiers: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.paths:
            raise InputError("no data are named; name a file, a folder or a URL of text")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; give a whole number from 0 on")
        if self.k is not None and not 2 - self.scored <= self.k <= MOST:
            alone = "" if self.k != 1 else "; one cluster is of use where it is parted by quality"
            raise InputError(f"k is {self.k}; give 2 to {MOST} clusters, or 'auto'{alone}")
        if self.field and (self.k is not None or self.embeddings is not None):
            other = "k" if self.k is not None else "embeddings"
            raise InputError(
                f"field {self.field!r} tells the domains, and {other} is of clusters; give one of "
                "them"
            )
        self._check_quality()
        if "text" in self.keep:
            raise InputError("keep: 'text' is where the text is written; name other fields")

    @property
    def scored(self) -> bool:
        """Whether domains are parted by quality."""
        return bool(self.quality or self.quality_low)

    def _check_quality(self) -> None:
        named = (*self.quality, *self.quality_low)
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"quality {twice!r} is named twice; name it once")
        if self.tiers is not None and not named:
            raise InputError(
                f"tiers is {self.tiers} and no score is named; name one by quality, like "
                f"{', '.join(BUILTIN)}, a field, or module:function"
            )
        if self.tiers is not None and not 2 <= self.tiers <= MOST_TIERS:
            raise InputError(f"tiers is {self.tiers}; give 2 to {MOST_TIERS}")

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that are read beside the text, each once."""
        scores = filter(is_field, (*self.quality, *self.quality_low))
        return tuple(dict.fromkeys([*filter(None, [self.field]), *self.keep, *scores]))

    @property
    def source(self) -> dict[str, Any]:
        """Settings of the source, as a spec has them."""
        given = {
            "text_field": self.text_field,
            "encoding": self.encoding,
            "suffixes": list(self.suffixes),
        }
        return {key: value for key, value in given.items() if value}
