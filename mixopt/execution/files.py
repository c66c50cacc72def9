"""Files that are there as a whole or not at all, and locks that a killed process gives back."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixopt.errors import TrainerError

_LOOK_SECONDS = 0.2


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no crash, ever meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class BusyError(TrainerError):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, patience: float, what: str) -> Iterator[int]:
    """Hold a lock on a file; the system gives it back when the process dies.

    Args:
        path: the file, made if it is not there.
        patience: seconds to wait for another holder.
        what: what the lock is for, in messages.

    Yields:
        The file descriptor; a child that inherits it holds the lock too.

    Raises:
        BusyError: another process holds it longer than that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + patience
        while not _take(handle):
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"another process is at {what} (it holds {path}); wait for it, or end it"
                )
            time.sleep(_LOOK_SECONDS)
        yield handle
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
