"""Units and weights that the runs give to an objective: spread and reliability of its metrics.

Reliability is the share of a metric's variance over mixtures that is no seed noise, from mixtures
that were run twice.

Notation:
    Y: (n, k) metrics; u: (k,) noise variance over the variance of the runs; reliability: 1 - u
"""

from dataclasses import dataclass

import numpy as np

from mixopt.errors import InputError
from mixopt.runs.group_noise import noise_of
from mixopt.runs.objective import Objective
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array

LEAST = 0.01
"""No metric is less reliable than this: of metrics that are all noise none is preferred."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Signal of every metric as a share of its variance.

    Attributes:
        metrics: (k,) names.
        values: (k,) from `LEAST` to 1; NaN where a metric was repeated nowhere.
        freedom: (k,) degrees of freedom behind its noise.
    """

    metrics: tuple[str, ...]
    values: Array
    freedom: Array


def reliability(runs: RunTable) -> Reliability:
    """Reliability of every metric, at the scale with most runs.

    Noise is that of runs of one mixture; few repeats of one metric are drawn to those of all as far
    as few ask (`mixopt.runs.group_noise`).
    """
    here = _fullest(runs)
    squares, freedom = within(here.W, here.Y)
    variance = np.full(len(freedom), np.nan)
    enough = np.isfinite(here.Y).sum(axis=0) > 1
    variance[enough] = np.nanvar(here.Y[:, enough], axis=0, ddof=1)
    known = (freedom > 0) & (variance > 0)
    values = np.full(len(freedom), np.nan)
    if known.any():
        shares = noise_of(squares[known] / variance[known], freedom[known])
        values[known] = np.clip(1.0 - shares.sds**2, LEAST, 1.0)
    # A metric that never varies has no noise either, and cannot change the choice.
    values[(freedom > 0) & (variance == 0)] = 1.0
    return Reliability(runs.metrics, values, freedom)


def within(W: Array, Y: Array) -> tuple[Array, Array]:
    """(k,) sums of squares around the mean of equal rows of W (n, m), and degrees of freedom."""
    _, number = np.unique(np.round(W, 9), axis=0, return_inverse=True)
    number = number.reshape(-1)
    seen = np.isfinite(Y)
    count, total = (
        np.stack([np.bincount(number, column) for column in part.T], axis=1)
        for part in (seen.astype(float), np.where(seen, Y, 0.0))
    )
    off = np.where(seen, Y - (total / np.maximum(count, 1))[number], 0.0)
    return (off**2).sum(axis=0), np.maximum(count - 1, 0).sum(axis=0)


def resolved(objective: Objective, runs: RunTable) -> Objective:
    """The objective with the units and weights that runs give to its metrics, where it asks.

    Units are sds over runs (`standardize`), weights are multiplied by reliability (`down-weight`).
    The runs of one scale decide, the scale with the most of them (the smallest of several): a
    difference of level between two scales is no spread between mixtures.

    Raises:
        InputError: metrics are to weigh by reliability, and one of them was repeated nowhere.
    """
    if objective.reliability == "down-weight":
        objective = objective.down_weighted(_of_weighed(runs, objective.metrics))
    if not objective.standardize:
        return objective
    return objective.standardized(_fullest(runs).Y, runs.metrics)


def _fullest(runs: RunTable) -> RunTable:
    """The runs of the scale with most of them."""
    scales, number = np.unique(np.nan_to_num(runs.scales), axis=0, return_inverse=True)
    number = number.reshape(-1)
    return runs.take(number == np.bincount(number, minlength=len(scales)).argmax())


def _of_weighed(runs: RunTable, metrics: tuple[str, ...]) -> dict[str, float]:
    """Metric to its reliability.

    Raises:
        InputError: one of them was repeated nowhere.
    """
    told = reliability(runs.only(metrics))
    missing = [k for k, v in zip(metrics, told.values, strict=True) if not np.isfinite(v)]
    if missing:
        raise InputError(
            f"metrics are to weigh by their reliability, and that of {missing[0]!r} is unknown: no "
            "mixture was run twice at the scale with most runs; run a few again with another seed "
            "(in a sweep 'repeats: 4' of the strategy auto), or leave 'reliability' out"
        )
    return dict(zip(metrics, told.values.tolist(), strict=True))
