"""Building a corpus: read, split, tokenise, write; once, into a folder named by its inputs."""

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mixopt.errors import InputError
from proxies.corpus.builtin import BUILTIN, Source
from proxies.corpus.config import FORMAT, PREFIX, CorpusConfig, tokenizer_path
from proxies.corpus.corpus import MANIFEST, TOKEN_BYTES, TOKENIZER, Corpus, token_hash
from proxies.corpus.documents import Deduplicator, Item, Split, Tally, documents, split_documents
from proxies.corpus.tokenizer import (
    check_bytes,
    encode,
    end_token,
    load_tokenizer,
    token_bytes,
    train_tokenizer,
)
from proxies.corpus.userfiles import find_files, read_items

logger = logging.getLogger(__name__)


@dataclass
class _Texts:
    """What reading the sources gave, before tokens."""

    train: dict[str, list[str]] = field(default_factory=dict)
    validation: dict[str, list[str]] = field(default_factory=dict)
    available: dict[str, int] = field(default_factory=dict)
    sources: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        logger.warning(message)
        self.warnings.append(message)


def load_corpus(config: CorpusConfig, cache: Path) -> Corpus:
    """The corpus of a configuration: found under `cache`, or built there.

    Args:
        config: what it is made of.
        cache: folder that holds corpora; created if absent. Two processes may build the same
            corpus at once: the first to finish puts it in place, whole.

    Raises:
        InputError: a domain's text is missing, empty or unusable.
    """
    key = hashlib.sha256(config.fingerprint().encode()).hexdigest()[:16]
    place = cache / f"corpus-{key}"
    if not (place / MANIFEST).exists():
        texts = _read(config)
        cache.mkdir(parents=True, exist_ok=True)
        building = cache / f".building-{key}-{uuid.uuid4().hex}"
        building.mkdir()
        try:
            _write(config, texts, building)
            _put_in_place(building, place)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return Corpus.open(place)


def find_corpus(cache: Path, sha256: str) -> Corpus | None:
    """The corpus under `cache` that has this manifest hash, whatever it was built from.

    A worker that shares the cache but not the driver's files or working folder finds it so.
    """
    for manifest in sorted(cache.glob(f"corpus-*/{MANIFEST}")):
        if hashlib.sha256(manifest.read_bytes()).hexdigest() == sha256:
            return Corpus.open(manifest.parent)
    return None


def _put_in_place(building: Path, place: Path) -> None:
    try:
        os.replace(building, place)
    except OSError:
        if not (place / MANIFEST).exists():  # not another process's finished corpus
            raise


def _read(config: CorpusConfig) -> _Texts:
    texts = _Texts()
    dedup = Deduplicator()
    training, validation = config.training_paths(), config.validation_paths()
    # Validation sets are read first: what they hold is then a duplicate wherever else it occurs,
    # and is kept out of training.
    for name, paths in validation.items():
        split = _split(config, texts, dedup, (name, paths), fraction=1.0)
        if split is not None:
            texts.validation[name] = split.validation
    for name, paths in training.items():
        separate = name in texts.validation
        fraction = 0.0 if separate else config.validation_fraction
        split = _split(config, texts, dedup, (name, paths), fraction=fraction)
        if split is None:
            if separate:
                del texts.validation[name]
            continue
        texts.train[name] = split.train
        if not separate:
            texts.validation[name] = split.validation
    if not texts.train:
        raise InputError(
            f"none of the domains {', '.join(training)} has any text here; name files of your own "
            "under `domains`, or install the sources"
        )
    ordered = [n for n in texts.train if n in texts.validation]
    ordered += [n for n in texts.validation if n not in texts.train]
    texts.validation = {name: texts.validation[name] for name in ordered}
    return texts


def _split(
    config: CorpusConfig,
    texts: _Texts,
    dedup: Deduplicator,
    named: tuple[str, Sequence[str]],
    *,
    fraction: float,
) -> Split | None:
    """Read one domain; None, with a warning, if it is built in and nothing of it is installed."""
    name, paths = named
    items: list[Item] = []
    records: list[dict[str, Any]] = []
    for path in paths:
        if path.startswith(PREFIX):
            _read_builtin(name, path.removeprefix(PREFIX), texts, items, records)
            continue
        files = find_files(name, (path,))
        read = read_items(name, files, config.text_field)
        items += read
        # the folder's name, not its path: the same text elsewhere is the same data
        records.append({"name": Path(path).name, "files": len(files)} | _digest(read))
    kind = "validation" if fraction >= 1 else "train"
    texts.sources[f"{kind}/{name}"] = records
    builtin_only = all(path.startswith(PREFIX) for path in paths)
    if not items and builtin_only:
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
        raise InputError(
            f"domain {name!r}: {', '.join(paths)} holds no text of its own (it is empty, or all of "
            "it occurs in domains read before); add text or drop the domain"
        )
    return split


def _read_builtin(
    name: str, builtin: str, texts: _Texts, items: list[Item], records: list[dict[str, Any]]
) -> None:
    for source in BUILTIN[builtin].sources:
        read = BUILTIN[builtin].items(source)
        if not read:
            package = source.distribution or source.module
            texts.warn(f"{name}: source {package} is not installed and was left out")
            continue
        items += read
        records.append(_describe(source, read))


def _describe(source: Source, items: Sequence[Item]) -> dict[str, Any]:
    return {
        "name": source.distribution or "python standard library",
        "version": source.version(),
        "licence": source.licence,
        "files": len({item.origin for item in items}),
    } | _digest(items)


def _digest(items: Iterable[Item]) -> dict[str, Any]:
    digests, size = hashlib.sha256(), 0
    for digest, length in sorted((item.digest(), len(item.raw)) for item in items):
        digests.update(bytes.fromhex(digest))
        size += length
    return {"bytes": size, "sha256": digests.hexdigest()}


def _write(config: CorpusConfig, texts: _Texts, folder: Path) -> None:
    """Tokenise and write all files of the corpus into `folder`."""
    if config.tokenizer is None:
        tokenizer = train_tokenizer(texts.train, config.vocab)
    else:
        tokenizer = load_tokenizer(tokenizer_path(config.tokenizer))
    lengths = token_bytes(tokenizer)
    writer = _Shards(folder, tokenizer, lengths)
    train = {
        name: writer.write(f"train-{index:03d}.npy", documents)
        | {"available_bytes": texts.available[name]}
        for index, (name, documents) in enumerate(texts.train.items())
    }
    validation = {
        name: writer.write(f"validation-{index:03d}.npy", documents)
        for index, (name, documents) in enumerate(texts.validation.items())
    }
    (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
    np.save(folder / TOKEN_BYTES, lengths, allow_pickle=False)
    manifest = {
        "format": FORMAT,
        "sources": texts.sources,
        "train": train,
        "validation": validation,
        "vocab": len(lengths),
        "tokenizer": {
            "trained": config.tokenizer is None,
            "sha256": hashlib.sha256((folder / TOKENIZER).read_bytes()).hexdigest(),
        },
        "warnings": texts.warnings,
        "file_sizes": {file.name: file.stat().st_size for file in sorted(folder.iterdir())},
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Shards:
    """Writes documents as one shard each and describes it."""

    folder: Path
    tokenizer: Tokenizer
    lengths: NDArray[np.int32]

    def write(self, file: str, texts: Sequence[str]) -> dict[str, Any]:
        size = sum(len(text.encode()) for text in texts)
        ids = encode(self.tokenizer, texts, end_token(self.tokenizer))
        check_bytes(ids, self.lengths, size)
        tokens = ids.astype(np.uint16 if len(self.lengths) <= 2**16 else np.uint32)
        np.save(self.folder / file, tokens, allow_pickle=False)
        return {
            "file": file,
            "documents": len(texts),
            "bytes": size,
            "tokens": len(tokens),
            "sha256": token_hash(tokens),
        }
