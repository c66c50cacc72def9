"""A store that may be away for a while: what is to be written waits in memory, in order.

While the store is well, everything is written before the sweep goes on. While it is away, the sweep
goes on: runs are submitted, and what came of them waits. Once the store answers again, everything
is written in the order in which it happened. What waits is bounded, and lost if the driver is
killed: those runs are trained again.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixopt.errors import StoreAwayError, StoreError
from mixopt.execution.local import as_json
from mixopt.ports import Showcase, Store, TrainerInfo
from mixopt.runs import Attempt, Observation, RunSpec

_log = logging.getLogger(__name__)
PATIENCE_SECONDS = 1800.0
MOST = 2000  # writings that wait at most: a thousand runs, some MB
WAIT_SECONDS = 2.0  # for a writing to be done, before the sweep goes on with it under way
LAG = 32  # that wait at most while the store answers: a slow one slows the sweep down
_AGAIN_SECONDS = (1.0, 2.0, 5.0, 10.0)  # pauses between attempts; the last for good
_TELL_SECONDS = 60.0
_LEAVING_SECONDS = 60.0  # at the end, whatever the patience: Ctrl-C is to come to an end
Write = Callable[[], None]


class PatientStore:
    """Writes to a store from a thread of its own, again and again while it is away.

    Args:
        store: that is written to.
        patience: seconds that it may be away at a stretch.
        most: writings that wait at most; beyond them the sweep waits too.
        wait: seconds for one to be done by a store that answers, before the sweep goes on.
        pauses: seconds between attempts; the last one for good.

    Raises:
        StoreError: of every method: an earlier writing has failed, or the store was away for too
            long. Nothing is written after a writing that failed.
    """

    def __init__(
        self,
        store: Store,
        *,
        patience: float = PATIENCE_SECONDS,
        most: int = MOST,
        wait: float = WAIT_SECONDS,
        pauses: tuple[float, ...] = _AGAIN_SECONDS,
    ) -> None:
        self.inner = store
        self._patience, self._most, self._wait, self._pauses = patience, most, wait, pauses
        self._taken = self._done = 0  # writings that were ever given, and done
        self._writings: deque[Write] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._away_since: float | None = None
        self._leaving = self._released = False
        self._thread = threading.Thread(target=self._work, name="mixopt-store", daemon=True)
        self._thread.start()

    # -- the store ---------------------------------------------------------------------------------

    def open(self, spec: RunSpec) -> None:
        """Note that a run is about to be submitted."""
        self._write(lambda: self.inner.open(spec))

    def close(self, observation: Observation) -> None:
        """Note what came of a run."""
        self._write(lambda: self.inner.close(observation))

    def annotate(self, values: Mapping[str, Any]) -> None:
        """Keep facts of the sweep, by name; on return they are checked but may wait."""
        for name, value in values.items():
            as_json(name, value)
        kept = dict(values)
        self._write(lambda: self.inner.annotate(kept))

    def retry(self, run_id: str) -> None:
        """Have a failed run trained again; only once everything before it is written."""
        self._drain()
        self._check()
        self.inner.retry(run_id)

    def attempts(self) -> dict[str, tuple[Attempt, ...]]:
        """The failed attempts of runs that are to be trained again, by run id."""
        self._drain()
        return self.inner.attempts()

    def observations(self) -> list[Observation]:
        """All closed runs, in the order in which they were opened."""
        self._drain()
        return self.inner.observations()

    def pending(self) -> list[RunSpec]:
        """Runs that were opened and not closed, in the order in which they were opened."""
        self._drain()
        return self.inner.pending()

    def annotations(self) -> dict[str, Any]:
        """What was annotated, by name."""
        self._drain()
        return self.inner.annotations()

    def attach(self, path: Path) -> None:
        """Keep a copy of a file with the sweep."""
        self._write(lambda: self.inner.attach(path))
        self._drain()  # the file may be gone afterwards

    def introduce(
        self, info: TrainerInfo, trainer: str, value: Callable[[Mapping[str, float]], float] | None
    ) -> None:
        """See `Showcase`."""
        if isinstance(self.inner, Showcase):
            showcase = self.inner
            self._write(lambda: showcase.introduce(info, trainer, value))

    def summarize(self, state: str, figures: Mapping[str, float], text: str) -> None:
        """See `Showcase`."""
        if isinstance(self.inner, Showcase):
            showcase, kept = self.inner, dict(figures)
            self._write(lambda: showcase.summarize(state, kept, text))

    def release(self) -> None:
        """Write what waits, for a minute at most, and let others have the sweep."""
        if self._released:
            return
        self._released = True
        with self._changed:
            self._leaving = True
            self._changed.notify_all()
            self._changed.wait_for(self._is_idle, timeout=_LEAVING_SECONDS)
            lost = len(self._writings)
            self._writings.clear()
            self._changed.notify_all()
        self._thread.join()
        if lost:
            _log.warning(
                "%d writings were not taken by the store in time and are lost; runs whose results "
                "they were are trained again when the sweep goes on",
                lost,
            )
        self.inner.release()

    # -- waiting -----------------------------------------------------------------------------------

    def _write(self, writing: Write) -> None:
        with self._changed:
            self._check()
            self._changed.wait_for(self._has_room)
            self._check()
            self._writings.append(writing)
            self._taken += 1
            mine = self._taken
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._done >= mine or self._away_since or self._error, timeout=self._wait
            )
            if self._error is not None:
                raise self._error

    def _drain(self) -> None:
        """Wait until everything is written; what was written before an error can still be read."""
        with self._changed:
            self._changed.wait_for(self._is_idle)

    def _has_room(self) -> bool:
        most = self._most if self._away_since is not None else min(LAG, self._most)
        return len(self._writings) < most or self._error is not None

    def _is_idle(self) -> bool:
        return not self._writings or self._error is not None

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._released:
            raise StoreError("the store was released and takes nothing more; open it again")

    def _work(self) -> None:
        """Write what waits, the oldest first, until the store is released."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._writings or self._leaving)
                if not self._writings:
                    return
                writing = self._writings[0]
            error = self._attempt(writing)
            with self._changed:
                if error is not None:
                    self._error = error
                    self._writings.clear()
                elif self._writings:  # else it was given up
                    self._writings.popleft()
                    self._done += 1
                self._changed.notify_all()
                if error is not None:
                    return

    def _attempt(self, writing: Write) -> BaseException | None:
        """Write, again and again while the store is away; the error that ends it, if any."""
        tried, told = 0, 0.0
        while True:
            try:
                writing()
            except StoreAwayError as error:
                now = time.monotonic()
                since = self._gone(now)
                if now - since > self._patience:
                    return StoreError(
                        f"the store was away for {now - since:.0f} s, longer than its 'patience': "
                        f"{error}"
                    )
                if now - told > _TELL_SECONDS or not tried:
                    told = now
                    self._tell(error, self._patience - (now - since))
                if not self._pause(self._pauses[min(tried, len(self._pauses) - 1)]):
                    return None
                tried += 1
            except BaseException as error:  # noqa: BLE001 - goes to whoever uses the store
                return error
            else:
                self._back()
                return None

    def _gone(self, now: float) -> float:
        """Since when the store is away; from now on more may wait."""
        with self._changed:
            self._away_since = self._away_since or now
            self._changed.notify_all()
            return self._away_since

    def _pause(self, seconds: float) -> bool:
        """Wait; whether it is worth another attempt."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writings, timeout=seconds)
            return bool(self._writings)

    def _tell(self, error: StoreAwayError, left: float) -> None:
        _log.warning(
            "the store does not take what is written (%s); the sweep goes on, %d writings wait, "
            "for %.0f s more at most",
            error,
            len(self._writings),
            left,
        )

    def _back(self) -> None:
        if self._away_since is not None:
            away, self._away_since = time.monotonic() - self._away_since, None
            _log.warning("the store answers again after %.0f s; nothing was lost", away)
