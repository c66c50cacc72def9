"""Sources of tokens: what a user names as the shards of a domain, and how they are to be read."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixopt import lazy
from mixopt.errors import InputError, did_you_mean
from proxies.token_shards.formats.settings import end_of
from proxies.token_shards.ports import Reader, TokenShard

_HERE = "proxies.token_shards.formats"
FORMATS = {
    "datatrove": f"{_HERE}.datatrove:read_datatrove",
    "flat": f"{_HERE}.flat:read_flat",
    "litdata": f"{_HERE}.litdata:read_litdata",
    "mds": f"{_HERE}.mds:read_mds",
    "megatron": f"{_HERE}.megatron:read_megatron",
    "rows": f"{_HERE}.rows:read_rows",
}
"""Layouts and their readers; a user's own is named as `module:attribute`."""
ORDERS = ("hash", "stored")
FORM = "{shards: /data/web_text_document, format: megatron}"


@dataclass(frozen=True)
class TokenSource:
    """Where a domain's tokens lie.

    Attributes:
        shards: a file, prefix, pattern or folder; a URL that fsspec opens.
        format: a name of `FORMATS`, or `module:attribute`.
        order: `hash`: documents are drawn by a hash of their place, from all of it. `stored`: from
            the beginning on, of shards whose documents are in random order already.
        settings: of the reader: `end` (the id that ends documents), `dtype`, `column`.
    """

    shards: str
    format: str
    order: str = "hash"
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def open(self, name: str) -> list[TokenShard]:
        """The shards, in the order of their labels.

        Raises:
            InputError: they cannot be read so; the message names the domain.
        """
        try:
            reader: Reader = lazy.lookup(self.format, FORMATS, "format of shards")
            made = functools.partial(reader, self.shards)
            what = f"format {self.format!r}"
            shards: Sequence[TokenShard] = lazy.build(made, self.settings, what)
        except InputError as error:
            raise InputError(f"domain {name!r}: {error}") from error
        return sorted((s for s in shards if s.units), key=lambda shard: shard.label)


def is_tokens(given: Any) -> bool:
    """Whether what a user wrote for a domain names shards, or a list of them."""
    parts = given if isinstance(given, list | tuple) else [given]
    return any(isinstance(part, Mapping) and "shards" in part for part in parts)


def token_sources_of(name: str, given: Any) -> tuple[TokenSource, ...]:
    """The sources of a domain or set, from what the user wrote.

    Raises:
        InputError: it has another form.
    """
    parts = given if isinstance(given, list | tuple) else [given]
    return tuple(source for part in parts for source in _sources(name, part))


def _sources(name: str, given: Any) -> list[TokenSource]:
    if not isinstance(given, Mapping) or "shards" not in given:
        raise InputError(f"domain {name!r}: {given!r} names no shards, as others do; give {FORM}")
    values = dict(given)
    paths = values.pop("shards")
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, list | tuple) or not paths or not all(_is_path(p) for p in paths):
        raise InputError(
            f"domain {name!r}: shards is {given['shards']!r}; give a path, as in {FORM}"
        )
    kind, order = values.pop("format", None), values.pop("order", ORDERS[0])
    if not isinstance(kind, str) or (kind not in FORMATS and ":" not in kind):
        known = did_you_mean(kind if isinstance(kind, str) else "", FORMATS)
        raise InputError(f"domain {name!r}: format is {kind!r}, no layout of shards; {known}")
    if order not in ORDERS:
        raise InputError(
            f"domain {name!r}: order is {order!r}; give hash, or stored where the documents are in "
            "random order already"
        )
    if "end" in values:
        end_of(f"domain {name!r}", values["end"])
    return [TokenSource(path, kind, order, values) for path in paths]


def _is_path(path: Any) -> bool:
    return isinstance(path, str) and bool(path) and "\0" not in path
