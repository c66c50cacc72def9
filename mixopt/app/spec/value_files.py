"""JSON and YAML files that a command names: a mapping each, every key once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixopt.app.spec.strict_yaml import YamlError, read_yaml
from mixopt.errors import InputError, shorten


def read_values(path: Path, form: str) -> Mapping[str, Any]:
    """The mapping in a file: JSON where it is, whatever its name, else YAML.

    Not all JSON is strict YAML, which takes no 1e-07, and no more than 200 kB.

    Raises:
        InputError: it cannot be read, gives a key twice, or holds something else; the message ends
            with `form`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; {form}") from error
    try:
        values = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        if path.suffix.lower() == ".json":
            raise InputError(f"{path} is no JSON ({shorten(str(error))}); {form}") from error
        values = _yaml(path, data, form)
    if not isinstance(values, Mapping) or not values:
        raise InputError(f"{path} holds {shorten(repr(values), 60)}; {form}")
    return values


def _yaml(path: Path, data: bytes, form: str) -> Any:
    try:
        return read_yaml(data, is_name=lambda _: False).values
    except YamlError as error:
        line = f", line {error.line}" if error.line else ""
        where = "".join(f"{part}: " for part in error.path[-1:])
        raise InputError(f"{path}{line}: {where}{error.message}; {form}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are there once: of a domain given twice, which share is meant?"""
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{twice!r} is given twice in one object; give it once")
    return dict(pairs)
