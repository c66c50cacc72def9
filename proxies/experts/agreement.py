"""How far a cheap evaluator can be trusted: does it rank mixtures as training does?

Notation:
    n mixtures that both have seen; rho: Spearman's rank correlation of the two
    95 % interval: Fisher's z, with the standard error sqrt((1 + rho^2 / 2) / (n - 3)) of Bonett and
    Wright (Psychometrika 65, 2000)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from mixopt.errors import InputError
from mixopt.runs import Observation
from mixopt.space.simplex import Array

_NORMAL_95 = 1.959964
GOOD, USEFUL = 0.7, 0.3


@dataclass(frozen=True)
class Agreement:
    """Of one metric, a cheap evaluator against training.

    Attributes:
        runs: mixtures that were compared.
        rho: Spearman's rank correlation; NaN where one side does not vary.
        low: lower end of its 95 % interval.
        high: upper end.
        bias: mean of cheap minus trained, in the metric's unit.
    """

    runs: int
    rho: float
    low: float
    high: float
    bias: float

    @property
    def verdict(self) -> str:
        """In words, from the lower end of the interval."""
        if self.low >= GOOD:
            return "ranks mixtures as training does"
        if self.low >= USEFUL:
            return "ranks mixtures roughly; confirm the best ones by training"
        return "not shown to rank mixtures as training does; add trained runs, or do not rely on it"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        rho = self.rho if np.isfinite(self.rho) else None
        return {
            "runs": self.runs,
            "rho": rho,
            "low": self.low,
            "high": self.high,
            "bias": self.bias,
            "verdict": self.verdict,
        }


def calibrate(cheap: Iterable[Observation], trained: Iterable[Observation]) -> dict[str, Agreement]:
    """Compare two evaluators on the mixtures that both have seen, metric by metric.

    Args:
        cheap: merged, mixed or replayed runs.
        trained: really trained ones, at any scale. Several runs of a mixture are averaged, and
            failed ones left out, on both sides.

    Raises:
        InputError: fewer than 3 mixtures, or no metric, in common.
    """
    ours, theirs = _by_mixture(cheap), _by_mixture(trained)
    shared = [mixture for mixture in ours if mixture in theirs]
    if len(shared) < 3:
        raise InputError(
            f"{len(shared)} mixtures were evaluated both ways; at least 3 are needed, and 8 to 16 "
            "make the interval useful"
        )
    names = [
        name
        for name in ours[shared[0]]
        if all(name in side[mixture] for side in (ours, theirs) for mixture in shared)
    ]
    if not names:
        raise InputError("the two kinds of runs have no metric in common; compare runs of one task")
    return {
        name: agreement([ours[w][name] for w in shared], [theirs[w][name] for w in shared])
        for name in names
    }


def agreement(cheap: Sequence[float], trained: Sequence[float]) -> Agreement:
    """Rank correlation, its interval and the bias of paired values.

    >>> measured = agreement([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [2, 1, 3, 4, 5, 6, 8, 7])
    >>> round(measured.rho, 2), round(measured.low, 2), round(measured.high, 2)
    (0.95, 0.66, 0.99)
    """
    x, y = np.asarray(cheap, dtype=float), np.asarray(trained, dtype=float)
    n, bias = x.size, float((x - y).mean())
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Agreement(n, float("nan"), -1.0, 1.0, bias)
    rho = float(spearmanr(x, y)[0])
    low, high = _interval(rho, n)
    return Agreement(n, rho, low, high, bias)


def _interval(rho: float, n: int) -> tuple[float, float]:
    if n <= 3:
        return -1.0, 1.0
    # Perfect agreement of few runs is no certainty: rho is known to half its smallest step.
    most = 1.0 - 6.0 / (n * (n**2 - 1))
    z = float(np.arctanh(np.clip(rho, -most, most)))
    reach = _NORMAL_95 * float(np.sqrt((1.0 + rho**2 / 2.0) / (n - 3)))
    return min(rho, float(np.tanh(z - reach))), max(rho, float(np.tanh(z + reach)))


_Key = tuple[tuple[str, float], ...]


def _by_mixture(runs: Iterable[Observation]) -> dict[_Key, dict[str, float]]:
    """Mean metrics per mixture; a metric that some of its runs lack is left out."""
    metrics: dict[_Key, list[Mapping[str, float]]] = {}
    for seen in runs:
        if seen.ok:
            shares = sorted(seen.spec.mixture.to_dict().items())
            key = tuple((d, round(w, 6)) for d, w in shares if w >= 5e-7)
            metrics.setdefault(key, []).append(seen.metrics)
    return {key: _means(values) for key, values in metrics.items()}


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = [name for name in values[0] if all(name in v for v in values)]
    columns: Array = np.array([[v[name] for name in names] for v in values])
    return dict(zip(names, columns.mean(axis=0).tolist(), strict=True))
