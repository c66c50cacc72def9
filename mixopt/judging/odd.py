"""What an answer is without the runs that the law misses by far."""

import numpy as np

from mixopt.diagnostics import CrossValidation, gates
from mixopt.diagnostics.held_out_errors import MANY, Without, held_out_errors
from mixopt.errors import InputError
from mixopt.proposers import Recommendation, Surrogate
from mixopt.proposers.recommend import best_mixture
from mixopt.proposers.surrogate import fit_surrogate
from mixopt.runs import Scale
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace

_MOST = 0.1  # share of the runs that may be odd; beyond that it is the law that is


def without_odd(
    surrogate: Surrogate,
    runs: RunTable,
    recommendation: Recommendation,
    space: MixtureSpace,
    validation: CrossValidation,
    *,
    rng: np.random.Generator,
) -> Without | None:
    """Fit and answer again without the odd runs; None where there are none, or too many.

    Args:
        surrogate: the model of the answer, with the law that was fitted.
        runs: what it was fitted to.
        recommendation: the answer.
        space: what is allowed.
        validation: of the runs.
        rng: source of randomness.
    """
    if surrogate.law is None:
        return None
    table = runs.only(surrogate.metrics)
    try:
        errors = held_out_errors(validation, table, surrogate.objective, surrogate.scale, MANY)
        odd = errors.odd_rows(gates.ODD)
        if not 0 < len(odd) <= max(1, _MOST * len(errors.W)):
            return None
        kept = runs.take(np.setdiff1d(np.arange(len(runs)), odd))
        target = None if surrogate.scale is None else Scale(*(int(v) for v in surrogate.scale))
        again = fit_surrogate(
            kept, surrogate.objective, space, surrogate.law, rng=rng, target=target
        )
        other = best_mixture(again, space, W=kept.W, rng=rng).array
    except InputError:
        return None  # too few runs are left
    w = recommendation.mixture.array
    unit = max(again.noise(w[None]), gates.FINE * errors.spread)
    moved = abs(float(again.moments(w[None])[0][0]) - recommendation.value) / unit
    here, best = again.value(np.stack([w, other]))
    return Without(len(odd), moved, max(float(here - best), 0.0) / errors.spread)
