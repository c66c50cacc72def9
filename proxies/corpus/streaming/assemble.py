"""Last stage: the buckets' tokens joined into one shard per side, cut at the cap."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxies.corpus.scored import Scored
from proxies.corpus.streaming.encode import FOLDER, SIDES, TRAIN, load_pieces, load_scores
from proxies.corpus.streaming.plan import Plan

COPIED = 8 * 2**20

# where pieces are taken from: bucket, bytes to skip, bytes to take
_Cut = tuple[int, int, int]


def write_shard(
    plan: Plan, at: tuple[int, int], buckets: Sequence[int], path: Path, dtype: np.dtype[Any]
) -> dict[str, Any]:
    """Write one side of a set: heads of documents in order, then their rests, up to the cap.

    Args:
        plan: of the corpus.
        at: rank and side.
        buckets: that are tokenised.
        path: of the shard.
        dtype: of its tokens.

    Returns:
        The shard's entry in the manifest.
    """
    rank, side = at
    cap = plan.max_validation if side else plan.max_train
    cuts: list[_Cut] = []
    entry: dict[str, Any] = {"file": path.name, "documents": 0, "bytes": 0, "tokens": 0}
    for section in (side, SIDES + side):
        for bucket in buckets:
            cut = _take(load_pieces(plan, rank, bucket), section, cap - entry["bytes"], entry)
            start, stop = (n * dtype.itemsize for n in cut)
            if stop > start:
                cuts.append((bucket, start, stop - start))
    hashed = hashlib.sha256()
    with path.open("wb") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (entry["tokens"],)}
        np.lib.format.write_array_header_1_0(file, header)
        for data in _read(plan, rank, cuts):
            hashed.update(data)
            file.write(data)
    return entry | {"sha256": hashed.hexdigest()}


def scores_of_shard(plan: Plan, rank: int, buckets: Sequence[int]) -> Scored:
    """Tokens and scores of the documents of a domain's training shard, in its order."""
    entry: dict[str, Any] = {"documents": 0, "bytes": 0, "tokens": 0}
    sizes, scores = [], []
    for section in (TRAIN, SIDES + TRAIN):
        for bucket in buckets:
            before = entry["documents"]
            pieces = load_pieces(plan, rank, bucket)
            _take(pieces, section, plan.max_train - entry["bytes"], entry)
            rows = np.flatnonzero(pieces["section"] == section)[: entry["documents"] - before]
            sizes.append(pieces["tokens"][rows].astype(np.int64))
            scores.append(load_scores(plan, rank, bucket)[rows])
    return Scored(np.concatenate(sizes), np.concatenate(scores))


def _take(pieces: NDArray[Any], section: int, room: int, entry: dict[str, Any]) -> tuple[int, int]:
    """Count a section's pieces in while there is room; the last may exceed it.

    Returns:
        First token and end of the tokens that are taken, in the bucket's file.
    """
    before = int(pieces["tokens"][pieces["section"] < section].sum())
    own = pieces[pieces["section"] == section]
    ends = np.cumsum(own["bytes"], dtype=np.int64)
    taken = int(np.searchsorted(ends - own["bytes"], room, side="left")) if room > 0 else 0
    own = own[:taken]
    tokens = int(own["tokens"].sum())
    entry["documents"] += taken
    entry["bytes"] += int(own["bytes"].sum())
    entry["tokens"] += tokens
    return before, before + tokens


def _read(plan: Plan, rank: int, cuts: list[_Cut]) -> Iterator[bytes]:
    for bucket, skipped, size in cuts:
        with (plan.folder / FOLDER / f"{rank:04d}-{bucket:04d}.bin").open("rb") as file:
            file.seek(skipped)
            left = size
            while left:
                data = file.read(min(left, COPIED))
                left -= len(data)
                yield data
