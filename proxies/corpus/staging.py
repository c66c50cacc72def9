"""Where a corpus is built: one process at a time, nothing half-made left behind."""

import errno
import logging
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixopt.errors import InputError, TrainerError
from mixopt.execution.file_locks import hold

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
        lock = _lock(cache / f".lock-{key}")
    except OSError as error:
        raise _refusal(error, cache) from error
    try:
        place = cache / f".building-{key}{'-' + uuid.uuid4().hex if lock is None else ''}"
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
        if lock is not None:
            os.close(lock)  # gives the lock back


def _lock(path: Path) -> int | None:
    """Wait for the lock; None where there are none."""

    def waiting() -> None:
        logger.warning("another process is preparing this data in %s; waiting for it", path.parent)

    try:
        return hold(path, math.inf, waiting)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise


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
