"""Do runs of a small scale rank mixtures as runs of a larger one do?

Notation:
    small, large: (p, k) metrics of the same p mixtures at two scales
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixopt.diagnostics.ranks import (
    correlation_interval,
    decision_accuracy,
    spearman,
    spearman_interval,
)
from mixopt.diagnostics.validation import checked_runs, scale_numbers
from mixopt.errors import InputError
from mixopt.laws.base import FittedLaw, Ints
from mixopt.runs import short_number
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array

Mask = NDArray[np.bool_]
_GATE = 0.5  # METHODS 8: the campaign is gated at the lower end of the correlation
ALIKE = 0.7
"""Rank correlation from which scales rank alike; so that one run that is off at both scales does
not carry the correlation alone."""
USELESS = 0.3
"""Rank correlation on the objective below which small runs say nothing worth acting on."""
_TELLING = 8  # pairs; of fewer, a rho below 0.3 may be chance


@dataclass(frozen=True, eq=False)
class Transfer:
    """Agreement of two scales.

    Attributes:
        small, large: parameters and tokens of the two scales.
        pairs: mixtures compared. paired: whether the same mixtures ran at both scales; if not, a
            law fitted at the small scale stands in for it.
        metrics: (k,) names. rho, accuracy: (k,) rank correlation and share of pairs of mixtures
            that are ordered alike. rho_low, rho_high: (k,) 5 % and 95 % points of rho.
        slope: (k,) of the large scale's metric by the small one's.
        objective_rho: rho on the objective. objective_low, objective_high: 5 % and 95 % points of
            the correlation there (Pearson's, by Fisher's z: of eight pairs it tells a faithful
            scale in 70 % of cases, where a bootstrap of rho tells it in 50 %, and takes one that
            ranks at random for faithful in 1 %). objective_accuracy: share of pairs ordered alike.
    """

    small: tuple[float, float]
    large: tuple[float, float]
    pairs: int
    paired: bool
    metrics: tuple[str, ...]
    rho: Array
    rho_low: Array
    rho_high: Array
    accuracy: Array
    slope: Array
    objective_rho: float
    objective_low: float
    objective_high: float
    objective_accuracy: float

    @property
    def ok(self) -> bool:
        """Whether the lower end of the correlation is above 0.5, and the scales rank alike."""
        return bool(self.objective_low > _GATE and self.objective_rho >= ALIKE)

    @property
    def useless(self) -> bool:
        """Whether the objective's rank correlation is below 0.3, or none, by 8 or more pairs."""
        return self.pairs >= _TELLING and not self.objective_rho >= USELESS

    def lines(self) -> list[str]:
        """In plain words."""
        names = [f"{short_number(n)} params x {short_number(d)} tokens" for n, d in
                 (self.small, self.large)]  # fmt: skip
        out = [
            f"{names[0]} ranks {self.pairs} mixtures like {names[1]} with rho "
            f"{self.objective_rho:.2f} ({self.objective_low:.2f} to {self.objective_high:.2f}); "
            f"{100 * self.objective_accuracy:.0f} % of pairs are ordered alike"
            + ("" if self.paired else " (through a law: no mixture ran at both scales)")
        ]
        if self.useless:
            out.append("do not trust these proxies for this target: take larger proxies")
        elif not self.ok:
            out.append(
                "that is too uncertain to choose by: run more mixtures at both scales, or larger "
                "proxies"
            )
        named = list(zip(self.metrics, self.rho, self.rho_low, self.rho_high, strict=True))
        told = {n: f"{n} {r:.2f} ({a:.2f} to {b:.2f})" for n, r, a, b in named}
        poor = [told[n] for n, r, _, _ in named if not r >= _GATE]
        if poor:
            out.append(f"metrics that do not carry over (rho below {_GATE}): {', '.join(poor)}")
        unsure = [told[n] for n, r, a, _ in named if r >= _GATE and not a > 0]
        if unsure:
            out.append(f"metrics of which too few pairs tell: {', '.join(unsure)}")
        return out


def transfer(
    runs: RunTable,
    objective: Objective | None = None,
    *,
    fitted: FittedLaw | None = None,
) -> Transfer:
    """Compare the largest scale with the next smaller one that shares mixtures with it.

    Args:
        runs: a table with `params` or `tokens`.
        objective: the mean of all metrics if left out.
        fitted: a law of the small scale, used where no three mixtures ran at both.

    Raises:
        InputError: one scale only, or nothing to compare.
    """
    checked, objective = checked_runs(runs), objective or Objective.of(runs.metrics)
    strata = scale_numbers(checked)
    if checked.scale is None or strata.max() == 0:
        raise InputError("all runs have one scale; transfer needs runs at two or more")
    distinct = np.array([checked.scale[strata == s][0] for s in range(int(strata.max()) + 1)])
    order = np.argsort(distinct.prod(axis=1))
    large = int(order[-1])
    best: tuple[int, int, Array, Array] | None = None
    for small in order[-2::-1]:
        a, b = _shared(checked.Y, checked.groups, strata == small, strata == large)
        if len(a) >= 3 and (best is None or len(a) > best[0]):
            best = (len(a), int(small), a, b)
    paired = best is not None
    if best is None:
        if fitted is None:
            raise InputError(
                "no three mixtures ran at the largest scale and at another; run some at both, or "
                "give a law that is fitted at the small scale"
            )
        small = int(order[-2])
        rows = strata == large
        best = (
            int(rows.sum()),
            small,
            fitted.predict(checked.W[rows], np.tile(distinct[small], (int(rows.sum()), 1))).mean,
            checked.Y[rows],
        )
    pairs, small, a, b = best
    x, y = objective.value(a, runs.metrics), objective.value(b, runs.metrics)
    _, low, high = correlation_interval(x, y)
    k = range(len(runs.metrics))
    rho = np.array([spearman(a[:, j], b[:, j]) for j in k])
    counted = (np.isfinite(a) & np.isfinite(b)).sum(axis=0)
    ends = np.array([spearman_interval(rho[j], int(counted[j])) for j in k]).reshape(-1, 2)
    return Transfer(
        small=(float(distinct[small][0]), float(distinct[small][1])),
        large=(float(distinct[large][0]), float(distinct[large][1])),
        pairs=pairs,
        paired=paired,
        metrics=runs.metrics,
        rho=rho,
        rho_low=ends[:, 0],
        rho_high=ends[:, 1],
        accuracy=np.array([decision_accuracy(a[:, j], b[:, j]) for j in k]),
        slope=np.array([_slope(a[:, j], b[:, j]) for j in k]),
        objective_rho=spearman(x, y),
        objective_low=low,
        objective_high=high,
        objective_accuracy=decision_accuracy(x, y),
    )


def _shared(Y: Array, groups: Ints, small: Mask, large: Mask) -> tuple[Array, Array]:
    """Metrics of the mixtures that ran at both scales, replicates averaged."""
    common = np.intersect1d(groups[small], groups[large])
    pick = [
        np.array([np.nanmean(Y[side & (groups == g)], axis=0) for g in common])
        for side in (small, large)
    ]
    return pick[0], pick[1]


def _slope(x: Array, y: Array) -> float:
    seen = np.isfinite(x) & np.isfinite(y)
    if seen.sum() < 3 or np.ptp(x[seen]) == 0:
        return float("nan")
    return float(np.polyfit(x[seen], y[seen], 1)[0])
