"""Where a corpus is built: one process at a time, nothing half-made left behind."""

import errno
import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixopt.errors import InputError, TrainerError

logger = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)


@contextmanager
def building_place(cache: Path, key: str) -> Iterator[Path]:
    """A folder to build a corpus in, this process's alone.

    A second process waits here until the first is done. If that one was killed, or stopped by hand,
    its folder is found as it was left, and the build goes on from there; after any error it is
    removed. Where the file system has no locks, every process gets a folder of its own.

    Args:
        cache: folder of corpora; created if absent.
        key: of the corpus.

    Raises:
        TrainerError: `cache` cannot be written, or its disk is full.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = os.open(cache / f".lock-{key}", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _refusal(error, cache) from error
    try:
        locked = _lock(lock, cache)
        place = cache / f".building-{key}{'' if locked else '-' + uuid.uuid4().hex}"
        try:
            place.mkdir(exist_ok=True)
            yield place
        except OSError as error:
            shutil.rmtree(place, ignore_errors=True)
            if error.errno in (*_FULL, errno.EACCES, errno.EROFS):
                raise _refusal(error, cache) from error
            raise
        except InputError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(lock)  # gives the lock back


def _lock(file: int, cache: Path) -> bool:
    """Wait for the lock; False where there are none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.warning("another process is preparing this data in %s; waiting for it", cache)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def _refusal(error: OSError, cache: Path) -> TrainerError:
    if error.errno in _FULL:
        return TrainerError(
            f"no space is left on the disk of {cache} to prepare the data ({error.strerror}); what "
            "was begun is removed. Free space (about twice the size of the text that the caps "
            "allow), or name another disk as `execution.cache`"
        )
    return TrainerError(
        f"{cache} cannot be written ({error}); give a folder that can be as `execution.cache`"
    )
