"""Where a store is, and whether it can be used: found out before any training."""

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from mixopt.errors import StoreError

_SQLITE = "sqlite:///"
_MIN_FREE_BYTES = 50_000_000


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite URI; None for a server.

    Raises:
        StoreError: a kind of store that MLflow refuses.
    """
    if uri.startswith(_SQLITE):
        return Path(uri.removeprefix(_SQLITE)).resolve()
    if "://" not in uri or uri.startswith("file:"):
        raise StoreError(
            f"{uri!r} is a folder store, which MLflow no longer takes; write sqlite:///<file>, or "
            "the address of a server"
        )
    return None


def check_folder(database: Path, *, read_only: bool) -> None:
    """See that a database file can be read, or made and written.

    Raises:
        StoreError: it is not there, cannot be written, or the disk is full.
    """
    folder = database.parent
    if read_only:
        if not database.is_file():
            raise StoreError(f"{database}: no store here; 'mixopt run' makes it")
        return
    probe = folder / f".mixopt-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror}; free some space, or choose a folder "
            "that can be written"
        ) from error
    if free < _MIN_FREE_BYTES:
        raise StoreError(
            f"only {free / 1e6:.0f} MB are free at {folder}, and a sweep needs "
            f"{_MIN_FREE_BYTES / 1e6:.0f} MB; free some space, or choose another folder"
        )


def check_server(uri: str) -> None:
    """Find a wrong address at once: MLflow itself tries for minutes.

    Raises:
        StoreError: nobody answers.
    """
    if not uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=10).close()
    except urllib.error.HTTPError:
        return  # somebody answers; whether we may write shows later
    except OSError as error:
        raise StoreError(
            f"no MLflow server answers at {uri}: {error}; start it ('mlflow server') or correct "
            "the address"
        ) from error
