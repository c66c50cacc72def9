"""What lies in the cache beside prepared data, and whose it is: found out without any trainer.

What trainers keep for a while, they keep in folders of these names. A checkpoint is a safetensors
file whose metadata name the run that wrote it and the data that it was trained on.

    checkpoints/<any>/<any>.safetensors     see `RUN` and `DATA`
    commands/<run id>/                      what a command wrote, and its result
    experts/<any>/                          experts that were trained once, and are mixed or merged
    finetune/<first 16 of the data's hash>.safetensors
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

CHECKPOINTS, COMMANDS, EXPERTS, FINETUNE = "checkpoints", "commands", "experts", "finetune"
RUN, DATA = "mixopt.run", "mixopt.data"
"""Keys of a checkpoint's metadata."""

_MOST_HEADER = 100_000_000  # of a safetensors file, bytes


@dataclass(frozen=True)
class Kept:
    """A folder or file in the cache.

    Attributes:
        path: of it.
        kind: what it is, for people.
        bytes: that it takes.
        used: when it was last written, seconds since 1970.
        run: id of the run that wrote it; empty where nobody says.
        data: hash of the data that it belongs to, or its beginning; empty where nobody says.
    """

    path: Path
    kind: str
    bytes: int = 0
    used: float = 0.0
    run: str = ""
    data: str = ""


def kept(cache: Path) -> list[Kept]:
    """All that lies in the cache; links are passed over, whatever they lead to.

    Raises:
        OSError: it cannot be read.
    """
    return [_measured(thing) for thing in _things(cache) if not thing.path.is_symlink()]


def _things(cache: Path) -> Iterator[Kept]:
    if not cache.is_dir():
        return
    for entry in sorted(cache.iterdir()):
        if entry.name.startswith(".") or entry.is_symlink():
            continue  # being built, a lock, or somebody else's place
        if entry.name == CHECKPOINTS:
            yield from (_of_checkpoints(folder) for folder in sorted(entry.iterdir()))
        elif entry.name == COMMANDS:
            for folder in sorted(entry.iterdir()):
                yield Kept(folder, "output of a command", run=folder.name)
        elif entry.name == EXPERTS:
            yield from (Kept(folder, "experts") for folder in sorted(entry.iterdir()))
        elif entry.name == FINETUNE:
            for file in sorted(entry.glob("*.safetensors")):
                yield Kept(file, "prepared data", data=file.stem)
        else:
            yield Kept(entry, "prepared data")


def _of_checkpoints(folder: Path) -> Kept:
    """The checkpoints of a run, or of several that share their beginning."""
    thing = Kept(folder, "checkpoints")
    for file in sorted(folder.glob("*.safetensors"), reverse=True):
        facts = _metadata(file)
        if facts.get(RUN):
            return replace(thing, run=facts[RUN], data=facts.get(DATA, ""))
    return thing


def _metadata(file: Path) -> dict[str, str]:
    """What a safetensors file says of itself; empty where it cannot be read."""
    try:
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(size)) if 0 < size < _MOST_HEADER else {}
        facts = header.get("__metadata__", {})
        return {key: value for key, value in facts.items() if isinstance(value, str)}
    except (OSError, ValueError, AttributeError):
        return {}


def _measured(thing: Kept) -> Kept:
    files = [thing.path] if thing.path.is_file() else [p for p in thing.path.rglob("*")]
    size, used = 0, 0.0
    for file in files:
        try:
            facts = file.lstat()
        except FileNotFoundError:  # a run that is under way replaces its checkpoints
            continue
        size += facts.st_size if file.is_file() and not file.is_symlink() else 0
        used = max(used, facts.st_mtime)
    return replace(thing, bytes=size, used=used or _changed(thing.path))


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
