"""Runs of earlier studies as evidence for a new one, believed as far as they agree with it.

An earlier study is a scale below the smallest scale of the new one (recursive co-kriging, see
`mixopt.laws.processes.cokriging`): per metric a slope is learned between the two, and what the
earlier study gets wrong is a process of its own. Where they agree, the earlier runs count almost
fully; where they disagree, the slope goes to 0 and they count for nothing.

Notation:
    W: (n, m) mixtures over the domains of the new space
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mixopt.errors import InputError
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace
from mixopt.space.domains import Domain

LEAST = 4
"""Runs of a study and scale below which nothing is learned from them."""


def earlier_runs(
    runs: RunTable,
    space: MixtureSpace,
    objective: Objective,
    *,
    domains: Sequence[Domain] | None = None,
) -> tuple[RunTable, ...]:
    """Runs of an earlier study in the domains of `space`, one table per scale, smallest first.

    Runs that the space cannot express (they use a domain that is gone, or was split without a
    known ratio) and runs without every metric of the objective are left out. A scale with fewer
    than `LEAST` runs left is left out as a whole. Other metrics that all
    of these runs have come along.

    Args:
        runs: of the earlier study, at any scales.
        space: of the new one.
        objective: of the new one; its metrics have to be among those of the earlier study.
        domains: of the earlier study, in the order of the table, with parents and tokens where
            domains were split or merged since; plain names by default.

    Raises:
        InputError: a metric is missing, or no scale has enough runs that can be used.
    """
    missing = [name for name in objective.needed if name not in runs.metrics]
    if missing:
        raise InputError(
            f"the earlier study has no metric {missing[0]!r}, which the objective needs; it has "
            f"{', '.join(runs.metrics)}"
        )
    complete = np.isfinite(runs.values(objective.needed)).all(axis=1)
    runs = runs.take(np.flatnonzero(complete))
    embedded = space.embed(runs.W, domains if domains is not None else runs.domains)
    kept = runs.take(embedded.kept)
    whole = np.atleast_1d(np.isfinite(kept.Y).all(axis=0))
    kept = kept.only([name for name, all_of in zip(kept.metrics, whole, strict=True) if all_of])
    tables = []
    sizes = np.nan_to_num(kept.scales)
    for scale in np.unique(sizes, axis=0):
        rows = np.flatnonzero((sizes == scale).all(axis=1))
        if len(rows) >= LEAST:
            nothing = pd.DataFrame(index=range(len(rows)))
            tables.append(
                RunTable(space.names, kept.metrics, embedded.W[rows], kept.Y[rows], nothing)
            )
    if not tables:
        why = next(iter(embedded.refused.values()), "it has too few")
        raise InputError(
            f"none of {len(runs)} complete runs of the earlier study can be used ({LEAST} per "
            f"scale are needed): {why}"
        )
    return tuple(tables)
