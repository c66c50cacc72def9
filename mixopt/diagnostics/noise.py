"""How much of a metric is seed noise.

Notation:
    Y: (n, k) metrics; replicates: runs of one mixture at one scale
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixopt.diagnostics.validation import as_table, checked_runs, scale_numbers
from mixopt.laws.base import FittedLaw
from mixopt.runs.reliability import within
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array

POOR = 0.5
"""Reliability below which a metric is more noise than signal (METHODS 8 leaves it out)."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Seed noise per metric.

    Attributes:
        metrics: (k,) names.
        sd: (k,) of one run around the expectation at its mixture; NaN where nothing tells.
        reliability: (k,) 1 - sd^2 / variance over mixtures: 1 is all signal, 0 all noise.
        replicates: (k,) degrees of freedom behind `sd`; 0 where it comes from a law.
    """

    metrics: tuple[str, ...]
    sd: Array
    reliability: Array
    replicates: Array

    def poor(self, metrics: Sequence[str]) -> list[tuple[str, float]]:
        """Of some metrics those that repeated runs show to be mostly noise, with reliability."""
        return [
            (name, float(value))
            for name, value, freedom in zip(
                self.metrics, self.reliability, self.replicates, strict=True
            )
            if name in metrics and freedom > 0 and value < POOR
        ]

    def lines(self) -> list[str]:
        """In plain words."""
        if not np.isfinite(self.sd).any():
            return [
                "seed noise is unknown: no mixture was run twice at one scale; run one "
                "mixture with 3 seeds"
            ]
        whence = (
            f"measured on {int(np.nanmax(self.replicates))} repeated runs"
            if self.replicates.any()
            else "as the law estimates it; repeat a run with other seeds to measure it"
        )
        out = [f"seed noise is {_range(self.sd)} ({whence})"]
        poor = [
            f"{n} ({r:.2f})"
            for n, r in zip(self.metrics, self.reliability, strict=True)
            if r < POOR
        ]
        if poor:
            out.append(f"mostly noise (reliability below 0.5), better left out: {', '.join(poor)}")
        return out


def noise(runs: "RunTable | tuple[Array, Array]", fitted: FittedLaw | None = None) -> Noise:
    """Seed noise from replicates, else from a fitted law.

    Args:
        runs: a table, or (W, Y).
        fitted: the law whose noise is taken for metrics without replicates.

    Raises:
        InputError: fewer than two different mixtures.
    """
    table = as_table(runs)
    checked = checked_runs(table)
    strata = scale_numbers(checked)
    squares, freedom = within(np.column_stack([checked.groups, strata]), checked.Y)
    k = checked.Y.shape[1]
    sd = np.sqrt(squares / np.where(freedom > 0, freedom, np.nan))
    if fitted is not None:
        told = fitted.predict(checked.W[:1], None if checked.scale is None else checked.scale[:1])
        sd = np.where(freedom > 0, sd, told.noise)
    variance = np.full(k, np.nan)
    largest = np.bincount(strata).argmax()
    rows = checked.Y[strata == largest]
    enough = np.isfinite(rows).sum(axis=0) > 1
    variance[enough] = np.nanvar(rows[:, enough], axis=0, ddof=1)
    variance[variance == 0] = np.nan
    reliability = np.clip(1.0 - sd**2 / variance, 0.0, 1.0)
    return Noise(table.metrics, sd, reliability, freedom)


def _range(sd: Array) -> str:
    known = sd[np.isfinite(sd)]
    low, high = known.min(), known.max()
    return f"{low:.2g}" if np.isclose(low, high) else f"{low:.2g} to {high:.2g} over the metrics"
