"""Building a corpus: read, split, tokenise, write; once, into a folder named by its inputs.

Text that fits in memory is read into it (here); more goes through stages on disk
(`proxies.corpus.streaming`). Both order, split and deduplicate alike.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxies.corpus.builtin import BUILTIN
from proxies.corpus.config import CorpusConfig, load_named_tokenizer
from proxies.corpus.corpus import MANIFEST, Corpus, data_hash
from proxies.corpus.documents import (
    Deduplicator,
    Item,
    Split,
    Tally,
    documents,
    split_documents,
    whole,
)
from proxies.corpus.encoder import Encoder
from proxies.corpus.injected import write_injections
from proxies.corpus.questions import write_questions
from proxies.corpus.scored import Scored
from proxies.corpus.scoring import Scorer, scored_texts
from proxies.corpus.shards import Files, Notes, Shards, describe, no_text, warn_missing
from proxies.corpus.sources import Source
from proxies.corpus.staging import building_place
from proxies.corpus.streaming import available_workers, stream, text_size
from proxies.corpus.tokenised import build_tokenised
from proxies.corpus.tokenizer import train_tokenizer
from proxies.corpus.userfiles import TextFile, find_files

logger = logging.getLogger(__name__)

STREAM_FROM = 32 * 2**20
"""From so many bytes of users' text on a corpus is built by stages on disk."""


@dataclass
class _Texts(Notes):
    """What reading the sources gave, before tokens."""

    train: dict[str, list[str]] = field(default_factory=dict)
    scores: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    validation: dict[str, list[str]] = field(default_factory=dict)
    available: dict[str, int] = field(default_factory=dict)


def load_corpus(
    config: CorpusConfig,
    cache: Path,
    *,
    workers: int | None = None,
    streaming: bool | None = None,
) -> Corpus:
    """The corpus of a configuration: found under `cache`, or built there.

    Args:
        config: what it is made of.
        cache: folder that holds corpora; created if absent. Of two processes that want the same
            corpus, the second waits for the first.
        workers: processes that build it; by default as many as this one may use processors
            (`MIXOPT_PREPARE_WORKERS` says otherwise). They change nothing but the time.
        streaming: whether to build by stages on disk; by default where there is much text.

    Raises:
        InputError: a domain's text is missing, empty or unusable.
        TrainerError: the corpus there is damaged, the disk is full, or a worker died.
    """
    key = hashlib.sha256(config.fingerprint().encode()).hexdigest()[:16]
    place = cache / f"corpus-{key}"
    if not (place / MANIFEST).exists():
        with building_place(cache, key) as building:
            if not (place / MANIFEST).exists():  # another process may have been faster
                out = building / "corpus"
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                if config.tokenised:
                    build_tokenised(config, out)
                else:
                    if streaming or (streaming is None and _size(config) > STREAM_FROM):
                        shards = stream(config, building, out, workers or available_workers())
                    else:
                        shards = _build(config, out)
                    write_questions(config, shards, out)
                    write_injections(config, shards, out)
                    shards.finish(config, out)
                out.replace(place)
    corpus = Corpus.open(place)
    corpus.verify()
    return corpus


def find_corpus(cache: Path, sha256: str) -> Corpus | None:
    """The corpus under `cache` that has this hash (`Corpus.sha256`), whatever it was built from.

    A worker that shares the cache but not the driver's files or working folder finds it so.

    Raises:
        TrainerError: it is damaged.
    """
    for manifest in sorted(cache.glob(f"corpus-*/{MANIFEST}")):
        if data_hash(json.loads(manifest.read_text(encoding="utf-8"))) == sha256:
            corpus = Corpus.open(manifest.parent)
            corpus.verify()
            return corpus
    return None


def _size(config: CorpusConfig) -> int:
    """About how much text the users' files hold (bytes)."""
    files: dict[str, TextFile] = {}
    for table in (config.training_sources(), config.validation_sources()):
        for name, sources in table.items():
            files |= {file.path: file for file in find_files(name, sources).files}
    return sum(map(text_size, files.values()))


def _build(config: CorpusConfig, folder: Path) -> Shards:
    """Build a corpus in memory."""
    texts = _read(config)
    if config.tokenizer is not None:
        tokenizer = load_named_tokenizer(config)
    else:
        tokenizer = train_tokenizer(texts.train, config.vocab)
    shards = Shards(Encoder(tokenizer), sources=texts.sources, warnings=texts.warnings)
    for name, train in texts.train.items():
        sizes: list[int] = []
        entry = shards.write(shards.path(folder, "train"), train, sizes)
        if config.scores:
            shards.scored[name] = Scored.of(sizes, texts.scores[name])
        shards.train[name] = entry | {"available_bytes": texts.available[name]}
    for name, validation in texts.validation.items():
        shards.validation[name] = shards.write(shards.path(folder, "validation"), validation)
    return shards


def _read(config: CorpusConfig) -> _Texts:
    texts = _Texts()
    dedup = Deduplicator()
    training, validation = config.training_sources(), config.validation_sources()
    # Validation sets are read first: what they hold is then a duplicate wherever else it occurs,
    # and is kept out of training.
    for name, sources in validation.items():
        split = _split(config, texts, dedup, (name, sources), fraction=1.0)
        if split is not None:
            texts.validation[name] = split.validation
    for name, sources in training.items():
        separate = name in texts.validation
        fraction = 0.0 if separate else config.validation_fraction
        split = _split(config, texts, dedup, (name, sources), fraction=fraction)
        if split is None:
            if separate:
                del texts.validation[name]
            continue
        texts.train[name] = split.train
        texts.scores[name] = split.scores
        if not separate:
            texts.validation[name] = split.validation
    ordered = [n for n in texts.train if n in texts.validation]
    ordered += [n for n in texts.validation if n not in texts.train]
    texts.validation = {name: texts.validation[name] for name in ordered}
    return texts


def _split(
    config: CorpusConfig,
    texts: _Texts,
    dedup: Deduplicator,
    named: tuple[str, Sequence[Source]],
    *,
    fraction: float,
) -> Split | None:
    """Read one domain; None, with a warning, if it is built in and nothing of it is installed."""
    name, sources = named
    scorer = config.scorer() if fraction < 1 else None
    items: list[Item] = []
    records: list[dict[str, Any]] = []
    warn_missing(texts, name, sources)
    for source in sources:
        if source.builtin:
            _read_builtin(source.builtin, items, records)
            items = items if scorer is None else scorer.attach(name, source, items)
    kind = "validation" if fraction >= 1 else "train"
    texts.sources[f"{kind}/{name}"] = records
    describe(texts, kind, name, sources, _read_files(name, sources, items, scorer))
    if not items and all(source.builtin for source in sources):
        texts.warn(f"{name} is left out: none of its sources is installed")
        return None
    tally = Tally()
    split = split_documents(
        documents(items, dedup, tally),
        max_train=config.max_bytes,
        max_validation=config.max_validation_bytes,
        validation_fraction=fraction,
    )
    texts.available[name] = tally.available()
    if fraction < 1 and not split.train:
        raise no_text(name, sources)
    return split


def _read_files(
    name: str, sources: Sequence[Source], items: list[Item], scorer: Scorer | None
) -> Files:
    """Read the users' files of a domain to items."""
    listing = find_files(name, sources)
    files = Files(len(listing.files), skipped=listing.skipped)
    for file in listing.files:
        for text, scores in scored_texts(name, file, files.counts, scorer):
            if text.strip():
                items.append(Item(file.label, text.encode(), whole, scores))
                files.add(items[-1].raw)
    return files


def _read_builtin(builtin: str, items: list[Item], records: list[dict[str, Any]]) -> None:
    for source in BUILTIN[builtin].sources:
        read = BUILTIN[builtin].items(source)
        if read:
            items += read
            files = len({item.origin for item in read})
            records.append(source.record() | {"files": files} | _digest(read))


def _digest(items: Iterable[Item]) -> dict[str, Any]:
    digests, size = hashlib.sha256(), 0
    for digest, length in sorted((item.digest(), len(item.raw)) for item in items):
        digests.update(bytes.fromhex(digest))
        size += length
    return {"bytes": size, "sha256": digests.hexdigest()}
