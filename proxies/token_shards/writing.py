"""Shards of tokens out of text: Megatron's files, one task a shard, on any executor.

The files of a domain are put into shards in the order of their names, so that the bytes of a shard
depend on its own files and the tokenizer alone, not on who writes it or when. A shard is there when
its receipt is, which is written last: what was killed is written anew, what is there is left.
"""

import array
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.errors import InputError, shorten
from mixopt.ports import Report, TrainerInfo, ignore_report
from mixopt.runs import Observation, RunSpec, Scale
from mixopt.runs.files import whole_file, write_atomically
from mixopt.space import Domain, Mixture
from proxies.corpus.counts import Counts
from proxies.corpus.encoder import Encoder
from proxies.corpus.reading import read_texts
from proxies.corpus.sources import sources_of
from proxies.corpus.tokenizer import end_token, load_tokenizer
from proxies.corpus.userfiles import Listing, TextFile, find_files
from proxies.token_shards.formats.megatron import HEAD, MAGIC

SHARD_BYTES = 256 * 2**20
"""Text of a shard, about; a larger file is one by itself."""
_CODES = {"<u2": 8, "<u4": 4}
"""Megatron has no unsigned integers of 32 bits; no vocabulary needs their upper half."""


@dataclass(frozen=True)
class Task:
    """One shard to be written.

    Attributes:
        domain: whose it is.
        prefix: of its files, below the folder of all.
        files: its text.
    """

    domain: str
    prefix: str
    files: tuple[TextFile, ...]

    @property
    def size(self) -> int:
        """Bytes of its files, as stored."""
        return sum(file.size for file in self.files)


class ShardWriter:
    """Writes shards; a `Trainer`, so that every executor runs it, retries it and times it out.

    A run is a shard: its mixture is the domain, its seed the number of the shard. Metrics are
    `tokens`, `documents` and `bytes` of text.

    Args:
        domains: as of `CorpusConfig`: names to files, folders, URLs, or mappings with `path`.
        tokenizer: a `tokenizer.json`.
        out: folder of the shards, which all machines see.
        shard_bytes: text of a shard, about.

    Raises:
        InputError: a domain is none, or built in.
    """

    def __init__(
        self,
        *,
        domains: Mapping[str, Any],
        tokenizer: str,
        out: str,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self._sources = {name: sources_of(name, given, "text") for name, given in domains.items()}
        for name, sources in self._sources.items():
            if any(source.builtin for source in sources):
                raise InputError(f"domain {name!r} is built in; give files or folders")
        self._path, self._out, self._most = Path(tokenizer), Path(out), shard_bytes

    @cached_property
    def _listings(self) -> dict[str, Listing]:
        """The files of each domain."""
        return {name: find_files(name, sources) for name, sources in self._sources.items()}

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """All shards, in the order of domains and names."""
        return tuple(task for name in self._sources for task in self._of(name))

    def _of(self, name: str) -> Iterator[Task]:
        groups: list[list[TextFile]] = []
        size = self._most
        for file in self._listings[name].files:
            if size + file.size > self._most:
                groups.append([])
                size = 0
            groups[-1].append(file)
            size += file.size
        for number, files in enumerate(groups):
            yield Task(name, f"{name}/{number:05d}_text_document", tuple(files))

    @cached_property
    def _vocabulary(self) -> str:
        """SHA-256 of the tokenizer's file."""
        return hashlib.sha256(self._path.read_bytes()).hexdigest()

    @cached_property
    def _encoder(self) -> Encoder:
        tokenizer = load_tokenizer(self._path)
        end_token(tokenizer)
        return Encoder(tokenizer)

    @cached_property
    def _data(self) -> str:
        """What all shards are made of; where it differs, numbers stand for other shards."""
        parts = [[task.prefix, self._inputs(task)] for task in self.tasks]
        return hashlib.sha256(json.dumps([self._vocabulary, parts]).encode()).hexdigest()

    def prepare(self, cache: Path) -> TrainerInfo:  # noqa: ARG002 - the port's; nothing to cache
        """Look at the files and the tokenizer; nothing is written.

        Raises:
            InputError: there are none, the tokenizer has no end of documents, or there are shards
                of another call, which would be read with these.
        """
        _ = self._encoder
        self._check_others()
        sizes = dict.fromkeys(self._sources, 0)
        for task in self.tasks:
            sizes[task.domain] += task.size
        domains = tuple(Domain(name, prior=max(1, size)) for name, size in sizes.items())
        warnings = [
            w for n, seen in self._listings.items() for w in Counts().check(n, seen.skipped)
        ]
        metrics = ("tokens", "documents", "bytes")
        return TrainerInfo(domains, metrics, "", self._data, tuple(warnings))

    def _check_others(self) -> None:
        own = {task.prefix for task in self.tasks}
        for name in self._sources:
            there = {path.stem for path in (self._out / name).glob("*_text_document.*")}
            others = sorted(stem for stem in there if f"{name}/{stem}" not in own)
            if others:
                raise InputError(
                    f"{self._out / name} holds {shorten(', '.join(others), 60)}, of another call: "
                    "they would be read with the shards of this one; delete them, or give another "
                    "folder"
                )

    def runs(self, config: Mapping[str, Any], data: str) -> list[RunSpec]:
        """A run for each shard.

        Args:
            config: of this writer.
            data: what `prepare` said.
        """
        where = f"{__name__}:{type(self).__name__}"
        return [
            RunSpec(
                Mixture.of({t.domain: 1.0}), Scale(1, max(1, t.size)), number, where, config, data
            )
            for number, t in enumerate(self.tasks)
        ]

    def train(
        self,
        specs: Sequence[RunSpec],
        cache: Path,  # noqa: ARG002 - the port's; shards go to `out`
        report: Report = ignore_report,  # noqa: ARG002 - the port's; there are no curves
    ) -> list[Observation]:
        """Write shards; those that are there already are left. See `mixopt.ports.Trainer`."""
        seen = []
        for spec in specs:
            started = time.monotonic()
            if spec.data != self._data:
                problem = "files or the tokenizer changed since the shards were numbered"
                seen.append(Observation.failure(spec, problem))
                continue
            try:
                receipt = self._write(self.tasks[spec.seed])
            except (InputError, OSError) as error:
                seen.append(Observation.failure(spec, str(error)))
                continue
            metrics = {key: float(receipt[key]) for key in ("tokens", "documents", "bytes")}
            spent = time.monotonic() - started
            seen.append(Observation.of(spec, metrics, seconds=spent, info={"receipt": receipt}))
        return seen

    def _inputs(self, task: Task) -> str:
        stamps = [[f.label, f.size, f.stamp, f.text_field, f.encoding] for f in task.files]
        return hashlib.sha256(json.dumps([self._vocabulary, stamps]).encode()).hexdigest()

    def _write(self, task: Task) -> dict[str, Any]:
        """The receipt of a shard that is there now."""
        prefix = self._out / task.prefix
        place = prefix.with_name(f"{prefix.name}.json")
        inputs = self._inputs(task)
        if place.is_file():
            kept: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
            if kept["inputs"] == inputs:
                return kept
        counts = Counts()
        size = array.array("q", [0])
        texts = _texts(task, counts, size)
        documents, tokens = write_megatron(prefix, texts, self._encoder)
        receipt = {
            "inputs": inputs,
            "documents": documents,
            "tokens": tokens,
            "bytes": size[0],
            "left_out": counts.check(task.domain, {}),
        }
        write_atomically(place, (json.dumps(receipt, indent=1) + "\n").encode())
        return receipt


def _texts(task: Task, counts: Counts, size: "array.array[int]") -> Iterator[str]:
    """The documents of a shard that hold text; their bytes are added up."""
    for file in task.files:
        for text in read_texts(task.domain, file, counts):
            if text.strip():
                size[0] += len(text.encode(errors="replace"))
                yield text


def write_megatron(prefix: Path, texts: Iterable[str], encoder: Encoder) -> tuple[int, int]:
    """Write documents as `NAME.bin` and `NAME.idx`, each document one sequence with its end.

    Returns:
        Documents and tokens.
    """
    kind = encoder.dtype
    lengths = array.array("i")
    with whole_file(prefix.with_name(f"{prefix.name}.bin")) as data:
        for text in texts:
            piece = encoder.document(text)
            lengths.append(len(piece) // kind.itemsize)
            data.write(piece)
    sizes = np.frombuffer(lengths, np.int32) if lengths else np.zeros(0, np.int32)
    starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    with whole_file(prefix.with_name(f"{prefix.name}.idx")) as index:
        index.write(HEAD.pack(MAGIC, 1, _CODES[kind.str], len(sizes), len(sizes) + 1))
        index.write(sizes.astype("<i4").tobytes())
        index.write((starts[:-1] * kind.itemsize).astype("<i8").tobytes())
        index.write(np.arange(len(sizes) + 1, dtype="<i8").tobytes())
    return len(sizes), int(starts[-1])
