"""Second stage: which documents and paragraphs were met before, one bucket of keys at a time.

The first of equal pieces stays, in the order of (rank of the set, digest of the document, place in
it): what a set-based deduplicator finds that reads set after set by digest. Keys have 64 bits: of
10^9 paragraphs, one or none is lost to chance.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.runs.files import write_atomically
from proxies.corpus.streaming.extract import OWNERS, segment_path
from proxies.corpus.streaming.plan import Plan

FOLDER = "duplicates"


def bucket_range(buckets: int, bucket: int) -> tuple[int, int]:
    """The lowest and the highest 64-bit number of a bucket.

    >>> bucket_range(2, 0) == (0, 2**63 - 1)
    True
    """
    width = 2**64 // buckets
    return bucket * width, (bucket + 1) * width - 1


def slice_of(sorted_numbers: NDArray[Any], buckets: int, bucket: int) -> slice:
    """Where the numbers of a bucket lie in a sorted array."""
    low, high = bucket_range(buckets, bucket)
    return slice(
        int(np.searchsorted(sorted_numbers, np.uint64(low), side="left")),
        int(np.searchsorted(sorted_numbers, np.uint64(high), side="right")),
    )


def settle(plan: Plan, segments: list[tuple[int, int]], bucket: int) -> dict[str, Any]:
    """Find the duplicates among the keys of one bucket; write them per set.

    Args:
        plan: of the corpus.
        segments: (part, number) of all of them.
        bucket: of keys.

    Returns:
        `starts`: where each rank's duplicates begin in the file, and their end.
    """
    folder = plan.folder / FOLDER
    marker = folder / f"{bucket:04d}.json"
    if marker.exists():
        return dict(json.loads(marker.read_text(encoding="utf-8")))
    keys, owners = [np.zeros(0, "<u8")], [np.zeros(0, OWNERS)]
    for part, number in segments:
        table = _load(segment_path(plan, part, number, "-keys.npy"))
        in_bucket = slice_of(table, plan.key_buckets, bucket)
        keys.append(np.array(table[in_bucket]))
        owners.append(np.array(_load(segment_path(plan, part, number, "-owners.npy"))[in_bucket]))
    repeated = _repeated(np.concatenate(keys), np.concatenate(owners))
    order = np.lexsort((repeated["index"], repeated["digest"], repeated["rank"]))
    repeated = repeated[order]
    starts = np.searchsorted(repeated["rank"], np.arange(len(plan.sets) + 1))
    for name in ("digest", "index"):
        np.save(folder / f"{bucket:04d}-{name}.npy", repeated[name], allow_pickle=False)
    done = {"starts": starts.tolist()}
    write_atomically(marker, json.dumps(done).encode())
    return done


def _repeated(keys: NDArray[Any], owners: NDArray[Any]) -> NDArray[Any]:
    """The owners of all but the first of equal keys; an owner that is there twice is one."""
    order = np.lexsort((owners["index"], owners["digest"], owners["rank"], keys))
    keys, owners = keys[order], owners[order]
    if not len(keys):
        return owners
    new = np.ones(len(keys), dtype=bool)
    new[1:] = keys[1:] != keys[:-1]
    first = owners[np.flatnonzero(new)[np.cumsum(new) - 1]]
    repeated: NDArray[Any] = owners[owners != first]
    return repeated


def drops_of(plan: Plan, rank: int, bucket: int) -> dict[int, set[int]]:
    """What is dropped from one bucket of one set: digest to places, 0 for the whole document."""
    dropped: dict[int, set[int]] = {}
    for marker in sorted((plan.folder / FOLDER).glob("*.json")):
        starts = json.loads(marker.read_text(encoding="utf-8"))["starts"]
        own = slice(starts[rank], starts[rank + 1])
        stem = str(marker.with_suffix(""))
        digests = _load(f"{stem}-digest.npy")[own]
        in_bucket = slice_of(digests, plan.sets[rank].buckets, bucket)
        places = _load(f"{stem}-index.npy")[own][in_bucket]
        for digest, index in zip(digests[in_bucket].tolist(), places.tolist(), strict=True):
            dropped.setdefault(digest, set()).add(index)
    return dropped


def _load(path: str) -> NDArray[Any]:
    table: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return table
