"""Megatron-LM: the JSON of `--per-split-data-args-path`.

Weights count *sequences* of one length, that is tokens: shares need no conversion. Megatron
asserts weights above zero, splits on whitespace, and reads the keys train, valid and test.
"""

import json
from collections.abc import Mapping
from typing import Any

from mixopt.errors import InputError
from mixopt.export.shares import exact_shares, paths_of
from mixopt.space import Mixture


def export(
    mixture: Mixture,
    *,
    paths: Mapping[str, str] | None = None,
    validation: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> str:
    """JSON for `--per-split-data-args-path`: weights and prefixes in turn, per split.

    Args:
        mixture: shares of training tokens.
        paths: domain to the prefix of its `.bin` and `.idx` files (without the ending).
        validation: the same for validation and test data; the training prefixes by default.
        provenance: not written: Megatron reads every key of the file as a split.

    Raises:
        InputError: a path is missing or holds whitespace.
    """
    del provenance
    shares = exact_shares(mixture)
    train = _blend(shares, paths or {})
    held_out = _blend(shares, validation) if validation is not None else train
    return json.dumps({"train": train, "valid": held_out, "test": held_out}, indent=2) + "\n"


def _blend(shares: Mapping[str, float], paths: Mapping[str, str]) -> list[str]:
    prefixes = paths_of(shares, paths)
    spaced = [p for p in prefixes.values() if any(c.isspace() for c in p)]
    if spaced:
        raise InputError(
            f"path {spaced[0]!r} holds whitespace, at which Megatron splits; rename or link it"
        )
    return [part for d, w in shares.items() for part in (f"{w:.12g}", prefixes[d])]
