"""JSON with a version: mixture, predictions and provenance, for programs."""

import json
import math
from collections.abc import Mapping
from typing import Any

from mixopt.export.shares import exact_shares
from mixopt.space import Mixture

SCHEMA, VERSION = "mixopt.mixture", 1


def export(
    mixture: Mixture,
    *,
    predictions: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    indent: int | None = 2,
) -> str:
    """JSON: `weights` are shares of training *tokens*.

    Args:
        mixture: what to export.
        predictions: what the law predicts of it, plain JSON values.
        provenance: where it comes from, plain JSON values.
        indent: of the text; None for one line.
    """
    values = {
        "schema": SCHEMA,
        "version": VERSION,
        "unit": "share of training tokens",
        "weights": exact_shares(mixture),
        "predictions": _finite(predictions or {}),
        "provenance": _finite(provenance or {}),
    }
    return json.dumps(values, indent=indent, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """The same value with null for numbers that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
