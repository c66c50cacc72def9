"""Building a corpus: read, split, tokenise, write; once, into a folder named by its inputs.

Text that fits in memory is read into it (here); more goes through stages on disk
(`proxies.corpus.streaming`). Both order, split and deduplicate alike.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixopt.errors import InputError
from proxies.corpus.builtin import BUILTIN
from proxies.corpus.config import PREFIX, CorpusConfig, load_named_tokenizer
from proxies.corpus.corpus import MANIFEST, Corpus
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
from proxies.corpus.questions import write_questions
from proxies.corpus.reading import Counts, read_texts
from proxies.corpus.shards import Notes, Shards, warn_missing
from proxies.corpus.staging import building_place
from proxies.corpus.streaming import available_workers, stream, text_size
from proxies.corpus.tokenizer import train_tokenizer
from proxies.corpus.userfiles import TextFile, find_files

logger = logging.getLogger(__name__)

STREAM_FROM = 32 * 2**20
"""From so many bytes of users' text on a corpus is built by stages on disk."""


@dataclass
class _Texts(Notes):
    """What reading the sources gave, before tokens."""

    train: dict[str, list[str]] = field(default_factory=dict)
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
                if streaming or (streaming is None and _size(config) > STREAM_FROM):
                    shards = stream(config, building, out, workers or available_workers())
                else:
                    shards = _build(config, out)
                write_questions(config, shards, out)
                shards.finish(config, out)
                out.replace(place)
    corpus = Corpus.open(place)
    corpus.verify()
    return corpus


def find_corpus(cache: Path, sha256: str) -> Corpus | None:
    """The corpus under `cache` that has this manifest hash, whatever it was built from.

    A worker that shares the cache but not the driver's files or working folder finds it so.

    Raises:
        TrainerError: it is damaged.
    """
    for manifest in sorted(cache.glob(f"corpus-*/{MANIFEST}")):
        if hashlib.sha256(manifest.read_bytes()).hexdigest() == sha256:
            corpus = Corpus.open(manifest.parent)
            corpus.verify()
            return corpus
    return None


def _size(config: CorpusConfig) -> int:
    """About how much text the users' files hold (bytes)."""
    files: dict[str, TextFile] = {}
    for table in (config.training_paths(), config.validation_paths()):
        for name, paths in table.items():
            own = [path for path in paths if not path.startswith(PREFIX)]
            files |= {file.path: file for file in find_files(name, own)}
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
        entry = shards.write(shards.path(folder, "train"), train)
        shards.train[name] = entry | {"available_bytes": texts.available[name]}
    for name, validation in texts.validation.items():
        shards.validation[name] = shards.write(shards.path(folder, "validation"), validation)
    return shards


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
    warn_missing(texts, name, paths)
    for path in paths:
        if path.startswith(PREFIX):
            _read_builtin(path.removeprefix(PREFIX), items, records)
        else:
            read, record = _read_files(config, texts, name, path)
            items += read
            records.append(record)
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
        raise no_text(name, paths)
    return split


def no_text(name: str, paths: Sequence[str]) -> InputError:
    """The refusal of a domain without text."""
    return InputError(
        f"domain {name!r}: {', '.join(paths)} holds no text of its own (it is empty, or all of "
        "it occurs in domains read before); add text or drop the domain"
    )


def _read_files(
    config: CorpusConfig, texts: _Texts, name: str, path: str
) -> tuple[list[Item], dict[str, Any]]:
    files, counts = find_files(name, (path,)), Counts()
    items = [
        Item(file.label, text.encode("utf-8", errors="replace"), whole)
        for file in files
        for text in read_texts(name, file, config.text_field, counts)
    ]
    warning = counts.check(name, config.text_field)
    if warning:
        texts.warn(warning)
    # the folder's name, not its path: the same text elsewhere is the same data
    return items, {"name": Path(path).name, "files": len(files)} | _digest(items) | counts.faults()


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
