"""The earlier studies that a spec starts from: are they there, and can they be read?"""

from collections.abc import Iterable
from pathlib import Path

from mixopt.app.running.record import remembered_spec
from mixopt.app.running.studies import named
from mixopt.errors import InputError
from mixopt.runs.reading import read_table


def check_sources(paths: Iterable[Path]) -> None:
    """Refuse what is neither the folder of a sweep nor a run table.

    Whether it has a domain or a metric in common with the new sweep shows when the data of that is
    prepared.

    Raises:
        InputError: see above.
        StoreError: a folder without a sweep.
    """
    for path in paths:
        check_there(path)
        if path.is_dir():
            remembered_spec(named(path).folder)
        else:
            read_table(path)


def check_there(path: Path) -> None:
    """Refuse a path at which there is nothing.

    Raises:
        InputError: see above.
    """
    if "\0" in str(path) or not path.exists():
        raise InputError(
            f"{str(path)!r}: no such folder or file; give the folder of a sweep (runs/<name>), or "
            "a run table"
        )
