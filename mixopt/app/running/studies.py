"""Which sweep is meant: by its folder, its spec or its name; and which there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mixopt.app.running.durable import RUNS
from mixopt.app.running.record import SPEC_FILE
from mixopt.app.spec.spec_file import read_spec
from mixopt.errors import StoreError, did_you_mean, shorten


@dataclass(frozen=True)
class Named:
    """A sweep as somebody named it.

    Attributes:
        folder: of the sweep.
        spec: the file by which it was named; None where that was the folder or the name.
    """

    folder: Path
    spec: Path | None = None


def named(given: Path) -> Named:
    """The sweep that is meant; whether it is there shows when it is read.

    Args:
        given: its folder, its spec.yaml or the folder of that, or its name (below `runs`).

    Raises:
        SpecError: the spec cannot be read.
        StoreError: there is no such sweep; the message lists those that are there.
    """
    try:
        if given.suffix in {".yaml", ".yml"} or (given / "spec.yaml").is_file():
            return Named(RUNS / read_spec(given).name, given)
        for folder in (given, RUNS / given):
            if (folder / SPEC_FILE).is_file():
                return Named(folder)
    except OSError as error:
        raise StoreError(
            f"cannot read {error.filename}: {error.strerror}; ask its owner for the right to read "
            "it"
        ) from error
    raise StoreError(_unknown(given))


def studies(root: Path = RUNS) -> list[Path]:
    """The folders of the sweeps in a folder, by name; of the usual one, none if it is not there.

    Raises:
        StoreError: the folder cannot be read.
    """
    if not root.is_dir() and root != RUNS:
        raise StoreError(f"{root}: no such folder; give the one that holds the sweeps")
    try:
        return sorted(folder for folder in root.iterdir() if _may_hold(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"cannot read {root}: {error.strerror}; give another folder") from error


def _may_hold(folder: Path) -> bool:
    """Whether a sweep is in a folder; one that may not be looked at may hold one."""
    try:
        return (folder / SPEC_FILE).is_file()
    except PermissionError:
        return True


def latest(root: Path = RUNS) -> Path:
    """The sweep that was written to last.

    Raises:
        StoreError: there is none.
    """
    folders = studies(root)
    if not folders:
        raise StoreError(
            f"no sweep in {root.resolve()}; 'mixopt run <spec.yaml>' starts one, or give the "
            "folder of one"
        )
    return max(folders, key=_changed)


def _changed(folder: Path) -> float:
    """When a sweep was last written to, as far as its folder shows."""
    try:
        return max((p.stat().st_mtime for p in folder.iterdir() if p.is_file()), default=0.0)
    except OSError:  # somebody else's
        return 0.0


def _unknown(given: Path) -> str:
    name = shorten(str(given), 120)
    names: Sequence[str] = [folder.name for folder in studies()]
    if not names:
        where = f"and there are none in {RUNS.resolve()}"
        return f"{name}: no sweep here, {where}; give the folder that 'mixopt run' wrote"
    return f"{name}: no sweep here; in {RUNS}, {did_you_mean(given.name, names)}"
