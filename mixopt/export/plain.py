"""JSON with a version: mixture, predictions and provenance, for programs."""

import json
import math
from collections.abc import Mapping
from typing import Any

from mixopt.export.shares import DIGITS, exact_shares
from mixopt.runs import Schedule
from mixopt.space import Mixture

SCHEMA, VERSION = "mixopt.mixture", 1


def export(
    mixture: Mixture,
    *,
    schedule: Schedule | None = None,
    predictions: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    indent: int | None = 2,
) -> str:
    """JSON: `weights` are shares of training *tokens*.

    Of a schedule they are what it draws in total, and `schedule` has its phases: where each ends,
    in tokens of the proxy that it was made for and as a share of a run, and its own weights.

    Args:
        mixture: what to export.
        schedule: of which it is the mean.
        predictions: what the law predicts of it, plain JSON values.
        provenance: where it comes from, plain JSON values.
        indent: of the text; None for one line.
    """
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "unit": "share of training tokens",
        "weights": exact_shares(mixture),
        **({} if schedule is None else {"schedule": _phases(schedule)}),
        "predictions": _finite(predictions or {}),
        "provenance": _finite(provenance or {}),
    }
    return json.dumps(values, indent=indent, allow_nan=False) + "\n"


def _phases(schedule: Schedule) -> list[dict[str, Any]]:
    return [
        {
            "until_tokens": until,
            "until_share": round(until / schedule.tokens, DIGITS),
            "weights": exact_shares(mixture),
        }
        for until, mixture in schedule.phases
    ]


def _finite(value: Any) -> Any:
    """The same value with null for numbers that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
