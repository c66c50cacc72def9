"""From what was measured about runs, law and answer to the verdict: every gate asked, none skipped.

Notation:
    w: (m,) the answer; F: objective as it was minimised
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mixopt.diagnostics import (
    CrossValidation,
    EpochMismatch,
    Extrapolation,
    Noise,
    Transfer,
    Trust,
    gates,
    trust,
)
from mixopt.diagnostics.covered import covered
from mixopt.diagnostics.gates import Gate, Remedy
from mixopt.diagnostics.held_out_errors import (
    LEAST,
    MANY,
    Errors,
    Without,
    held_out_errors,
    order_effects,
)
from mixopt.diagnostics.local_noise import local_noise, noise_there
from mixopt.errors import InputError
from mixopt.evidence.guards import guards
from mixopt.proposers import Recommendation, Surrogate
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array
from mixopt.strategies import Searched

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured before the verdict; None where the runs do not allow it.

    `doubts` are what else speaks against trusting the answer, in plain words; `without` is the
    answer without odd runs; `repeats` are runs with fresh seeds that the law did not see.
    """

    validation: CrossValidation | None = None
    extrapolation: Extrapolation | None = None
    noise: Noise | None = None
    transfer: Transfer | None = None
    epochs: EpochMismatch | None = None
    doubts: Sequence[str] = ()
    without: Without | None = None
    repeats: RunTable | None = None


def gated(
    surrogate: Surrogate,
    runs: RunTable,
    recommendation: Recommendation,
    space: MixtureSpace,
    measured: Measured,
    *,
    rng: np.random.Generator,
    searched: Searched | None = None,
) -> Trust:
    """Ask the answer everything.

    Args:
        surrogate: the model that it comes from.
        runs: what that was fitted to, over the domains of the space.
        recommendation: the answer.
        space: what is allowed.
        measured: the diagnostics that there are.
        rng: draws bootstraps, and the mixtures that the space is looked at by.
        searched: what errors, order and noise are judged by, where more than the mixture was
            searched.
    """
    where = searched or Searched(surrogate, runs, recommendation.mixture)
    table = where.runs.only(surrogate.metrics)
    errors = _errors(surrogate, table, measured.validation)
    many = _errors(surrogate, table, measured.validation, MANY)
    w, inflation, wide = where.point.array, 1.0, recommendation
    if errors is not None:
        inflation, wide = errors.near(w).inflation(), recommendation.widened(errors.widening(w))
    asked = [
        *_held_out(errors, many, table, w, measured.without),
        *_answer(where, table, wide, measured, space.prior_name),
        _noise_there(where, table, measured),
    ]
    asked.append(_known(where, table, recommendation, measured, inflation))
    unasked = []
    if searched is None:
        asked += guards(surrogate, table, recommendation, space, measured.validation)
        unit = _spread(surrogate, table) if errors is None else errors.spread
        asked += _space(surrogate, table, recommendation, space, unit, rng)
    else:
        unasked.append("space covered (more than the mixture was searched)")
        if surrogate.limits:
            unasked.append("guards (more than the mixture was searched)")
    if surrogate.scale is None:
        unasked.append("transfer (all runs have one scale, and the answer is for that)")
    else:
        asked.append(_transfer(surrogate, runs, recommendation, space, measured, errors))
    if measured.epochs is None:
        unasked.append("epochs (unknown for the proxies, the target, or both)")
    else:
        asked.append(gates.epochs(measured.epochs))
    asked += [Gate("what is meant", "no", d, allows="ranking only") for d in measured.doubts]
    return trust(asked, unasked)


def widening(where: Searched, validation: CrossValidation | None) -> float:
    """By how much the claimed sd of the answer is too small, by runs that the law was not shown."""
    errors = _errors(where.surrogate, where.runs.only(where.surrogate.metrics), validation)
    return 1.0 if errors is None else errors.widening(where.point.array)


def _errors(
    surrogate: Surrogate, table: RunTable, validation: CrossValidation | None, least: int = LEAST
) -> Errors | None:
    """At the scale of the answer, where there are at least so many runs."""
    if validation is None:
        return None
    try:
        return held_out_errors(validation, table, surrogate.objective, surrogate.scale, least)
    except InputError:
        return None


def _held_out(
    errors: Errors | None, many: Errors | None, table: RunTable, w: Array, without: Without | None
) -> list[Gate]:
    """What the law says of runs that it was not shown.

    Args:
        errors: at the scale of the answer.
        many: where there are enough for ranks and order.
        table: the runs.
        w: (m,) the answer.
        without: the answer without odd runs.
    """
    more = Remedy(f"{LEAST} more runs of the design", LEAST, where="design")
    if errors is None or many is None:
        why = f"{len(table)} runs are too few to hold any out"
        return [Gate.unmeasured("held-out ranking", why, more, "do not trust")]
    try:
        order = gates.order(order_effects(many, table))
    except InputError as error:
        order = Gate.unmeasured("order and batches", str(error), more)
    return [
        gates.ranking(many),
        gates.intervals(errors),
        gates.local(errors, w),
        gates.odd_runs(many, without),
        order,
    ]


def _answer(
    where: Searched,
    table: RunTable,
    recommendation: Recommendation,
    measured: Measured,
    baseline: str,
) -> list[Gate]:
    """Noise, distance and gain of the answer."""
    known = measured.noise is not None and np.isfinite(measured.noise.sd).any()
    noise = _noise(where, table, measured) if known else float("nan")
    weighed = where.surrogate.objective.coefficients(table.metrics) != 0
    repeated = measured.noise is not None and bool(measured.noise.replicates[weighed].all())
    asked = [gates.reliability(noise, _spread(where.surrogate, table), repeated)]
    if measured.extrapolation is not None:
        asked.append(gates.distance(measured.extrapolation))
    over = recommendation.gains.get(baseline)
    if over is not None:
        asked.append(gates.gain(baseline, over.raw, over.sd, over.shrunk, over.certain))
    return asked


def _noise_there(where: Searched, table: RunTable, measured: Measured) -> Gate:
    """From what was run twice, runs with fresh seeds included."""
    tables = [table] if measured.repeats is None else [table, measured.repeats]
    try:
        there = local_noise(tables, where.surrogate.objective, where.point.array)
    except InputError as error:
        return noise_there(None, str(error))
    return noise_there(there, "")


def _known(
    where: Searched,
    table: RunTable,
    recommendation: Recommendation,
    measured: Measured,
    inflation: float,
) -> Gate:
    noise, spread = _noise(where, table, measured), _spread(where.surrogate, table)
    return gates.known(recommendation.sd, noise, spread, inflation)


def _noise(where: Searched, table: RunTable, measured: Measured) -> float:
    """Sd of the objective of one run: of repeated runs, else as the law infers it."""
    if measured.noise is None or not np.isfinite(measured.noise.sd).any():
        return where.surrogate.noise(where.point.array[None])
    level, sd = np.nanmean(table.Y, axis=0)[None], np.nan_to_num(measured.noise.sd)[None]
    return float(where.surrogate.objective.moments(level, sd, table.metrics)[1][0])


def _spread(surrogate: Surrogate, table: RunTable) -> float:
    """Sd of the objective over the runs of the scale with most of them."""
    F = surrogate.objective.value(table.Y, table.metrics)
    _, number = np.unique(np.nan_to_num(table.scales), axis=0, return_inverse=True)
    number = number.reshape(-1)
    most = F[number == np.bincount(number).argmax()]
    sd = float(np.nanstd(most))
    return sd if np.isfinite(sd) else 0.0


def _space(
    surrogate: Surrogate,
    table: RunTable,
    recommendation: Recommendation,
    space: MixtureSpace,
    unit: float,
    rng: np.random.Generator,
) -> list[Gate]:
    looked = _tried(
        lambda: covered(
            surrogate.moments, space, table.W, value=recommendation.value, unit=unit, rng=rng
        )
    )
    return [] if looked is None else [gates.space_covered(looked)]


def _transfer(
    surrogate: Surrogate,
    runs: RunTable,
    recommendation: Recommendation,
    space: MixtureSpace,
    measured: Measured,
    errors: Errors | None,
) -> Gate:
    """Runs at the answer's scale: by pairs, or by many of its own that were held out."""
    at = (runs.scales == np.asarray(surrogate.scale)).all(axis=1)
    transfer = measured.transfer if at.any() else None
    if errors is not None and errors.at_target and len(errors.W) >= 2.5 * LEAST:
        rho, low, high = errors.ranking()
        if low > gates.RANKING:
            return Gate(
                "transfer between scales", "yes",
                f"{len(errors.W)} runs of the answer's scale are ranked with rho {rho:.2f} when "
                "held out", rho, low, high, gates.RANKING,
            )  # fmt: skip
    missing = max(
        1, gates.ANCHORS - (transfer.pairs if transfer is not None and transfer.paired else 0)
    )
    where = anchors(surrogate, runs, recommendation.mixture.array, space.prior, missing)
    each = _cost(runs, at, surrogate.scale)
    scale = "x".join(f"{v:.3g}" for v in surrogate.scale or ())
    what = (
        f"{missing} mixtures of the smaller scale again at the scale of the answer ({scale}): "
        f"the recommended and the {space.prior_name} one, the others from the best to the worst"
    )
    rows = tuple(tuple(float(x) for x in row) for row in where)
    return gates.transfer(transfer, Remedy(what, missing, missing * each, rows, "target"))


def anchors(surrogate: Surrogate, runs: RunTable, w: Array, natural: Array, count: int) -> Array:
    """(count, m) mixtures that show whether another scale ranks alike: from best to worst.

    The answer and the natural mixture, then runs at evenly spaced ranks of the prediction.
    """
    pool = np.unique(np.round(runs.W, 9), axis=0)
    pool = pool / pool.sum(axis=1, keepdims=True)
    order = np.argsort(surrogate.moments(pool)[0])
    ranks = np.unique(np.linspace(0, len(pool) - 1, max(count - 2, 1)).round().astype(int))
    return np.vstack([w, natural, pool[order[ranks]]])[:count]


def _cost(runs: RunTable, at: np.ndarray, scale: tuple[float, float] | None) -> float:
    """Of one run at the answer's scale: as measured there, else 6 N D where costs are that."""
    if at.any():
        return float(np.nanmean(runs.costs[at]))
    if "cost" in runs.facts or scale is None:
        return float("nan")
    return 6.0 * scale[0] * scale[1]


def _tried(measure: Callable[[], T]) -> T | None:
    try:
        return measure()
    except InputError:
        return None
