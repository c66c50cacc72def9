"""The plan of a streamed corpus: which parts of which files, and how the work is cut.

Notation:
    set: a training domain or a validation set; its rank is its place in the order in which
        duplicates are settled (validation sets first, then domains as they are given)
    part: a stretch of one file that one process reads; segment: about 16 MB of a part's text
    digest: the first 64 bits of a document's SHA-256; documents of a set are ordered by it
    bucket: the documents of a set whose digests begin with the same bits; so do buckets of keys

Everything here follows from the configuration and the files alone, not from the machine, and is
written to `plan.json` in the working folder, from which the workers read it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mixopt.runs.files import write_atomically
from proxies.corpus.config import CorpusConfig
from proxies.corpus.counts import Met, reasons_of
from proxies.corpus.documents import FEW_DOCUMENTS, LONG_DOCUMENT
from proxies.corpus.reading import spans_of
from proxies.corpus.records import PIECE, Span
from proxies.corpus.scoring import Scorer
from proxies.corpus.sources import Source
from proxies.corpus.userfiles import TextFile, find_files

PLAN = "plan.json"
TOKENIZER_FILE = "tokenizer.json"
PART_BYTES = 64 * 2**20
PART_FILES = 4096
SEGMENT_BYTES = 16 * 2**20
BUCKET_BYTES = 8 * 2**20
KEYS_PER_BUCKET_BYTES = 64 * 2**20
"""Text per bucket of duplicate keys: a few MB of keys, as paragraphs run to some hundred bytes."""
MAX_BUCKETS = 4096
PACKED_RATIO = 4
"""Text behind a byte of a packed, parquet or arrow file; only bucket sizes depend on it."""

Kind = Literal["validation", "train"]


@dataclass(frozen=True)
class TextSet:
    """A training domain or a validation set.

    Attributes:
        name: of the domain or set.
        kind: what it is.
        fraction: share of its documents held out; 1 for a validation set.
        buckets: a power of two.
        skipped: files of its folders that are not opened, by reason.
    """

    name: str
    kind: Kind
    fraction: float
    buckets: int
    skipped: Mapping[str, Met]


@dataclass(frozen=True)
class Part:
    """What one process reads in one go.

    Attributes:
        rank: of the set.
        files: one file, or several small ones; none for a built-in source.
        builtin: name of the built-in source, or empty.
        span: part of the one file.
    """

    rank: int
    files: tuple[TextFile, ...]
    builtin: str = ""
    span: Span | None = None


@dataclass(frozen=True)
class Plan:
    """See the head of this module.

    Attributes:
        folder: the working folder.
        sets: in the order of ranks.
        parts: of all sets.
        key_buckets: a power of two.
        max_train: cap of a domain's training text, bytes.
        max_validation: the same of a validation set.
        scores: see `CorpusConfig`; empty where documents are not scored.
    """

    folder: Path
    sets: tuple[TextSet, ...]
    parts: tuple[Part, ...]
    key_buckets: int
    max_train: int
    max_validation: int
    scores: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def make(cls, config: CorpusConfig, folder: Path) -> "Plan":
        """The plan of a configuration.

        Raises:
            InputError: a path is missing or holds no text.
        """
        training, validation = config.training_sources(), config.validation_sources()
        sets: list[TextSet] = []
        parts: list[Part] = []
        total = 0
        # under small caps only the first buckets are read: let them be small as well
        unit = min(BUCKET_BYTES, max(config.max_bytes // 4, BUCKET_BYTES // 32))
        kinds: tuple[Kind, Kind] = ("validation", "train")
        for kind, table in zip(kinds, (validation, training), strict=True):
            for name, sources in table.items():
                listing = find_files(name, sources)
                own_parts = _parts(len(sets), name, sources, listing.files)
                files = {file.path: file for part in own_parts for file in part.files}
                size = sum(map(text_size, files.values()))
                total += size
                fraction = config.validation_fraction
                if kind == "validation" or name in validation:
                    fraction = float(kind == "validation")
                buckets = _power_of_two(size, unit)
                sets.append(TextSet(name, kind, fraction, buckets, listing.skipped))
                parts += own_parts
        return cls(
            folder,
            tuple(sets),
            tuple(parts),
            _power_of_two(total, KEYS_PER_BUCKET_BYTES),
            config.max_bytes,
            config.max_validation_bytes,
            dict(config.scores or {}),
        )

    def save(self) -> None:
        """Write `plan.json`."""
        values = {
            "sets": [asdict(s) for s in self.sets],
            "parts": [asdict(p) for p in self.parts],
            "key_buckets": self.key_buckets,
            "max_train": self.max_train,
            "max_validation": self.max_validation,
            "scores": dict(self.scores),
        }
        write_atomically(self.folder / PLAN, json.dumps(values, indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read what `save` wrote."""
        values = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        sets = tuple(
            TextSet(**s | {"skipped": reasons_of(s["skipped"])}) for s in values.pop("sets")
        )
        parts = tuple(_part(p) for p in values.pop("parts"))
        return cls(folder, sets, parts, **values)

    def scorer(self, rank: int) -> Scorer | None:
        """What scores the documents of a set; None where nothing does."""
        trained = self.sets[rank].kind == "train"
        return Scorer.of(self.scores) if self.scores and trained else None

    @cached_property
    def needed_bytes(self) -> int:
        """Text of a segment that can matter: caps of both sides, twice for what duplicates take.

        Documents count with what they add before others had their turn (`LONG_DOCUMENT`).
        """
        fractions = [s.fraction for s in self.sets if 0 < s.fraction < 1] or [0.5]
        share = max(
            self.max_train / (1 - max(fractions)), self.max_validation / max(min(fractions), 1e-3)
        )
        return int(2 * share) + FEW_DOCUMENTS * LONG_DOCUMENT


def text_size(file: TextFile) -> int:
    """About how much text a file holds (bytes)."""
    packed = file.kind in ("parquet", "arrow") or file.layers > 0
    return file.size * (PACKED_RATIO if packed else 1)


def _parts(rank: int, name: str, sources: tuple[Source, ...], files: list[TextFile]) -> list[Part]:
    """The parts of a set in the order of its files; small ones that follow each other share one."""
    parts = [Part(rank, (), source.builtin) for source in sources if source.builtin]
    small: list[TextFile] = []

    def close() -> None:
        if small:
            parts.append(Part(rank, tuple(small)))
            small.clear()

    for file in files:
        if file.size > (PIECE if file.kind == "txt" else PART_BYTES):
            close()
            spans = spans_of(name, file, PART_BYTES)
            parts += (Part(rank, (file,), "", span) for span in spans)
            continue
        if sum(f.size for f in small) + file.size > PART_BYTES or len(small) >= PART_FILES:
            close()
        small.append(file)
    close()
    return parts


def _part(values: Mapping[str, Any]) -> Part:
    fields = dict(values)
    files, span = fields.pop("files"), fields.pop("span")
    return Part(
        files=tuple(TextFile(**f) for f in files), span=tuple(span) if span else None, **fields
    )


def _power_of_two(size: int, unit: int) -> int:
    return min(MAX_BUCKETS, 1 << max(0, (size // unit - 1)).bit_length()) if size > unit else 1
