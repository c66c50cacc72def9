"""Files that a study writes where its user says."""

from pathlib import Path

from mixopt.errors import InputError
from mixopt.runs.files import write_atomically


def write_whole(path: Path, text: str) -> None:
    """Write a text file as a whole; its folder is made if it is not there.

    Raises:
        InputError: it cannot be written.
    """
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give another path") from error
