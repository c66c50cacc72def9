"""Ending what takes too long inside this process, by an alarm of the system."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeUpError(BaseException):
    """The time of a pack is up; no `except Exception` of a trainer takes it for one of its own."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `TimeUpError` in the main thread after so many seconds; never where infinite.

    Another alarm that was set before goes on afterwards.
    """
    if seconds == math.inf:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as handlers are called
        raise TimeUpError

    before, began = signal.signal(signal.SIGALRM, ring), time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            rest = max(left - (time.monotonic() - began), 0.001)
            signal.setitimer(signal.ITIMER_REAL, rest, interval)
