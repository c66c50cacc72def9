"""Cross-validation of a law, and what more runs would bring.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; F: (n,) objective, lower is better
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixopt.diagnostics.ranks import spearman_within
from mixopt.errors import InputError
from mixopt.laws import law_for
from mixopt.laws.base import Law, Prediction, Runs, check_runs
from mixopt.laws.held_out import refit_folds
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space import html
from mixopt.space.simplex import Array
from mixopt.threads import one_blas_thread

_Z90 = 1.645


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What a law says of runs that it was not shown.

    Attributes:
        runs: how many; folds: how many parts they were held out in, mixtures never split.
        metrics: (k,) names. rho: (k,) rank correlations (within scales, where several).
        error: (k,) root mean square error, as a share of the sd of the metric (1: knows nothing).
        coverage: (k,) share of held-out runs inside the 90 % interval.
        objective_rho, objective_coverage: the same of the objective.
        observed: (n, k) the runs' metrics; predicted: of each run by a law that did not see it.
    """

    runs: int
    folds: int
    metrics: tuple[str, ...]
    rho: Array
    error: Array
    coverage: Array
    objective_rho: float
    objective_coverage: float
    observed: Array
    predicted: Prediction

    def _repr_html_(self) -> str:
        columns = zip(self.metrics, self.rho, self.error, self.coverage, strict=True)
        rows: list[list[html.Cell]] = [
            [name, float(rho), float(error), html.percent(float(inside))]
            for name, rho, error, inside in columns
        ]
        inside = html.percent(self.objective_coverage)
        rows.insert(0, ["the objective", self.objective_rho, None, inside])
        title = f"{self.runs} runs held out in {self.folds} folds"
        return html.table(["metric", "rank correlation", "error / sd", "in 90 %"], rows, title)

    def lines(self) -> list[str]:
        """In plain words."""
        out = [
            f"held-out runs are ranked with rho {self.objective_rho:.2f} on the objective "
            f"({self.runs} runs, {self.folds} folds); 90 % intervals hold "
            f"{100 * self.objective_coverage:.0f} % of them"
        ]
        weak = [
            f"{n} ({r:.2f})" for n, r in zip(self.metrics, self.rho, strict=True) if not r >= 0.5
        ]
        if weak:
            out.append(f"metrics that the law cannot rank (rho below 0.5): {_some(weak)}")
        off = [
            f"{n} ({100 * c:.0f} %)"
            for n, c in zip(self.metrics, self.coverage, strict=True)
            if not 0.8 <= c <= 0.98
        ]
        if off:
            out.append(f"metrics whose 90 % interval is off (below 80 or above 98 %): {_some(off)}")
        return out


@one_blas_thread
def cross_validate(
    law: "str | Law",
    runs: "RunTable | tuple[Array, Array]",
    objective: Objective | None = None,
    *,
    folds: int = 5,
    rng: np.random.Generator,
) -> CrossValidation:
    """Fit a law to all folds but one, and predict that one; for every fold.

    Args:
        law: a name or a law. Of runs of several scales one that takes one scale is fitted through
            `correction`.
        runs: a table, or (W, Y).
        objective: the mean of all metrics if left out.
        folds: at most the number of different mixtures.
        rng: draws the folds.

    Raises:
        InputError: too few runs to hold any out, or what the law raises.
    """
    table = as_table(runs)
    checked = checked_runs(table)
    objective = objective or Objective.of(table.metrics)
    objective.check(table.metrics)
    mixtures = int(checked.groups.max()) + 1
    if mixtures < 4:
        raise InputError(f"{mixtures} different mixtures; cross-validation needs 4 or more")
    folds = min(folds, mixtures)
    predicted = refit_folds(law_for(law, checked.scale), checked, folds=folds, rng=rng)
    return _scores(table, checked, predicted, objective, folds)


def _scores(
    table: RunTable, runs: Runs, predicted: Prediction, objective: Objective, folds: int
) -> CrossValidation:
    strata = scale_numbers(runs)
    Y, total = runs.Y, predicted.total_sd
    k = Y.shape[1]
    rho = np.array([spearman_within(predicted.mean[:, j], Y[:, j], strata) for j in range(k)])
    spread = np.nanstd(_within(Y, strata), axis=0)
    error = np.sqrt(np.nanmean((Y - predicted.mean) ** 2, axis=0)) / np.where(
        spread > 0, spread, 1.0
    )
    coverage = np.array([_coverage(Y[:, j], predicted.mean[:, j], total[:, j]) for j in range(k)])
    F = objective.value(Y, table.metrics)
    mean, sd = objective.moments(predicted.mean, total, table.metrics)
    return CrossValidation(
        runs=len(Y),
        folds=folds,
        metrics=table.metrics,
        rho=rho,
        error=error,
        coverage=coverage,
        objective_rho=spearman_within(mean, F, strata),
        objective_coverage=_coverage(F, mean, sd),
        observed=Y,
        predicted=predicted,
    )


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """How the error of a law falls with runs.

    Attributes:
        sizes: (s,) training runs. rho: (s,) on the objective. error: (s,) rmse of the objective as
            a share of its sd. runs: how many there are now.
        power: (floor, amplitude, exponent) of error = floor + amplitude n^-exponent.
    """

    sizes: tuple[int, ...]
    rho: Array
    error: Array
    runs: int
    power: tuple[float, float, float]

    def expected_error(self, runs: int) -> float:
        """Error that so many runs would leave, as a share of the objective's sd."""
        floor, amplitude, exponent = self.power
        return float(floor + amplitude * runs ** (-exponent))

    def lines(self, more: int = 50) -> list[str]:
        """In plain words: are `more` runs worth it?"""
        now, then = self.expected_error(self.runs), self.expected_error(self.runs + more)
        gain = 1.0 - then / now if now > 0 else 0.0
        verdict = "worth it" if gain > 0.1 and now > 0.1 else "hardly worth it"
        left = 100 * max(then, 0.0)
        return [
            f"with {self.runs} runs the law misses the objective by {100 * now:.0f} % of its "
            f"spread; another {more} runs would bring that to {left:.0f} %: {verdict}"
        ]


@one_blas_thread
def learning_curve(
    law: "str | Law",
    runs: "RunTable | tuple[Array, Array]",
    objective: Objective | None = None,
    *,
    sizes: Sequence[int] | None = None,
    repeats: int = 3,
    rng: np.random.Generator,
) -> LearningCurve:
    """Fit a law to random parts of the runs and predict the others.

    Args:
        law: a name or a law, see `cross_validate`.
        runs: a table, or (W, Y).
        objective: the mean of all metrics if left out.
        sizes: training runs; a quarter, half and four fifths of them if left out.
        repeats: random parts per size.
        rng: draws the parts.

    Raises:
        InputError: fewer than 12 different mixtures.
    """
    table = as_table(runs)
    checked = checked_runs(table)
    objective = objective or Objective.of(table.metrics)
    made, strata = law_for(law, checked.scale), scale_numbers(checked)
    mixtures = int(checked.groups.max()) + 1
    if mixtures < 12:
        raise InputError(f"{mixtures} different mixtures; a learning curve needs 12 or more")
    wanted = sizes or [mixtures // 4, mixtures // 2, (4 * mixtures) // 5]
    F = objective.value(checked.Y, table.metrics)
    spread = np.nanstd(_within(F[:, None], strata)) or 1.0
    rho, error = [], []
    for size in wanted:
        ranks, errors = [], []
        for _ in range(repeats):
            picked = rng.permutation(mixtures)[:size]
            train = np.isin(checked.groups, picked)
            scale = checked.scale
            fitted = made.fit(
                checked.W[train], checked.Y[train], None if scale is None else scale[train], rng=rng
            )
            predicted = fitted.predict(checked.W[~train], None if scale is None else scale[~train])
            mean, _ = objective.moments(predicted.mean, predicted.sd, table.metrics)
            ranks.append(spearman_within(mean, F[~train], strata[~train]))
            errors.append(np.sqrt(np.nanmean((mean - F[~train]) ** 2)) / spread)
        rho.append(np.nanmean(ranks) if np.isfinite(ranks).any() else np.nan)
        error.append(np.mean(errors))
    power = _power(np.array(wanted, dtype=float), np.array(error))
    return LearningCurve(tuple(wanted), np.array(rho), np.array(error), mixtures, power)


def as_table(runs: "RunTable | tuple[Array, Array]") -> RunTable:
    """A table of (W, Y), domains and metrics named by their numbers; a table as it is."""
    if isinstance(runs, RunTable):
        return runs
    checked = check_runs(*runs)
    n, m = checked.W.shape
    return RunTable(
        tuple(f"domain{i}" for i in range(m)),
        tuple(f"metric{j}" for j in range(checked.Y.shape[1])),
        checked.W,
        checked.Y,
        pd.DataFrame(index=range(n)),
    )


def checked_runs(table: RunTable) -> Runs:
    """The runs of a table; a scale that some run lacks counts as unknown for all."""
    scales = table.scales
    scales[:, np.isnan(scales).any(axis=0)] = np.nan
    return check_runs(table.W, table.Y, scales)


def scale_numbers(runs: Runs) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """(n,) number of each run's scale."""
    if runs.scale is None:
        return np.zeros(len(runs.W), dtype=np.intp)
    _, inverse = np.unique(runs.scale, axis=0, return_inverse=True)
    return np.asarray(inverse, dtype=np.intp).reshape(-1)


def _within(Y: Array, strata: np.ndarray) -> Array:
    """Y less its mean within each stratum."""
    out = Y.copy()
    for s in set(strata.tolist()):
        rows = strata == s
        out[rows] -= np.nan_to_num(np.nanmean(Y[rows], axis=0))
    return out


def _coverage(truth: Array, mean: Array, sd: Array) -> float:
    seen = np.isfinite(truth) & np.isfinite(mean)
    if not seen.any():
        return float("nan")
    return float((np.abs(truth - mean)[seen] <= _Z90 * sd[seen]).mean())


def _power(n: Array, error: Array) -> tuple[float, float, float]:
    """The floor + amplitude n^-exponent of least squares, floor and amplitude not negative."""
    best = (np.inf, (float(error.min()), 0.0, 0.5))
    for exponent in (0.3, 0.5, 0.75, 1.0):
        x = n ** (-exponent)
        for share in (0.0, 0.3, 0.6, 0.8):
            floor = share * float(error.min())
            amplitude = max(float((x * (error - floor)).sum() / (x * x).sum()), 0.0)
            miss = float(((error - floor - amplitude * x) ** 2).sum())
            if miss < best[0] - 1e-12:
                best = (miss, (floor, amplitude, exponent))
    return best[1]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
