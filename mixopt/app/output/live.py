"""What is shown live on a terminal, while something lasts."""

from typing import Generic, Self, TypeVar

from rich.progress import Progress
from rich.status import Status

Shown = TypeVar("Shown", Progress, Status)


class Live(Generic[Shown]):
    """Begins and ends with a block; None where there is no terminal."""

    def __init__(self, shown: Shown | None) -> None:
        self._live: Shown | None = shown

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
