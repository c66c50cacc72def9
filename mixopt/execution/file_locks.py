"""Locks that a killed process gives back.

The locks are ours and not those of the package filelock, since a child process has to inherit the
descriptor that holds one (the guard of a command whose driver was killed), and filelock hides it.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mixopt.errors import TrainerError

_LOOK_SECONDS = 0.2


class BusyError(TrainerError):
    """Another process holds the lock."""


def hold(
    path: Path, patience: float = 0.0, waiting: Callable[[], None] = lambda: None
) -> int | None:
    """The descriptor that holds a lock on a file, until it is closed or the process dies.

    A child that inherits the descriptor holds the lock too.

    Args:
        path: the file, made if it is not there.
        patience: seconds to wait for another holder; may be infinite.
        waiting: called once if there is one.

    Returns:
        None where another process holds the lock for longer than that.

    Raises:
        OSError: the file cannot be written, or its file system has no locks.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline, told, held = time.monotonic() + patience, False, False
    try:
        while not (held := _take(handle)) and time.monotonic() < deadline:
            if not told:
                waiting()
            told = True
            time.sleep(_LOOK_SECONDS)
    finally:
        if not held:
            os.close(handle)
    return handle if held else None


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
    handle = hold(path, patience)
    if handle is None:
        raise BusyError(f"another process is at {what} (it holds {path}); wait for it, or end it")
    try:
        yield handle
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
