"""What of a sweep's checkpoints and prepared data can be deleted, and why the rest cannot."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.app.running.launch import open_sweep
from mixopt.app.running.preparation import cache_of
from mixopt.app.running.studies import named, studies
from mixopt.app.spec.values import Spec
from mixopt.app.state.state import FINISHED, RUNNING, state_of
from mixopt.errors import MixoptError, StoreError
from mixopt.execution.keeping import Kept, kept

_DAY = 86_400.0


@dataclass(frozen=True)
class Wanted:
    """What is to be deleted.

    Attributes:
        data: prepared data too.
        everything: also what the sweep would need to go on.
        days: only what was not written for so many days; None: as the spec keeps checkpoints.
    """

    data: bool = False
    everything: bool = False
    days: float | None = None


@dataclass(frozen=True)
class Leftover:
    """A folder or file of a sweep, and why it stays; empty where it can go."""

    kept: Kept
    why: str


@dataclass(frozen=True)
class Cleaning:
    """What can go, and what stays.

    Attributes:
        name: of the sweep. cache: where it all lies.
        leftovers: of the sweep.
        unknown: bytes of things in the cache of which nothing says whose they are.
    """

    name: str
    cache: Path
    leftovers: tuple[Leftover, ...]
    unknown: int

    @property
    def free(self) -> tuple[Kept, ...]:
        """What can go."""
        return tuple(item.kept for item in self.leftovers if not item.why)

    def to_dict(self, *, deleted: bool) -> dict[str, Any]:
        """Plain JSON values for programs."""
        return {
            "name": self.name,
            "cache": str(self.cache),
            "bytes": sum(thing.bytes for thing in self.free),
            "deleted": deleted,
            "unknown_bytes": self.unknown,
            "items": [
                {
                    "path": str(item.kept.path),
                    "kind": item.kept.kind,
                    "bytes": item.kept.bytes,
                    "used": item.kept.used,
                    "stays": item.why,
                }
                for item in self.leftovers
            ],
        }


@dataclass(frozen=True)
class _User:
    """A sweep that shares the cache: what it may need."""

    name: str
    runs: frozenset[str]
    data: str
    entries: frozenset[str]  # of the cache, that its trainer named
    state: str

    @property
    def goes_on(self) -> bool:
        return self.state != FINISHED

    def has(self, thing: Kept) -> bool:
        """Whether it is this sweep's: by its run, else by its data."""
        return thing.run in self.runs if thing.run else self.prepared(thing)

    def prepared(self, thing: Kept) -> bool:
        """Whether it belongs to the data of this sweep."""
        by_name = thing.path.name in self.entries and thing.kind == "prepared data"
        return by_name or bool(thing.data and self.data.startswith(thing.data))


def plan(study: Path, wanted: Wanted, now: float) -> Cleaning:
    """What of a sweep can be deleted; nothing is.

    Args:
        study: folder, name or spec of the sweep.
        wanted: what is to be deleted.
        now: seconds since 1970.

    Raises:
        StoreError: a driver is at work on it, or the cache cannot be read.
    """
    meant = named(study)
    me, spec = _user(study, now)
    if me.state == RUNNING:
        raise StoreError(
            f"sweep {me.name!r} is running, and may need all that it keeps; stop it first "
            f"('mixopt status {me.name}' says where it runs)"
        )
    cache = cache_of(spec)
    others, unread = _others(meant.folder, cache, now)
    try:
        things = kept(cache)
    except OSError as error:
        raise StoreError(f"cannot read {cache}: {error.strerror}; ask its owner") from error
    leftovers = [
        Leftover(thing, _why(thing, me, others, unread, wanted) or _young(thing, spec, wanted, now))
        for thing in things
        if me.has(thing)
    ]
    known = {item.kept.path for item in leftovers}
    strange = [
        t for t in things if t.path not in known and not any(other.has(t) for other in others)
    ]
    return Cleaning(me.name, cache, tuple(leftovers), sum(t.bytes for t in strange))


def delete(cleaning: Cleaning) -> None:
    """Delete what can go.

    Raises:
        StoreError: something cannot be deleted; what was deleted before is gone.
    """
    for thing in cleaning.free:
        if not thing.path.is_relative_to(cleaning.cache) or thing.path.is_symlink():
            continue
        try:
            if thing.path.is_dir():
                shutil.rmtree(thing.path)
            else:
                thing.path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(
                f"cannot delete {thing.path}: {error.strerror}; ask its owner"
            ) from error


def _why(
    thing: Kept, me: _User, others: Sequence[_User], unread: Sequence[str], wanted: Wanted
) -> str:
    """Who needs it; empty for nobody."""
    if me.goes_on and not wanted.everything:
        return f"the sweep is {me.state} and would go on with it (--all)"
    is_data = thing.kind == "prepared data"
    if is_data and not (wanted.data or wanted.everything):
        return "prepared data (--data)"
    uses = [o.name for o in others if o.prepared(thing) and (is_data or o.goes_on)]
    if uses:
        return f"sweep {', '.join(uses[:3])} may use it"
    if is_data and unread:
        return f"sweep {', '.join(unread[:3])} cannot be read, and may use it"
    return ""


def _young(thing: Kept, spec: Spec, wanted: Wanted, now: float) -> str:
    """Why it is too young to go, by what is wanted or by the retention of the spec."""
    days, by = wanted.days, "--older-than"
    keep = spec.execution.keep_checkpoints
    if days is None and thing.kind != "prepared data" and not wanted.everything:
        if keep == "always":
            return "execution.keep_checkpoints is always (--all)"
        days, by = (keep, "execution.keep_checkpoints") if isinstance(keep, float) else (None, "")
    if days is None or now - thing.used >= days * _DAY:
        return ""
    return f"written {max(now - thing.used, 0.0) / _DAY:.1f} days ago ({by} {days:g})"


def _user(path: Path, now: float) -> tuple[_User, Spec]:
    with open_sweep(path) as sweep:
        store, info = sweep.store, sweep.info
        ids = {o.run_id for o in store.observations()} | {s.run_id for s in store.pending()}
        entries = {value for value in info.notes.values() if isinstance(value, str)}
        stands = state_of(sweep, now)
        state = stands.state if stands.ended else RUNNING  # also while its promotion is trained
        user = _User(sweep.spec.name, frozenset(ids), info.data, frozenset(entries), state)
        return user, sweep.spec


def _others(mine: Path, cache: Path, now: float) -> tuple[list[_User], list[str]]:
    """The other sweeps of this folder that share the cache; names of those that cannot be read."""
    others, unread = [], []
    for folder in studies():
        if folder.resolve() == mine.resolve():
            continue
        try:
            user, spec = _user(folder, now)
        except MixoptError:
            unread.append(folder.name)
            continue
        if cache_of(spec) == cache:
            others.append(user)
    return others, unread
