"""Files that are there as a whole or not at all."""

from pathlib import Path

from mixopt.errors import InputError


def write_whole(path: Path, text: str) -> None:
    """Write a text file beside its place first, so that a stop in the middle leaves the one before.

    Raises:
        InputError: it cannot be written.
    """
    draft = path.with_name(f"{path.name}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give another path") from error
