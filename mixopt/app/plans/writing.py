"""Several files at once: all of them, or none."""

import os
from collections.abc import Mapping
from pathlib import Path

from mixopt.errors import InputError


def write_together(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write texts beside each other; where one cannot be written, none is.

    Args:
        folder: made if it is not there.
        files: name to text.

    Raises:
        InputError: the folder or a file cannot be written.
    """
    targets = {folder / name: text for name, text in files.items()}
    taken = next((path for path in targets if path.is_dir()), None)
    if taken is not None:
        raise InputError(f"cannot write {taken}: it is a folder; give another path")
    unfinished = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in targets}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in targets.items():
            unfinished[path].write_text(text, encoding="utf-8")
        for path, temporary in unfinished.items():
            temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror}; give another path"
        ) from error
    finally:
        for temporary in unfinished.values():
            if temporary.parent.is_dir():
                temporary.unlink(missing_ok=True)
    return list(targets)
