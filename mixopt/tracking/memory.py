"""A sweep that is kept nowhere: for trials, and for sweeps of seconds."""

from pathlib import Path

from mixopt.errors import StoreError
from mixopt.execution.local import MemoryStore


def open_memory(folder: Path, name: str, *, read_only: bool = False) -> MemoryStore:
    """An empty store; what is written to it ends with the process, or with `release`.

    Raises:
        StoreError: it is to be read, and there is nothing.
    """
    if read_only:
        raise StoreError(
            f"{folder}: the sweep {name!r} was kept in memory and ended with its process; set "
            "store: {use: mlflow} for sweeps that are looked at again"
        )
    return MemoryStore()
