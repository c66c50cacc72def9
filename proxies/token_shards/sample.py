"""Which documents a proxy reads: by a hash of their place, so that all shards are drawn from.

Notation:
    key of a unit: 64 bits that depend on its shard's label and its number alone
    held out: whether a second hash of it is below the fraction of the validation set

Units are taken by ascending key until there are tokens enough: a larger sample contains a smaller
one, in the same order, and its beginning is a random sample of the domain. Only units whose key is
below a threshold are read, which is set by the tokens that are wanted: of ten million documents a
few thousand.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from proxies.token_shards.ports import Ids, TokenShard

_PIECE = 2**20  # units whose keys are held at once
_SPARE = 1.3
"""Tokens that are looked for, over those that are wanted: lengths differ."""
_WHOLE = 4.0
"""The same for shards that are read as a whole, which are drawn themselves."""
_TRIED = 200_000
"""In so many tokens a document ends."""
_HELD_OUT = np.uint64(0x9E6C63D0876A9A47)

Keys = NDArray[np.uint64]


@dataclass
class Sample:
    """What was drawn of a domain.

    Attributes:
        train: documents without their ends, in the order of their keys.
        validation: those that are held out.
        tokens: of all of the domain.
        exact: whether that is a count.
        widest: the largest id.
    """

    train: list[Ids] = field(default_factory=list)
    validation: list[Ids] = field(default_factory=list)
    tokens: int = 0
    exact: bool = True

    @property
    def widest(self) -> int:
        """The largest id."""
        every = (*self.train, *self.validation)
        return max((int(ids.max()) for ids in every if len(ids)), default=0)


@dataclass(frozen=True)
class Wanted:
    """How much is to be drawn.

    Attributes:
        train: tokens to train on.
        validation: tokens to hold out.
        fraction: of the units that are held out; 0: none are, 1: all.
    """

    train: int
    validation: int
    fraction: float


def draw(
    name: str,
    shards: Sequence[TokenShard],
    wanted: Wanted,
    order: str = "hash",
    end: int | None = None,
) -> Sample:
    """Draw documents of a domain.

    Args:
        name: the domain, for messages.
        shards: all of it.
        wanted: how much.
        order: see `TokenSource`.
        end: the id that ends documents in shards of which nobody said it.

    Raises:
        InputError: there is nothing, the id that was said to end documents never comes, or a shard
            holds something else than its index says; the message names the domain.
    """
    try:
        return _drawn(shards, wanted, order, end)
    except InputError as error:
        raise InputError(f"domain {name!r}: {error}") from error


def _drawn(shards: Sequence[TokenShard], wanted: Wanted, order: str, end: int | None) -> Sample:
    sample = Sample(tokens=sum(s.tokens for s in shards), exact=all(s.exact for s in shards))
    if not sample.tokens:
        raise InputError("its shards hold no tokens; correct the path")
    looked_at = _thinned(shards, wanted, order)
    for part, tokens, share in (
        (sample.train, wanted.train, 1 - wanted.fraction),
        (sample.validation, wanted.validation, wanted.fraction),
    ):
        if share > 0:
            held = part is sample.validation
            _fill(part, _Units(looked_at, end), tokens, _Side(held, wanted.fraction, order))
    return sample


@dataclass(frozen=True)
class _Side:
    """Which units belong to a part, and in which order."""

    held_out: bool
    fraction: float
    order: str

    @property
    def share(self) -> float:
        return self.fraction if self.held_out else 1 - self.fraction

    def keys(self, shard: TokenShard, number: int, first: int, last: int) -> tuple[Keys, Keys]:
        """Units of this side among some of a shard, and what they are ordered by."""
        units = np.arange(first, last, dtype=np.uint64)
        salted = units + _label_key(shard.label)
        hashed = _mixed(salted)
        held = _mixed(salted ^ _HELD_OUT) < _bound(self.fraction)
        mine = np.flatnonzero(held == self.held_out)
        if self.order == "stored":
            return units[mine], units[mine] + (np.uint64(number) << np.uint64(40))
        return units[mine], hashed[mine]


def _fill(part: list[Ids], units: "_Units", tokens: int, side: _Side) -> None:
    """Read units of a side, by ascending key, until there are enough tokens."""
    sought = _SPARE * tokens
    while True:
        chosen, everything = _chosen(units.shards, sought, side)
        part[:] = _first(units.read(chosen), tokens)
        if everything or sum(map(len, part)) >= tokens:
            return
        sought *= 2


def _chosen(
    shards: Sequence[TokenShard], tokens: float, side: _Side
) -> tuple[NDArray[np.uint64], bool]:
    """(n, 3) key, shard and unit of about so many tokens, by ascending key; whether that is all."""
    total = sum(s.tokens for s in shards) * side.share
    share = tokens / max(1.0, total)
    rows: list[Keys] = []
    for number, shard in enumerate(shards):
        units = shard.units
        if side.order == "stored":  # the first ones, as far as they are expected to reach
            mean = shard.tokens * side.share / shard.units
            units = min(units, math.ceil(tokens / max(mean, 1e-9)))
        for first in range(0, units, _PIECE):
            mine, keys = side.keys(shard, number, first, min(units, first + _PIECE))
            if side.order == "hash" and share < 1:
                near = keys < _bound(share)
                mine, keys = mine[near], keys[near]
            which = np.full(len(mine), number, np.uint64)
            rows.append(np.stack([keys, which, mine], axis=1))
        if side.order == "stored":
            tokens -= shard.tokens * side.share
            if tokens <= 0:
                break
    every = np.concatenate(rows)
    return every[np.lexsort((every[:, 2], every[:, 1], every[:, 0]))], share >= 1


@dataclass(frozen=True)
class _Units:
    """The units of a domain, read as documents."""

    shards: Sequence[TokenShard]
    end: int | None

    def read(self, chosen: NDArray[np.uint64]) -> list[list[Ids]]:
        """The documents of each chosen unit; every shard is read from front to back.

        Raises:
            InputError: the id that was said to end documents is in none of a shard's units.
        """
        documents: list[list[Ids]] = [[] for _ in chosen]
        for number, shard in enumerate(self.shards):
            mine = np.flatnonzero(chosen[:, 1] == number)
            by_unit = mine[np.argsort(chosen[mine, 2], kind="stable")]
            units = chosen[by_unit, 2].astype(np.int64)
            read = shard.read(units) if len(units) else iter(())
            end = self.end if shard.end is None else shard.end
            ends = tokens = 0
            for at, ids in zip(by_unit.tolist(), read, strict=True):
                documents[at] = list(split(ids, end))
                ends, tokens = ends + int(np.count_nonzero(ids == end)), tokens + len(ids)
            tried = tokens >= _TRIED or len(units) == shard.units > 0
            if shard.end is not None and not ends and tried:
                raise InputError(
                    f"the id {end}, which is to end documents, is nowhere in {len(units)} parts of "
                    f"{shard.place}; correct `end` (or `dtype`)"
                )
        return documents


def _first(documents: Sequence[Sequence[Ids]], tokens: int) -> list[Ids]:
    kept: list[Ids] = []
    size = 0
    for document in (d for unit in documents for d in unit):
        if size >= tokens:
            break
        kept.append(document)
        size += len(document)
    return kept


def split(ids: Ids, end: int | None) -> Iterator[Ids]:
    """The documents of a unit, without their ends; empty ones are left out."""
    marks = np.flatnonzero(ids == end) if end is not None else np.zeros(0, np.int64)
    begin = 0
    for mark in [*marks.tolist(), len(ids)]:
        if mark > begin:
            yield np.array(ids[begin:mark])  # a copy: a view would hold the whole piece
        begin = mark + 1


def _thinned(shards: Sequence[TokenShard], wanted: Wanted, order: str) -> Sequence[TokenShard]:
    """Of shards that are read as a whole some, drawn by the hash of their labels."""
    if order == "stored" or not all(shard.whole for shard in shards):
        return shards
    fraction = wanted.fraction
    least = [
        wanted.train / (1 - fraction) if fraction < 1 else 0.0,
        wanted.validation / fraction if fraction > 0 else 0.0,
    ]
    left = _WHOLE * max(least)
    kept = []
    for shard in sorted(shards, key=lambda s: int(_mixed(_label_key(s.label)))):
        if left <= 0:
            break
        kept.append(shard)
        left -= shard.tokens
    return kept


def _label_key(label: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "little"))


def _mixed(values: NDArray[np.uint64] | np.uint64) -> Keys:
    """Mix 64 bits (the finaliser of splitmix64), so that neighbours have nothing in common."""
    with np.errstate(over="ignore"):
        z = np.asarray(values, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Keys = z ^ (z >> np.uint64(31))
    return mixed


def _bound(share: float) -> np.uint64:
    return np.uint64(min(2**64 - 1, int(share * 2.0**64)))
