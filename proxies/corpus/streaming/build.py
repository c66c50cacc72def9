"""Corpora from more text than fits in memory: the same corpus, made by stages on disk.

    extract  parts of files -> segments of clean documents and keys          (parallel over parts)
    settle   keys -> what was met before                                (parallel over key buckets)
    encode   buckets of documents -> tokens                                (parallel over buckets)
    assemble tokens -> one shard per side, cut at the caps

Every task leaves a marker when its files are whole, and a task with a marker is not done again: a
build that was killed goes on where it was. No result depends on the number of processes. Memory
holds a segment and a bucket per process; scratch space on disk is about the size of the text, or
less where the caps are small.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, as_completed, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mixopt.errors import InputError
from mixopt.execution.files import write_atomically
from proxies.corpus.builtin import BUILTIN
from proxies.corpus.config import PREFIX, CorpusConfig, load_named_tokenizer
from proxies.corpus.documents import FEW_DOCUMENTS, LONG_DOCUMENT, chunks, fraction_of
from proxies.corpus.encoder import Encoder
from proxies.corpus.reading import Counts
from proxies.corpus.shards import Notes, Shards, warn_missing
from proxies.corpus.streaming import duplicates, encode, extract
from proxies.corpus.streaming.assemble import write_shard
from proxies.corpus.streaming.encode import (
    TRAIN,
    VALIDATION,
    Seen,
    bucket_documents,
    few_documents,
)
from proxies.corpus.streaming.plan import TOKENIZER_FILE, Plan, TextSet
from proxies.corpus.streaming.work import all_segments
from proxies.corpus.streaming.workers import Pool
from proxies.corpus.tokenizer import SAMPLE_BYTES, train_tokenizer

logger = logging.getLogger(__name__)


@dataclass
class _Set:
    """What is known of a set after extraction.

    Attributes:
        rank: of the set.
        counts: what reading met.
        kept: documents that were written to segments.
        bytes: of all documents.
        text_bytes: of those that differ within a segment.
        content: sum of the documents' hashes.
        files: how many.
    """

    rank: int
    counts: Counts = field(default_factory=Counts)
    kept: int = 0
    bytes: int = 0
    text_bytes: int = 0
    content: int = 0
    files: int = 0


def stream(config: CorpusConfig, work: Path, out: Path, workers: int) -> Shards:
    """Build a corpus by stages.

    Args:
        config: what it is made of.
        work: folder for scratch files; what a former call left there is used.
        out: folder of the shards.
        workers: processes.

    Raises:
        InputError: a domain's text is missing, empty or unusable.
        TrainerError: a worker died.
        OSError: a file cannot be read or written.
    """
    plan = Plan.make(config, work)
    for folder in (extract.FOLDER, duplicates.FOLDER, encode.FOLDER):
        (work / folder).mkdir(parents=True, exist_ok=True)
    plan.save()
    notes = Notes()
    with Pool(work, workers) as pool:
        sets = _extract(plan, pool)
        used = _describe(plan, config, sets, notes)
        segments = all_segments(plan)
        _all(pool, [{"stage": "settle", "bucket": b} for b in range(plan.key_buckets)])
        few = {rank for rank in used if _has_few(plan, segments, rank, sets[rank].kept)}
        encoder = Encoder(_tokenizer(plan, config, segments, used, few))
        shards = Shards(encoder, sources=notes.sources, warnings=notes.warnings)
        for rank in used:
            results = _encode_few(pool, rank) if rank in few else _encode(plan, pool, rank)
            _write(plan, sets[rank], results, shards, out)
    return shards


def _all(pool: Pool, tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Do tasks side by side; the first failure ends it."""
    futures = [pool.submit(task) for task in tasks]
    for future in as_completed(futures):
        future.result()
    return [future.result() for future in futures]


def _extract(plan: Plan, pool: Pool) -> dict[int, _Set]:
    logger.info("reading %d parts of files", len(plan.parts))
    tasks = [{"stage": "extract", "part": number} for number in range(len(plan.parts))]
    sets = {rank: _Set(rank) for rank in range(len(plan.sets))}
    files: dict[int, set[str]] = {rank: set() for rank in sets}
    for part, done in zip(plan.parts, _all(pool, tasks), strict=True):
        found = sets[part.rank]
        found.counts.add(Counts(**done["counts"]))
        found.kept += done["kept"]
        found.bytes += done["bytes"]
        found.text_bytes += done["text_bytes"]
        found.content = (found.content + int(done["content"], 16)) % 2**256
        files[part.rank] |= {file.path for file in part.files}
    for rank, paths in files.items():
        sets[rank].files = len(paths)
    return sets


def _describe(plan: Plan, config: CorpusConfig, sets: dict[int, _Set], notes: Notes) -> list[int]:
    """Note where the text is from; return the ranks of the sets that have any."""
    paths = {"train": config.training_paths(), "validation": config.validation_paths()}
    left_out: set[str] = set()
    for rank, found in sets.items():
        own = plan.sets[rank]
        given = paths[own.kind][own.name]
        warn_missing(notes, own.name, given)
        notes.sources[f"{own.kind}/{own.name}"] = [
            *_builtin_records(given),
            {
                "name": ", ".join(Path(p).name for p in given),
                "files": found.files,
                "bytes": found.bytes,
                "sha256": f"{found.content:064x}",
                "documents": found.counts.documents,
            }
            | found.counts.faults(),
        ]
        warning = found.counts.check(own.name, plan.text_field)
        if warning:
            notes.warn(warning)
        if not found.kept and all(path.startswith(PREFIX) for path in given):
            notes.warn(f"{own.name} is left out: none of its sources is installed")
            left_out.add(own.name)
    return [rank for rank in sets if plan.sets[rank].name not in left_out]


def _builtin_records(given: Sequence[str]) -> Iterator[dict[str, Any]]:
    for path in given:
        if path.startswith(PREFIX):
            sources = BUILTIN[path.removeprefix(PREFIX)].sources
            yield from (source.record() for source in sources if source.files())


def _has_few(plan: Plan, segments: Sequence[tuple[int, int]], rank: int, kept: int) -> bool:
    if kept < FEW_DOCUMENTS:
        return True
    return len(list(islice(_documents(plan, segments, rank), FEW_DOCUMENTS))) < FEW_DOCUMENTS


def _documents(plan: Plan, segments: Sequence[tuple[int, int]], rank: int) -> Iterator[str]:
    for bucket in range(plan.sets[rank].buckets):
        yield from bucket_documents(plan, segments, rank, bucket, Seen())


def _tokenizer(
    plan: Plan,
    config: CorpusConfig,
    segments: Sequence[tuple[int, int]],
    used: Sequence[int],
    few: set[int],
) -> Tokenizer:
    """The user's tokenizer, or one trained on the first training text of every domain."""
    file = plan.folder / TOKENIZER_FILE
    if config.tokenizer is not None:
        tokenizer = load_named_tokenizer(config)
    elif file.exists():
        return Tokenizer.from_file(str(file))
    else:
        samples: dict[str, Sequence[str]] = {}
        for rank in (r for r in used if plan.sets[r].kind == "train"):
            if rank in few:
                sample: Sequence[str] = few_documents(plan, segments, rank, Seen()).train
            else:
                sample = _sample(plan, segments, rank, plan.sets[rank])
            samples[plan.sets[rank].name] = sample
        tokenizer = train_tokenizer(samples, config.vocab)
    write_atomically(file, tokenizer.to_str().encode())
    return tokenizer


def _sample(plan: Plan, segments: Sequence[tuple[int, int]], rank: int, own: TextSet) -> list[str]:
    """The beginning of a domain's training text, as much of it as a tokenizer is trained on."""
    heads: list[str] = []
    rests: list[str] = []
    size = 0
    for text in _documents(plan, segments, rank):
        if size >= min(SAMPLE_BYTES, plan.max_train):
            return heads
        if fraction_of(text) >= own.fraction:
            head, *rest = chunks(text, LONG_DOCUMENT)
            heads.append(head)
            rests += (piece for piece in rest if piece.strip())
            size += len(head)
    return heads + rests


def _write(
    plan: Plan, found: _Set, results: list[dict[str, Any]], shards: Shards, out: Path
) -> None:
    """Write the shards of a tokenised set, and describe them."""
    own = plan.sets[found.rank]
    buckets = range(len(results))
    if own.fraction > 0:
        at = (found.rank, VALIDATION)
        path = shards.path(out, "validation")
        shards.validation[own.name] = write_shard(plan, at, buckets, path, shards.encoder.dtype)
    if own.fraction >= 1:
        return
    path = shards.path(out, "train")
    entry = write_shard(plan, (found.rank, TRAIN), buckets, path, shards.encoder.dtype)
    if not entry["tokens"]:
        raise InputError(
            f"domain {own.name!r} holds no text of its own (it is empty, or all of it occurs in "
            "domains read before); add text or drop the domain"
        )
    # what was read of the domain stands for the rest of it
    read, kept = (sum(r[key] for r in results) for key in ("read", "kept"))
    whole = len(results) == own.buckets or "few" in results[0]
    available = kept if whole else round(found.text_bytes * kept / max(1, read))
    shards.train[own.name] = entry | {"available_bytes": available}


def _encode_few(pool: Pool, rank: int) -> list[dict[str, Any]]:
    """Tokenise a set of few documents."""
    return _all(pool, [{"stage": "few", "rank": rank}])


def _encode(plan: Plan, pool: Pool, rank: int) -> list[dict[str, Any]]:
    """Tokenise buckets in order until both sides are full.

    Returns:
        The results of the buckets that count: up to the one that filled the last side.
    """
    own = plan.sets[rank]
    room = [
        plan.max_train if own.fraction < 1 else 0,
        plan.max_validation if own.fraction > 0 else 0,
    ]
    results: list[dict[str, Any]] = []  # of the first buckets, without a gap
    waiting: dict[int, Future[dict[str, Any]]] = {}
    following = 0
    while any(left > 0 for left in room) and len(results) < own.buckets:
        while following < own.buckets and len(waiting) < pool.workers + 1:
            wanted = [left > 0 for left in room]
            task = {"stage": "encode", "rank": rank, "bucket": following, "wanted": wanted}
            waiting[following] = pool.submit(task)
            following += 1
        wait(waiting.values(), return_when=FIRST_COMPLETED)
        while len(results) in waiting and waiting[len(results)].done():
            results.append(waiting.pop(len(results)).result())
            room = [left - results[-1]["heads"][side] for side, left in enumerate(room)]
            if not any(left > 0 for left in room):
                break
    return results
