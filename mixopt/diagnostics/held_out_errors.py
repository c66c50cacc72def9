"""Held-out errors of the objective: over all runs, near the answer, of odd runs, along their order.

Everything here is about the objective as it was minimised: its weighed metrics alone, in its units,
at the scale of the answer where enough runs are there.

Notation:
    F: (n,) objective of the runs, lower is better; M, S: (n,) its held-out prediction and the sd of
    one run around that; z = (F - M) / S
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from mixopt.diagnostics.ranks import spearman, spearman_interval
from mixopt.diagnostics.validation import CrossValidation
from mixopt.errors import InputError
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array, hellinger_distance

LEAST = 8
"""Runs at a scale below which nothing is concluded from them alone: of seven pairs without any
relation one in twenty reaches a rank correlation of .71."""
MANY = 20
"""Runs at the scale of the answer from which ranks and order are judged there alone; of eight runs
a law that ranks well shows a rank correlation anywhere between .4 and 1."""
TIMES = ("time", "started", "started_at", "date", "timestamp", "order", "step")
BATCHES = ("batch", "machine", "host", "cluster", "node", "device", "precision")
"""Columns of a run table that say when or where a run was made."""


@dataclass(frozen=True, eq=False)
class Errors:
    """What a law says of runs that it was not shown, on the objective.

    Attributes:
        W: (n, m) mixtures. truth, mean, sd: (n,) F, M and S. rows: (n,) of the table.
        at_target: whether these are runs of the scale of the answer.
    """

    W: Array
    truth: Array
    mean: Array
    sd: Array
    rows: NDArray[np.intp]
    at_target: bool = True

    @property
    def z(self) -> Array:
        """(n,) errors in units of what was claimed."""
        return np.asarray((self.truth - self.mean) / np.maximum(self.sd, 1e-300))

    @property
    def spread(self) -> float:
        """Sd of the objective over the runs, the unit in which regret is read."""
        plain = float(np.std(self.truth))
        return plain if plain > 0 else 1.0

    def ranking(self) -> tuple[float, float, float]:
        """Rank correlation over mixtures, with its 5 % and 95 % points; repeats are averaged."""
        _, group = np.unique(np.round(self.W, 9), axis=0, return_inverse=True)
        group = group.reshape(-1)
        count = np.bincount(group)
        x, y = (np.bincount(group, v) / count for v in (self.mean, self.truth))
        rho = spearman(x, y)
        return rho, *spearman_interval(rho, len(x))

    def near(self, w: Array) -> "Errors":
        """Of the mixtures nearest to w (m,) alone: a sixth of the runs, at least five."""
        distance = hellinger_distance(np.atleast_2d(w), self.W)[0]
        some = max(5, int(np.ceil(len(self.W) / 6)))
        order = np.argsort(distance, kind="stable")[:some]
        return self._take(order)

    def _take(self, rows: NDArray[Any]) -> "Errors":
        return replace(
            self, W=self.W[rows], truth=self.truth[rows], mean=self.mean[rows], sd=self.sd[rows],
            rows=self.rows[rows],
        )  # fmt: skip

    def ratio(self) -> tuple[float, float, float]:
        """Root mean square of z, 1 where sds are right, with its 5 % and 95 % points."""
        total, n = float((self.z**2).sum()), len(self.z)
        low, high = (float(np.sqrt(total / scipy.stats.chi2.ppf(q, n))) for q in (0.95, 0.05))
        return float(np.sqrt(total / n)), low, high

    def inflation(self) -> float:
        """`ratio`, drawn to 1 by five runs' worth of belief in the law's own sd."""
        return float(np.sqrt(((self.z**2).sum() + 5.0) / (len(self.z) + 5.0)))

    def widening(self, w: Array) -> float:
        """By how much the claimed sd of an answer at w (m,) is too small, at least 1.

        The root mean square of z, over all runs or near the answer, whichever is more: near it
        there are few, and elsewhere the law may be as wrong as it is there.
        """
        return max(1.0, self.ratio()[0], self.near(w).inflation())

    def odd(self) -> tuple[float, int]:
        """Largest |z| in robust sds of all z, and the row of the table that has it."""
        oddness = self._oddness
        worst = int(oddness.argmax())
        return float(oddness[worst]), int(self.rows[worst])

    def odd_rows(self, beyond: float) -> NDArray[np.intp]:
        """Rows of the table that are missed by more than so many robust sds."""
        return self.rows[self._oddness > beyond]

    @property
    def _oddness(self) -> Array:
        z = self.z - np.median(self.z)
        unit = 1.4826 * float(np.median(np.abs(z)))
        return np.asarray(np.abs(z) / max(unit, 1e-12))


@dataclass(frozen=True)
class Without:
    """What an answer is without the odd runs.

    Attributes:
        rows: how many were left out.
        moved: by how much its value changes, in seed sds.
        lost: what the law without them says it is worse than the best, in sds of the objective over
            the runs.
    """

    rows: int
    moved: float
    lost: float


def held_out_errors(
    validation: CrossValidation,
    table: RunTable,
    objective: Objective,
    scale: tuple[float, float] | None = None,
    least: int = LEAST,
) -> Errors:
    """The objective's held-out errors at the scale of the answer, or at the one with most runs.

    Args:
        validation: of the table.
        objective: as it was minimised.
        table: the runs, with the metrics that were validated.
        scale: of the answer; None where all runs share one.
        least: runs that it takes at the scale of the answer to look there alone.

    Raises:
        InputError: no run has both the objective and a held-out prediction of it.
    """
    predicted, names = validation.predicted, validation.metrics
    truth = objective.value(validation.observed, names)
    mean, sd = objective.moments(predicted.mean, predicted.total_sd, names)
    known = np.isfinite(truth) & np.isfinite(mean) & np.isfinite(sd)
    scales = np.nan_to_num(table.scales)
    at = known.copy()
    if scale is not None:
        at &= (scales == np.asarray(scale)).all(axis=1)
    here = bool(at.any()) and (scale is None or at.sum() >= least)
    if not here:
        _, number = np.unique(scales, axis=0, return_inverse=True)
        number = number.reshape(-1)
        at = known & (number == np.bincount(number[known]).argmax() if known.any() else False)
    if not at.any():
        raise InputError("no run has both the objective and a held-out prediction of it")
    return Errors(table.W[at], truth[at], mean[at], sd[at], np.flatnonzero(at), here)


@dataclass(frozen=True, eq=False)
class Order:
    """Do metrics or mixtures go with the order of the runs, or with the batch?

    Attributes:
        by: the column that gives the order or the batch; `"rows"` for the order of the table.
        mixtures: how closely a share follows it: the largest |rank correlation| (of a batch the
            largest correlation ratio) over domains.
        errors: the same of the held-out errors. p: chance of that where there is no effect.
    """

    by: str
    mixtures: float
    errors: float
    p: float

    def lines(self) -> list[str]:
        """In plain words."""
        return [
            f"held-out errors follow {_told(self.by)} with {self.errors:.2f} (p = {self.p:.2g}), "
            f"mixtures with {self.mixtures:.2f}"
        ]


def order_effects(errors: Errors, table: RunTable) -> list[Order]:
    """One for the order of the runs, and one for every batch column.

    The order is that of a column that tells the time, else that of the rows.

    Raises:
        InputError: too few runs to tell an order.
    """
    if len(errors.W) < LEAST:
        raise InputError(f"{len(errors.W)} runs; their order tells something from {LEAST} on")
    facts = table.facts.iloc[errors.rows]
    time = next((c for c in TIMES if c in facts and facts[c].nunique() > 2), None)
    when = np.arange(len(facts)) if time is None else facts[time].rank().to_numpy()
    residual = errors.truth - errors.mean
    orders = [_by_order(time or "rows", np.asarray(when, float), errors.W, residual)]
    for column in BATCHES:
        if column in facts and 1 < facts[column].nunique() <= len(facts) // 4:
            orders.append(
                _by_batch(column, facts[column].astype(str).to_numpy(), errors.W, residual)
            )
    return orders


def _by_order(name: str, when: Array, W: Array, residual: Array) -> Order:
    shares = [abs(spearman(when, W[:, j])) for j in range(W.shape[1])]
    rho = spearman(when, residual)
    p = float(scipy.stats.spearmanr(when, residual).pvalue) if np.isfinite(rho) else 1.0
    return Order(name, float(np.nan_to_num(shares).max()), float(np.nan_to_num(abs(rho))), p)


def _by_batch(name: str, batch: NDArray[Any], W: Array, residual: Array) -> Order:
    shares = [_correlation_ratio(batch, W[:, j])[0] for j in range(W.shape[1])]
    ratio, p = _correlation_ratio(batch, residual)
    return Order(name, max(shares), ratio, p)


def _correlation_ratio(batch: NDArray[Any], x: Array) -> tuple[float, float]:
    """Share of the ranks' sd that the batch explains, and its p (Kruskal and Wallis)."""
    parts = [x[batch == b] for b in np.unique(batch)]
    if np.ptp(x) == 0:
        return 0.0, 1.0
    statistic, p = scipy.stats.kruskal(*parts)
    return float(np.sqrt(np.clip(statistic / (len(x) - 1), 0.0, 1.0))), float(p)


def _told(by: str) -> str:
    return "the order of the rows" if by == "rows" else f"the column {by!r}"
