"""From what was measured about runs, law and answer to the verdict: every gate asked, none skipped.

Notation:
    w: (m,) the answer; F: objective as it was minimised
"""

from dataclasses import replace

import numpy as np

from mixopt.diagnostics import CrossValidation, Transfer, Trust, gates, trust
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
from mixopt.diagnostics.local_noise import LocalNoise, local_noise, noise_there
from mixopt.diagnostics.ranks import correlation_interval, spearman
from mixopt.diagnostics.transfer import ALIKE, USELESS
from mixopt.errors import InputError
from mixopt.judging.guards import guards
from mixopt.judging.measuring import Beside, Measured
from mixopt.judging.searched import Searched
from mixopt.proposers import Recommendation, Surrogate
from mixopt.runs import Scale
from mixopt.runs.run_table import RunTable
from mixopt.space import MixtureSpace
from mixopt.space.simplex import Array


def gated(
    surrogate: Surrogate,
    runs: RunTable,
    recommendation: Recommendation,
    beside: Beside,
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
        beside: what is known without a law.
        measured: the diagnostics that there are.
        rng: draws the mixtures that the space is looked at by.
        searched: what errors, order and noise are judged by, where more than the mixture was
            searched.
    """
    where, space = searched or Searched(surrogate, runs, recommendation.mixture), beside.space
    table = where.runs.only(surrogate.metrics)
    errors = _errors(surrogate, table, measured.validation)
    many = _errors(surrogate, table, measured.validation, MANY)
    there, why = _noise_near(where, table, beside.repeats)
    noise = _noise(where, table, measured, there)
    w, inflation, wide = where.point.array, 1.0, recommendation
    if errors is not None:
        inflation, wide = errors.near(w).inflation(), recommendation.widened(errors.widening(w))
    asked = [
        *_held_out(errors, many, table, w, measured.without),
        _reliability(where, table, measured, noise, there),
        *_answer(wide, measured, space.prior_name),
        noise_there(there, why),
        _known(where, table, recommendation, noise, inflation, there),
    ]
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
        asked.append(_transfer(surrogate, runs, recommendation, beside, measured, errors))
    if beside.epochs is None:
        unasked.append("epochs (unknown for the proxies, the target, or both)")
    else:
        asked.append(gates.epochs(beside.epochs))
    asked += [Gate("what is meant", "no", d, allows="ranking only") for d in beside.doubts]
    return trust(_priced(asked, runs, surrogate.scale), unasked)


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
        gates.odd_runs(many, table.named, without),
        order,
    ]


def _answer(recommendation: Recommendation, measured: Measured, baseline: str) -> list[Gate]:
    """Distance and gain of the answer."""
    asked = []
    if measured.extrapolation is not None:
        asked.append(gates.distance(measured.extrapolation))
    over = recommendation.gains.get(baseline)
    if over is not None:
        asked.append(gates.gain(baseline, over.raw, over.sd, over.shrunk, over.certain))
    return asked


def _reliability(
    where: Searched, table: RunTable, measured: Measured, noise: float, there: LocalNoise | None
) -> Gate:
    spread, seen = _spread(where.surrogate, table), measured.noise
    if seen is None or not np.isfinite(seen.sd).any():
        return gates.reliability(float("nan"), spread, measured=False)
    weighed = where.surrogate.objective.coefficients(table.metrics) != 0
    near = there is not None and there.there > there.pooled
    if there is not None and there.there < there.pooled:
        noise *= there.pooled / there.there  # the law learned from all runs, the loud ones included
    return gates.reliability(noise, spread, bool(seen.replicates[weighed].all()), near)


def _noise_near(
    where: Searched, table: RunTable, repeats: RunTable | None
) -> tuple[LocalNoise | None, str]:
    """From what was run twice, runs with fresh seeds included; None with the reason without."""
    # Where more than mixtures was searched, the law's rows are no mixtures: the two do not mix.
    alike = repeats is not None and repeats.domains == table.domains
    tables = [table, repeats] if repeats is not None and alike else [table]
    try:
        return local_noise(tables, where.surrogate.objective, where.point.array), ""
    except InputError as error:
        return None, str(error)


def _known(
    where: Searched,
    table: RunTable,
    recommendation: Recommendation,
    noise: float,
    inflation: float,
    there: LocalNoise | None,
) -> Gate:
    """The value of the answer against its noise; where that is louder, less is known by as much."""
    spread = _spread(where.surrogate, table)
    louder = 1.0 if there is None else max(1.0, there.there / max(there.pooled, 1e-300))
    return gates.known(recommendation.sd, noise, spread, inflation * louder)


def _noise(where: Searched, table: RunTable, measured: Measured, there: LocalNoise | None) -> float:
    """Sd of the objective of one run at the answer: of repeated runs, else as the law infers it."""
    if measured.noise is None or not np.isfinite(measured.noise.sd).any():
        return where.surrogate.noise(where.point.array[None])
    level, sd = np.nanmean(table.Y, axis=0)[None], np.nan_to_num(measured.noise.sd)[None]
    pooled = float(where.surrogate.objective.moments(level, sd, table.metrics)[1][0])
    return pooled if there is None else pooled * there.there / max(there.pooled, 1e-300)


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
    try:
        looked = covered(
            surrogate.moments, space, table.W, value=recommendation.value, unit=unit, rng=rng
        )
    except InputError:
        return []  # one mixture alone: other gates say so
    return [gates.space_covered(looked)]


def _transfer(
    surrogate: Surrogate,
    runs: RunTable,
    recommendation: Recommendation,
    beside: Beside,
    measured: Measured,
    errors: Errors | None,
) -> Gate:
    """Runs at the answer's scale: by pairs, or by enough of its own that the law was not shown."""
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
    remedy = _more_pairs(surrogate, runs, recommendation, beside.space, transfer)
    paired = gates.transfer(transfer, remedy)
    if paired.state == "not measured" and beside.repeats is not None:
        return _foretold(surrogate, beside.repeats, remedy) or paired
    if paired.state == "not measured" and measured.expected is not None:
        return measured.expected.gate(paired)
    return paired


def _foretold(surrogate: Surrogate, repeats: RunTable, remedy: Remedy) -> Gate | None:
    """Do runs with fresh seeds at the answer's scale rank as predicted? None where too few.

    They are baselines and what is to be confirmed; a law that rests on smaller runs did not see
    them, so that they say of another scale what pairs would say.
    """
    F = surrogate.objective.value(repeats.Y, repeats.metrics)
    W, number = np.unique(np.round(repeats.W, 9), axis=0, return_inverse=True)
    if len(W) < LEAST:
        return None
    number = number.reshape(-1)
    means = np.array([np.nanmean(F[number == i]) for i in range(len(W))])
    predicted = surrogate.moments(W / W.sum(axis=1, keepdims=True))[0]
    straight, low, high = correlation_interval(predicted, means)
    rho = spearman(predicted, means)
    good = bool(low > gates.TRANSFER and rho >= ALIKE)
    ranks = bool(low > gates.TRANSFER_POOR and rho >= USELESS)
    return Gate(
        "transfer between scales",
        "yes" if good else "no",
        f"{len(W)} mixtures with fresh seeds at the scale of the answer rank as predicted with rho "
        f"{rho:.2f} (correlation at least {low:.2f})",
        straight, low, high, gates.TRANSFER,
        "trust" if good else "ranking only" if ranks else "do not trust",
        None if good else remedy,
    )  # fmt: skip


def _more_pairs(
    surrogate: Surrogate,
    runs: RunTable,
    recommendation: Recommendation,
    space: MixtureSpace,
    transfer: Transfer | None,
) -> Remedy:
    """Mixtures to run at both scales: as many as would settle it, were the correlation as it is."""
    pairs = transfer.pairs if transfer is not None and transfer.paired else 0
    missing = gates.ANCHORS - pairs
    if transfer is not None and missing <= 0:
        needed = gates.pairs_needed(transfer)
        if needed is None:
            what = "larger proxies: more pairs of these would not show that they rank alike"
            return Remedy(what, gates.ANCHORS)
        missing = max(1, needed - pairs)
    where = anchors(surrogate, runs, recommendation.mixture.array, space.prior, missing)
    scale = f" ({Scale(*map(int, surrogate.scale))})" if surrogate.scale else ""
    what = (
        f"{len(where)} mixtures of the smaller scale again at the scale of the answer{scale}: "
        f"the recommended and the {space.prior_name} one, the others from the best to the worst"
    )
    rows = tuple(tuple(float(x) for x in row) for row in where)
    return Remedy(what, len(where), mixtures=rows, where="target")


def anchors(surrogate: Surrogate, runs: RunTable, w: Array, natural: Array, count: int) -> Array:
    """(count, m) mixtures that show whether another scale ranks alike: from best to worst.

    The answer and the natural mixture, then runs at evenly spaced ranks of the prediction; none
    that ran at the scale of the answer already.
    """
    at = (runs.scales == np.asarray(surrogate.scale)).all(axis=1)
    known = {tuple(row) for row in np.round(runs.W[at], 9)}
    rest = np.array([row for row in np.unique(np.round(runs.W, 9), axis=0) if (*row,) not in known])
    rest = rest.reshape(-1, len(w)) / rest.reshape(-1, len(w)).sum(axis=1, keepdims=True)
    first = [row for row in (w, natural) if tuple(np.round(row, 9)) not in known]
    if len(rest):
        order = np.argsort(surrogate.moments(rest)[0])
        ranks = np.linspace(0, len(rest) - 1, max(count - len(first), 1)).round().astype(int)
        first += list(rest[order[np.unique(ranks)]])
    return np.array(first).reshape(-1, len(w))[:count]


def _priced(asked: list[Gate], runs: RunTable, scale: tuple[float, float] | None) -> list[Gate]:
    """The gates, the cost of what would change them filled in where it is known."""
    at = np.ones(len(runs), bool)
    if scale is not None:
        at = (runs.scales == np.asarray(scale)).all(axis=1)
    there = _each(runs, at, scale)
    small = there if scale is None else _each(runs, ~at, None)
    prices = {"answer": there, "target": there, "given": small, "design": small}
    return [
        g
        if g.remedy is None or g.remedy.where not in prices
        else replace(g, remedy=replace(g.remedy, cost=g.remedy.runs * prices[g.remedy.where]))
        for g in asked
    ]


def _each(runs: RunTable, rows: np.ndarray, scale: tuple[float, float] | None) -> float:
    """Cost of one run: as measured on these rows, else 6 N D where costs are that."""
    costs = runs.costs[rows]
    if np.isfinite(costs).any():
        return float(np.nanmean(costs))
    if "cost" in runs.facts or scale is None:
        return float("nan")
    return 6.0 * scale[0] * scale[1]
