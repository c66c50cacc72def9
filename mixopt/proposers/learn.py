"""From runs to what the proposers minimise: a law fitted to a run table, seen through an objective.

Notation:
    W: (n, m) mixtures in the order of the space; Y: (n, k) metrics
"""

import numpy as np

from mixopt.errors import InputError
from mixopt.laws.base import Law
from mixopt.proposers.surrogate import Surrogate
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace
from mixopt.threads import one_blas_thread


@one_blas_thread
def learn(
    runs: RunTable,
    objective: Objective,
    space: MixtureSpace,
    law: Law,
    *,
    rng: np.random.Generator,
    every_metric: bool = False,
) -> Surrogate:
    """Fit a law, one set of parameters per metric, and look at it through the objective.

    Runs of several scales are fitted together by a law that can; predictions are then for the
    largest scale.

    Args:
        runs: the evidence.
        objective: its metrics (and guards) are fitted.
        space: the domains; runs are embedded into it.
        law: how to fit.
        rng: source of randomness.
        every_metric: fit all metrics of the table, for reports and diagnostics.

    Raises:
        InputError: an unknown metric, runs that the space cannot express, too few runs.
    """
    objective.check(runs.metrics)
    guarded = {g.metric for g in objective.guards}
    names = tuple(
        k
        for k in runs.metrics
        if np.isfinite(runs.metric(k)).any()
        and (every_metric or k in guarded or k in objective.metrics)
    )
    missing = [k for k in (*objective.metrics, *guarded) if k not in names]
    if missing:
        raise InputError(f"no run has the metric {missing[0]!r}; the objective needs it")
    scales = runs.scales
    several = len(np.unique(scales[np.isfinite(scales).all(axis=1)], axis=0)) > 1
    target = tuple(float(v) for v in scales[np.argmax(scales.prod(axis=1))]) if several else None
    Y = runs.values(names)
    if objective.standardize:
        objective = objective.standardized(Y, names)
    fitted = law.fit(runs.within(space.names).W, Y, scales if several else None, rng=rng)
    return Surrogate.of(
        fitted, objective, names, space, None if target is None else (target[0], target[1])
    )
