"""One driver per sweep: locks that a killed driver does not leave behind.

A store in a file is locked by the system (`FileLock`). On a server there is no such lock, so a
driver keeps a lease there and renews it (`Lease`).
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mixopt.errors import MixoptError, StoreError
from mixopt.execution.file_locks import hold
from mixopt.execution.processes import birth, place

_log = logging.getLogger(__name__)
RENEW_SECONDS = 20.0
UNSURE_SECONDS = 40.0  # without a renewal, after which a driver looks before it writes
STALE_SECONDS = 90.0
WATCH_SECONDS = 30.0  # longer than a renewal takes to show
SETTLE_SECONDS = 1.0  # in which two drivers that start at once see each other
_WHY = "two drivers would train the same runs twice"


class FileLock:
    """A lock on a file, given back by the system when the process ends, `kill -9` included.

    Raises:
        StoreError: another driver holds it, or the file cannot be written.
    """

    def __init__(self, path: Path, what: str) -> None:
        try:
            self._file = hold(path)
        except OSError as error:
            raise StoreError(
                f"cannot lock {path}: {error.strerror}; choose a folder that can be written, on a "
                "file system with locks"
            ) from error
        if self._file is None:
            holder = path.read_text(encoding="utf-8", errors="replace")[:200] or "another process"
            raise StoreError(
                f"{what} is being run by {holder}; wait for it or stop it first ({_WHY})"
            )
        os.ftruncate(self._file, 0)
        me = f"process {os.getpid()} on {socket.gethostname()}"
        os.write(self._file, f"{me} since {time.strftime('%H:%M:%S')}".encode())

    def check(self) -> None:
        """Nobody can take this lock over."""

    def release(self) -> None:
        """Let others in; may be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Lease:
    """A note in the store that says who drives the sweep, renewed every 20 s by a thread.

    A note is stale when its process was on this machine and is gone. Another machine's clock may be
    wrong: a note that looks older than 90 s, or comes from the future, is watched for 30 s, and is
    stale if nobody renews it meanwhile. A driver that could not renew its note for a while, since
    its machine slept or the store was away, looks whether it is still there before it writes.

    Args:
        read: gives the note, `""` if there is none.
        write: puts a note.
        what: the sweep, for messages.

    Raises:
        StoreError: another driver holds it.
    """

    def __init__(self, read: Callable[[], str], write: Callable[[str], None], what: str) -> None:
        self._read, self._write, self._what = read, write, what
        self._key = secrets.token_hex(8)
        self._lost = False
        self._ended = threading.Event()
        self._signed = 0.0
        note = self._note()
        if note and not self._is_stale(note):
            raise self._busy(note)
        self._sign()
        self._settle()
        self._thread = threading.Thread(target=self._renew, name="mixopt-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """See that nobody took the sweep over.

        Raises:
            StoreError: somebody did.
        """
        if not self._lost and abs(time.time() - self._signed) > UNSURE_SECONDS:
            self._renew_once()
        if self._lost:
            raise StoreError(
                f"{self._what} was taken over by another driver, since this one was not seen for "
                f"{STALE_SECONDS:.0f} s; this one stops ({_WHY})"
            )

    def release(self) -> None:
        """Let others in; may be called twice."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        try:
            if self._is_mine():
                self._write("")
        except MixoptError as error:  # it goes stale by itself
            _log.debug("the lease could not be given back: %s", error)

    def _settle(self) -> None:
        """See whether another driver, that had not seen this one's note either, signed after it."""
        self._ended.wait(SETTLE_SECONDS)
        try:
            note = self._note()
        except MixoptError:  # away just now: it is looked at before anything is written
            self._signed = 0.0
            return
        if note.get("key") != self._key:
            raise self._busy(note)

    def _renew(self) -> None:
        while not self._lost and not self._ended.wait(RENEW_SECONDS):
            try:
                self._renew_once()
            except MixoptError as error:  # a short outage; the next renewal may succeed
                _log.debug("the lease could not be renewed: %s", error)

    def _renew_once(self) -> None:
        if self._is_mine():
            self._sign()
        else:
            self._lost = True

    def _sign(self) -> None:
        mine = {"key": self._key, "host": socket.gethostname(), "pid": os.getpid()}
        where = {"place": place(), "birth": birth(os.getpid())}
        now = time.time()
        self._write(json.dumps({**mine, **where, "time": now}))
        self._signed = now

    def _is_mine(self) -> bool:
        return bool(self._note().get("key") == self._key)

    def _is_stale(self, note: dict[str, Any]) -> bool:
        if note["place"] == place():
            return bool(birth(int(note["pid"])) != note["birth"])
        if 0.0 <= time.time() - float(note["time"]) <= STALE_SECONDS:
            return False
        _log.warning(
            "%s was driven from %s; it is watched for %.0f s, since clocks may differ",
            self._what,
            note["host"],
            WATCH_SECONDS,
        )
        self._ended.wait(WATCH_SECONDS)
        return self._note() == note

    def _busy(self, note: dict[str, Any]) -> StoreError:
        who = f"process {note['pid']} on {note['host']}" if note else "another driver"
        return StoreError(
            f"{self._what} is being run by {who}; stop it first ({_WHY}). If it is gone already, "
            f"try again in {STALE_SECONDS:.0f} s"
        )

    def _note(self) -> dict[str, Any]:
        note: dict[str, Any] = json.loads(self._read() or "{}")
        return note
