"""The record of sweeps: in MLflow (store, records of runs, locks), or in memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixopt.lazy import build, check_settings, lookup
from mixopt.ports import Store
from mixopt.space.numbers import check_arguments

STORES: dict[str, str] = {
    "mlflow": "mixopt.tracking.opening:open_mlflow",
    "memory": "mixopt.tracking.memory:open_memory",
}
"""Name of a store to what opens it: called with the sweep's `folder` and `name`, `read_only`, and
its settings as keyword arguments."""


def check_store(use: str, settings: Mapping[str, Any]) -> None:
    """See that a store is there and takes these settings and values; none is opened.

    Args:
        use: a name of `STORES`, or `"module:attribute"`.
        settings: by name.

    Raises:
        InputError: it is not there, or has no such setting, or not with this value.
    """
    factory = lookup(use, STORES, "store")
    where = {"folder": Path(), "name": "", "read_only": False}
    check_settings(factory, {**settings, **where}, f"store {use!r}")
    check_arguments(factory, settings)


def open_store(
    use: str, folder: Path, name: str, settings: Mapping[str, Any], *, read_only: bool = False
) -> Store:
    """The record of a sweep, opened; whoever opens it releases it.

    Args:
        use: a name of `STORES`, or `"module:attribute"`.
        folder: of the sweep.
        name: of the sweep.
        settings: of the store, by name.
        read_only: look only; keeps no other driver out.

    Raises:
        InputError: there is no such store, or it has no such setting.
        StoreError: it cannot be read or written, or another driver holds it.
    """
    where = {"folder": folder, "name": name, "read_only": read_only}
    made: Store = build(lookup(use, STORES, "store"), {**settings, **where}, f"store {use!r}")
    return made


def database_file(folder: Path) -> Path:
    """The database of a sweep that names no store."""
    return folder / "mlflow.db"


def database_uri(folder: Path) -> str:
    """The MLflow tracking URI of a sweep that names none: SQLite in its folder."""
    return f"sqlite:///{database_file(folder).resolve()}"
