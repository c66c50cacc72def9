"""The scales of a run table, and what runs of several scales may not do side by side."""

from dataclasses import replace

import numpy as np

from mixopt.runs.run_spec import Scale
from mixopt.runs.run_table import RunTable


def each_scale(table: RunTable) -> list[Scale | None]:
    """(n) the scale of every run; None where the table does not say."""
    return [
        Scale(int(params), int(tokens)) if np.isfinite(params) and np.isfinite(tokens) else None
        for params, tokens in table.scales
    ]


def scales_of(table: RunTable) -> set[Scale]:
    """The scales that its runs state."""
    known = table.scales[np.isfinite(table.scales).all(axis=1)]
    return {Scale(int(n), int(d)) for n, d in np.unique(known, axis=0)}


def placed(table: RunTable, scale: Scale | None) -> RunTable:
    """Runs that state no scale at the given one, where it is one."""
    if scale is None or not np.isnan(table.scales).all():
        return table
    sizes = {"params": float(scale.params), "tokens": float(scale.tokens)}
    return replace(table, facts=table.facts.assign(**sizes))
