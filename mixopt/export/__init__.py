"""Exporters: a mixture in the format of a large trainer; one file per format, found by name.

An exporter is a function `(mixture, **options) -> str`. Zero shares are never exported, and
names and paths are written so that no character of theirs can change the meaning of the file.
"""

from typing import Any

from mixopt.lazy import build, lookup
from mixopt.space import Mixture

EXPORTERS: dict[str, str] = {
    "json": "mixopt.export.plain:export",
    "hf-datasets": "mixopt.export.hf_datasets:export",
    "megatron": "mixopt.export.megatron:export",
}
"""Name of a format to the function that writes it."""


def export(mixture: Mixture, target_format: str, **options: Any) -> str:
    """The mixture in a trainer's own format, as the text of a file.

    Args:
        mixture: shares of training tokens.
        target_format: a name of `EXPORTERS`.
        options: of the format, e.g. `paths={"web": "/data/web"}`. `provenance` (plain JSON values)
            is taken by every format.

    Raises:
        InputError: an unknown format or option, a path that is missing or has a form that the
            format cannot hold.

    >>> print(export(Mixture.of({"web": 0.75, "code": 0.25}), "json", indent=None)[:44])
    {"schema": "mixopt.mixture", "version": 1, "
    """
    writer = lookup(target_format, EXPORTERS, "export format")
    text: str = build(
        writer, {"mixture": mixture, **options}, what=f"export format {target_format!r}"
    )
    return text


__all__ = ["EXPORTERS", "export"]
