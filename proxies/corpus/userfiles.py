"""The users' own text: files and folders of .txt, .jsonl and .parquet."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from mixopt.errors import InputError
from proxies.corpus.documents import Item, whole

SUFFIXES = (".txt", ".jsonl", ".parquet")


def find_files(name: str, paths: Sequence[str]) -> list[tuple[str, Path]]:
    """The text files that a domain's paths name.

    Args:
        name: the domain, for messages.
        paths: files, or folders that are searched to the bottom.

    Returns:
        (name relative to the given path, path) of every file, in the order given, folders sorted.

    Raises:
        InputError: a path does not exist, has another suffix, or a folder holds no such file.
    """
    found: list[tuple[str, Path]] = []
    for given in paths:
        path = Path(given).expanduser()
        if not path.exists():
            raise InputError(
                f"domain {name!r}: {given!r} does not exist; name a file or folder of "
                f"{', '.join(SUFFIXES)} that this process can read"
            )
        if path.is_file():
            if path.suffix not in SUFFIXES:
                raise InputError(
                    f"domain {name!r}: {given!r} ends in {path.suffix!r}, not in one of "
                    f"{', '.join(SUFFIXES)}; convert or rename the file"
                )
            found.append((path.name, path))
            continue
        inside = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in SUFFIXES)
        if not inside:
            raise InputError(
                f"domain {name!r}: the folder {given!r} holds no {', '.join(SUFFIXES)} file; "
                "put text there or correct the path"
            )
        found += ((p.relative_to(path).as_posix(), p) for p in inside)
    return found


def read_items(name: str, files: Sequence[tuple[str, Path]], text_field: str) -> list[Item]:
    """The documents of a domain's files, one item each.

    Args:
        name: the domain, for messages.
        files: result of `find_files`.
        text_field: key of the text in a .jsonl line, column of the text in a .parquet file.

    Raises:
        InputError: a line is no JSON object with that field, or a column is missing.
    """
    items: list[Item] = []
    for label, path in files:
        if path.suffix == ".txt":
            items.append(Item(label, path.read_bytes(), whole))
        else:
            rows = _jsonl if path.suffix == ".jsonl" else _parquet
            texts = rows(name, path, text_field)
            items += (Item(label, text.encode("utf-8", errors="replace"), whole) for text in texts)
    return items


def _jsonl(name: str, path: Path, text_field: str) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"domain {name!r}: line {number} of {path} is not JSON ({error.msg}); "
                    "a .jsonl file holds one object per line"
                ) from error
            if not isinstance(row, dict) or not isinstance(row.get(text_field), str):
                raise InputError(
                    f"domain {name!r}: line {number} of {path} has no text under {text_field!r}; "
                    "set `text_field` to the field that holds the text"
                )
            yield row[text_field]


def _parquet(name: str, path: Path, text_field: str) -> Iterator[str]:
    file = pq.ParquetFile(path)
    if text_field not in file.schema_arrow.names:
        raise InputError(
            f"domain {name!r}: {path} has no column {text_field!r} but "
            f"{', '.join(file.schema_arrow.names)}; set `text_field` to the one with the text"
        )
    for batch in file.iter_batches(columns=[text_field]):
        yield from (str(text) for text in batch.column(0).to_pylist() if text is not None)
