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

from mixopt.runs.files import write_atomically
from proxies.corpus.config import CorpusConfig, load_named_tokenizer
from proxies.corpus.counts import Counts
from proxies.corpus.documents import FEW_DOCUMENTS, LONG_DOCUMENT, chunks, fraction_of
from proxies.corpus.encoder import Encoder
from proxies.corpus.shards import (
    Files,
    Notes,
    Shards,
    builtin_sources,
    describe,
    no_text,
    warn_missing,
)
from proxies.corpus.sources import Source
from proxies.corpus.streaming import duplicates, encode, extract
from proxies.corpus.streaming.assemble import scores_of_shard, write_shard
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
        kept: documents that were written to segments.
        text_bytes: of those that differ within a segment.
        files: what was read of the users' files.
    """

    rank: int
    kept: int = 0
    text_bytes: int = 0
    files: Files = field(default_factory=Files)


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
            given = config.training_sources().get(plan.sets[rank].name, ())
            _write(plan, sets[rank], given, results, shards, out)
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
    sets = {
        rank: _Set(rank, files=Files(skipped=own.skipped)) for rank, own in enumerate(plan.sets)
    }
    for part, done in zip(plan.parts, _all(pool, tasks), strict=True):
        own = sets[part.rank]
        own.kept += done["kept"]
        own.text_bytes += done["text_bytes"]
        own.files.counts.add(Counts.from_dict(done["counts"]))
        own.files.size += done["bytes"]
        own.files.content = (own.files.content + int(done["content"], 16)) % 2**256
        # a file in parts is one, counted with the first of them
        own.files.number += len(part.files) if not part.span or part.span[0] == 0 else 0
    return sets


def _describe(plan: Plan, config: CorpusConfig, sets: dict[int, _Set], notes: Notes) -> list[int]:
    """Note where the text is from; return the ranks of the sets that have any."""
    sources = {"train": config.training_sources(), "validation": config.validation_sources()}
    left_out: set[str] = set()
    for rank, extracted in sets.items():
        own = plan.sets[rank]
        given = sources[own.kind][own.name]
        warn_missing(notes, own.name, given)
        installed = (source for source in builtin_sources(given) if source.files())
        notes.sources[f"{own.kind}/{own.name}"] = [source.record() for source in installed]
        describe(notes, own.kind, own.name, given, extracted.files)
        if not extracted.kept and all(source.builtin for source in given):
            notes.warn(f"{own.name} is left out: none of its sources is installed")
            left_out.add(own.name)
    return [rank for rank in sets if plan.sets[rank].name not in left_out]


def _has_few(plan: Plan, segments: Sequence[tuple[int, int]], rank: int, kept: int) -> bool:
    if kept < FEW_DOCUMENTS:
        return True
    return len(list(islice(_documents(plan, segments, rank), FEW_DOCUMENTS))) < FEW_DOCUMENTS


def _documents(plan: Plan, segments: Sequence[tuple[int, int]], rank: int) -> Iterator[str]:
    for bucket in range(plan.sets[rank].buckets):
        yield from (text for text, _ in bucket_documents(plan, segments, rank, bucket, Seen()))


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
    plan: Plan,
    extracted: _Set,
    given: Sequence[Source],
    results: list[dict[str, Any]],
    shards: Shards,
    out: Path,
) -> None:
    """Write the shards of a tokenised set, and describe them."""
    own = plan.sets[extracted.rank]
    buckets = range(len(results))
    if own.fraction > 0:
        at = (extracted.rank, VALIDATION)
        path = shards.path(out, "validation")
        shards.validation[own.name] = write_shard(plan, at, buckets, path, shards.encoder.dtype)
    if own.fraction >= 1:
        return
    path = shards.path(out, "train")
    entry = write_shard(plan, (extracted.rank, TRAIN), buckets, path, shards.encoder.dtype)
    if not entry["tokens"]:
        raise no_text(own.name, given)
    # what was read of the domain stands for the rest of it
    read, kept = (sum(r[key] for r in results) for key in ("read", "kept"))
    whole = len(results) == own.buckets or "few" in results[0]
    available = kept if whole else round(extracted.text_bytes * kept / max(1, read))
    shards.train[own.name] = entry | {"available_bytes": available}
    if plan.scores:
        shards.scored[own.name] = scores_of_shard(plan, extracted.rank, buckets)


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
