"""What a fit that takes long is doing, for whoever shows it.

Laws say what they fit; nobody needs to listen. A listener holds for the block and the thread (or
task) that opened it, so that fits elsewhere say nothing to it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LISTENER: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Fits in this block tell the listener, in a few words, what they do next."""
    before = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(before)


def say(doing: str) -> None:
    """Tell whoever listens."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(doing)


@contextmanager
def within(doing: str) -> Iterator[None]:
    """Say what is done, and say it before whatever the block says."""
    listener = _LISTENER.get()
    if listener is None:
        yield
        return
    listener(doing)
    with heard_by(lambda more: listener(f"{doing}, {more}")):
        yield
