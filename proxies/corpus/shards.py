"""What a build gives: shards with their entries, a tokenizer, and where the text is from."""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from mixopt.errors import InputError
from proxies.corpus.builtin import BUILTIN
from proxies.corpus.builtin import Source as Package
from proxies.corpus.config import FORMAT, CorpusConfig
from proxies.corpus.corpus import MANIFEST, TOKEN_BYTES, TOKENIZER, token_hash
from proxies.corpus.counts import Counts, Met, printable
from proxies.corpus.encoder import Encoder
from proxies.corpus.objective_entries import with_objectives
from proxies.corpus.scored import Scored, with_perplexity
from proxies.corpus.sources import Source
from proxies.corpus.tokenizer import check_size

logger = logging.getLogger(__name__)

Record = dict[str, Any]


@dataclass
class Shards:
    """A corpus being built.

    Attributes:
        encoder: of the corpus's tokenizer.
        train: the manifest's entry per training domain.
        validation: the same per validation set.
        questions: the same per set of questions.
        injections: the same per injection.
        sources: per set, records of where its text is from.
        warnings: for the user.
        scored: of each training domain the tokens of its documents and their scores, if any.
    """

    encoder: Encoder
    train: dict[str, Record] = field(default_factory=dict)
    validation: dict[str, Record] = field(default_factory=dict)
    questions: dict[str, Record] = field(default_factory=dict)
    injections: dict[str, Record] = field(default_factory=dict)
    sources: dict[str, list[Record]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    scored: dict[str, Scored] = field(default_factory=dict)

    def path(self, folder: Path, kind: str) -> Path:
        """Where the next shard of a kind goes."""
        count = len(self.train if kind == "train" else self.validation)
        return folder / f"{kind}-{count:03d}.npy"

    def write(self, path: Path, texts: Iterable[str], sizes: list[int] | None = None) -> Record:
        """Write documents as one shard.

        Args:
            path: of it.
            texts: the documents.
            sizes: gets the tokens of each.

        Returns:
            Its entry in the manifest.

        Raises:
            InputError: the tokenizer loses text.
        """
        parts, size, documents = [], 0, 0
        for text in texts:
            parts.append(self.encoder.document(text))
            size += len(text.encode())
            documents += 1
        if sizes is not None:
            sizes += (len(part) // self.encoder.dtype.itemsize for part in parts)
        tokens = np.frombuffer(b"".join(parts), dtype=self.encoder.dtype)
        check_size(int(self.encoder.lengths[tokens].sum()), size)
        np.save(path, tokens, allow_pickle=False)
        return {
            "file": path.name,
            "documents": documents,
            "bytes": size,
            "tokens": len(tokens),
            "sha256": token_hash(tokens),
        }

    def finish(self, config: CorpusConfig, folder: Path) -> None:
        """Write the tokenizer and, last, the manifest.

        Raises:
            InputError: no domain has text.
        """
        if not self.train:
            raise InputError(
                f"none of the domains {', '.join(config.training_sources())} has any text here; "
                "name files of your own under `domains`, or install the sources"
            )
        ordered = [name for name in self.train if name in self.validation]
        ordered += [name for name in self.validation if name not in self.train]
        tokenizer: Tokenizer = self.encoder.tokenizer
        (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
        np.save(folder / TOKEN_BYTES, self.encoder.lengths, allow_pickle=False)
        self._write_scores(config, folder)
        entries = {
            "train": self.train,
            "validation": {name: self.validation[name] for name in ordered},
            "vocab": len(self.encoder.lengths),
        }
        manifest = {
            "format": FORMAT,
            "sources": self.sources,
            **with_objectives(config, entries),
            "tokenizer": {
                "trained": config.tokenizer is None,
                "sha256": hashlib.sha256((folder / TOKENIZER).read_bytes()).hexdigest(),
            },
            "warnings": self.warnings,
            "file_sizes": {file.name: file.stat().st_size for file in sorted(folder.iterdir())},
        }
        if self.questions:
            manifest["questions"] = self.questions
        if config.scores:
            manifest["scores"] = dict(config.scores)
        if self.injections:
            manifest["injections"] = self.injections
        text = json.dumps(manifest, indent=1, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    def _write_scores(self, config: CorpusConfig, folder: Path) -> None:
        """Write what is known of the quality of documents; see `proxies.corpus.scored`."""
        if not config.scores:
            return
        streams = {n: np.load(folder / e["file"], mmap_mode="r") for n, e in self.train.items()}
        with_perplexity(self.scored, streams, tuple(config.scores), len(self.encoder.lengths))
        for name, scored in self.scored.items():
            self.train[name] |= {"quality": scored.write(folder, self.train[name]["file"])}


@dataclass
class Notes:
    """What is known of the text before there is a tokenizer.

    Attributes:
        sources: per set, records of where its text is from.
        warnings: for the user.
    """

    sources: dict[str, list[Record]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Tell the log now and the user later."""
        logger.warning(message)
        self.warnings.append(message)


@dataclass
class Files:
    """What was read of the users' files of a set.

    Attributes:
        number: of files.
        counts: what reading met.
        skipped: files that were not opened, by reason.
        size: bytes of all documents that hold text.
        content: sum of their SHA-256, modulo 2^256: it does not depend on how files are cut.
    """

    number: int = 0
    counts: Counts = field(default_factory=Counts)
    skipped: Mapping[str, Met] = field(default_factory=dict)
    size: int = 0
    content: int = 0

    def add(self, text: bytes) -> int:
        """Count a document that holds text; return the first 64 bits of its SHA-256."""
        digest = hashlib.sha256(text).digest()
        self.size += len(text)
        self.content = (self.content + int.from_bytes(digest, "big")) % 2**256
        return int.from_bytes(digest[:8], "big")


def describe(notes: Notes, kind: str, name: str, sources: Sequence[Source], files: Files) -> None:
    """Note where the users' text of a set is from, and what the user should know of it.

    Raises:
        InputError: none of it could be read.
    """
    paths = [source.path.rstrip("/") for source in sources if not source.builtin]
    if not paths:
        return
    for warning in files.counts.check(name, files.skipped):
        notes.warn(warning)
    record: Record = {
        # the folders' names, not their paths: the same text elsewhere is the same data
        "name": printable(", ".join(Path(path).name for path in paths)),
        "files": files.number,
        "documents": files.counts.documents,
        "bytes": files.size,
        "sha256": f"{files.content:064x}",
        **files.counts.faults(),
    }
    if files.skipped:
        record["skipped"] = {reason: asdict(met) for reason, met in files.skipped.items()}
    notes.sources.setdefault(f"{kind}/{name}", []).append(record)


def warn_missing(notes: Notes, name: str, sources: Iterable[Source]) -> None:
    """Warn of every built-in source that is named and not installed."""
    for source in builtin_sources(sources):
        if not source.files():
            package = source.distribution or source.module
            notes.warn(f"{name}: source {package} is not installed and was left out")


def builtin_sources(sources: Iterable[Source]) -> Iterator[Package]:
    """The packages behind built-in sources."""
    for source in sources:
        if source.builtin:
            yield from BUILTIN[source.builtin].sources


def no_text(name: str, sources: Sequence[Source]) -> InputError:
    """The refusal of a domain without text."""
    paths = printable(", ".join(source.path for source in sources))
    return InputError(
        f"domain {name!r}: {paths} holds no text of its own (it is empty, or all of it occurs in "
        "domains read before); add text or drop the domain"
    )
