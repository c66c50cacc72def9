"""What of a working folder goes along with a job: its files, counted, and what is left out, named.

The folder holds the spec and trainers of the user's own. Data, results and environments stay: they
are on the cluster's shared disk, or not at all.
"""

import fnmatch
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixopt.errors import InputError, shorten
from mixopt.runs import quantity

MOST_BYTES = 100_000_000
"""Of a package. It travels through the head's memory and is unpacked on every machine."""

_NOWHERE = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", ".tox", "node_modules", "__pycache__", ".cache"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", ".idea", ".vscode"}
)
_AT_THE_TOP = frozenset({"runs", "mlruns", "mlartifacts", "wandb", "data"})
_FILES = ("*.pyc", ".DS_Store", ".env", ".env.*", "*.egg-info", ".gitignore", ".rayignore")
_SHOWN = 5


@dataclass(frozen=True)
class Package:
    """The files of a working folder that a job gets.

    Attributes:
        root: the folder.
        files: relative paths, sorted.
        size: bytes of them.
        left_out: relative paths of files and whole folders that stay, sorted.
    """

    root: Path
    files: tuple[Path, ...]
    size: int
    left_out: tuple[Path, ...]

    def copy_to(self, folder: Path) -> None:
        """Copy the files, with their modes, below a folder."""
        for path in self.files:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.root / path, target)

    def has(self, path: Path) -> bool:
        """Whether a relative path, of a file or of a folder, is among the files."""
        return any(file == path or path in file.parents for file in self.files)

    @property
    def summary(self) -> str:
        """For people: how much goes, and what stays."""
        text = f"{len(self.files)} files, {quantity(self.size, 'B')}"
        if not self.left_out:
            return text
        names = ", ".join(str(p) for p in self.left_out[:_SHOWN])
        more = len(self.left_out) - _SHOWN
        return f"{text}; not taken along: {names}{f' and {more} more' if more > 0 else ''}"


def pack(folder: Path, exclude: Sequence[str] = (), most: int = MOST_BYTES) -> Package:
    """Choose the files of a working folder.

    Left out are version control, environments, caches and files of secrets (`.env`) anywhere;
    results and `data` at the top (a package of that name, with `__init__.py`, is code); links that
    lead out of the folder; and what `exclude` says.

    Args:
        folder: the working folder.
        exclude: more patterns: of a name anywhere (`"*.bin"`) or of a path (`"notebooks/*"`).
        most: bytes at most.

    Raises:
        InputError: no such folder, no files, or more bytes; the message names the largest.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise InputError(f"{folder} is no folder; give the one that holds the spec and trainers")
    files: dict[Path, int] = {}
    left_out: list[Path] = []
    for path, taken in _walk(root, root, tuple(exclude)):
        if taken:
            files[path] = (root / path).stat().st_size
        else:
            left_out.append(path)
    size = sum(files.values())
    made = Package(root, tuple(sorted(files)), size, tuple(sorted(left_out)))
    if size > most:
        largest = sorted(files, key=lambda p: -files[p])[:_SHOWN]
        named = ", ".join(f"{p} ({quantity(files[p], 'B')})" for p in largest)
        raise InputError(
            f"the working folder {root} has {quantity(size, 'B')} in {len(files)} files, and a job "
            f"takes {quantity(most, 'B')}; largest are {named}. Leave them out with --exclude "
            "PATTERN, or name a smaller folder with --working-dir; data belongs on a disk that the "
            "cluster shares"
        )
    return made


def left_behind(values: Any, package: Package, at: str) -> tuple[str, str] | None:
    """A setting that names a file or folder which is here and does not go along.

    Args:
        values: settings, nested.
        package: what goes along.
        at: their path in the spec.

    Returns:
        The path in the spec, and the value; None where there is none.
    """
    for where, text in _texts(values, at):
        path = Path(text)
        if "\0" in text or "\n" in text or len(text) > 1000 or not text.strip("./"):
            continue
        here = Path(os.path.normpath(path))
        if path.is_absolute() or here.parts[:1] == ("..",) or package.has(here):
            continue
        if (package.root / here).exists():
            return where, shorten(text)
    return None


def _texts(values: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(values, str):
        yield at, values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _texts(value, f"{at}.{key}")
    elif isinstance(values, list | tuple):
        for place, value in enumerate(values):
            yield from _texts(value, f"{at}.{place}")


def _walk(root: Path, folder: Path, exclude: tuple[str, ...]) -> Iterator[tuple[Path, bool]]:
    """Relative paths below a folder: files that go along, and what stays."""
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        absolute = Path(entry.path)
        path = absolute.relative_to(root)
        if _stays(absolute, path, exclude) or not absolute.resolve().is_relative_to(root):
            yield path, False
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(root, absolute, exclude)
        elif entry.is_file():
            yield path, True
        else:  # a link to a folder, a socket
            yield path, False


def _stays(absolute: Path, path: Path, exclude: tuple[str, ...]) -> bool:
    name, at_the_top = path.name, len(path.parts) == 1
    if name in _NOWHERE or any(fnmatch.fnmatch(name, pattern) for pattern in _FILES):
        return True
    if any(fnmatch.fnmatch(name, p) or fnmatch.fnmatch(str(path), p) for p in exclude):
        return True
    return at_the_top and name in _AT_THE_TOP and not (absolute / "__init__.py").is_file()
