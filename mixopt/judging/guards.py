"""How well the metrics of guards are known at the answer."""

import numpy as np

from mixopt.designs.baselines import baselines
from mixopt.diagnostics import CrossValidation, gates
from mixopt.diagnostics.gates import Gate
from mixopt.diagnostics.guarded import Guarded, guard
from mixopt.diagnostics.held_out_errors import MANY, held_out_errors
from mixopt.errors import InputError
from mixopt.proposers import Recommendation, Surrogate
from mixopt.runs.objective import Guard, Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace

_Z90 = 1.645


def guards(
    surrogate: Surrogate,
    table: RunTable,
    recommendation: Recommendation,
    space: MixtureSpace,
    validation: CrossValidation | None,
) -> list[Gate]:
    """One gate for each guard that the answer had to keep.

    Args:
        surrogate: the model of the answer.
        table: its runs, with the metrics of the surrogate.
        recommendation: the answer.
        space: gives the baselines that guards name.
        validation: of the runs.
    """
    asked = []
    for each in surrogate.objective.guards:
        if each.metric not in surrogate.limits:
            continue
        why = "too few runs to hold any out"
        try:
            if validation is None:
                raise InputError(why)
            seen = _guarded(surrogate, table, recommendation, space, validation, each)
        except InputError as error:
            asked.append(Gate.unmeasured(f"guard on {each.metric}", str(error), gates.REPEAT))
        else:
            asked.append(guard(seen))
    return asked


def _guarded(
    surrogate: Surrogate,
    table: RunTable,
    recommendation: Recommendation,
    space: MixtureSpace,
    validation: CrossValidation,
    each: Guard,
) -> Guarded:
    """Margin and interval, in seed sds of the metric."""
    metric, w = each.metric, recommendation.mixture.array
    higher = metric in surrogate.objective.maximize
    alone = Objective.of((), (metric,)) if higher else Objective.of(metric)
    errors = held_out_errors(validation, table, alone, surrogate.scale)
    rho, low, _ = held_out_errors(validation, table, alone, surrogate.scale, MANY).ranking()
    j = surrogate.metrics.index(metric)
    base = baselines(space)[each.baseline].array
    seen = surrogate.predict(np.stack([w, base]))
    # The limit is itself predicted, at the baseline; the two errors count as independent.
    sd = float(np.hypot(*seen.sd[:, j])) * max(errors.near(w).inflation(), 1.0)
    unit = max(float(np.ravel(seen.noise)[j]), gates.FINE * errors.spread)
    mean = -seen.mean[0, j] if higher else seen.mean[0, j]
    margin = (surrogate.limits[metric] - float(mean)) / unit
    return Guarded(metric, margin, _Z90 * sd / unit, rho, low)
