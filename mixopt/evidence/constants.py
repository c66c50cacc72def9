"""The constants of a law for programs."""

from collections.abc import Sequence
from typing import Any

from mixopt.laws.constants import Constants


def constants_as_json(told: Constants | None, metrics: Sequence[str]) -> dict[str, Any] | None:
    """Plain JSON values: metric to name to value.

    Args:
        told: (k, c) constants; None where the law has none.
        metrics: (k,) names.
    """
    if told is None:
        return None
    values = {
        metric: dict(zip(told.names, map(float, row), strict=True))
        for metric, row in zip(metrics, told.values, strict=True)
    }
    return {"title": told.title, "values": values, "caution": told.caution}
