"""Few runs of other scales correct a law of one scale, per metric.

At every scale s and for every metric, y = a_s + b_s g(w) + noise: targets keep their ranking
between scales far better than their slopes, so an average of metrics is mis-weighted until the
slopes are known (METHODS 11.3, the first order of an AR(1) co-kriging). g is any law without a
scale term, fitted to the runs of the scale with most mixtures, and to those of other well-filled
scales mapped back to it. A scale that no run has gets its level from E + A N^-alpha + B D^-beta and
its slope from a line in log N and log D.

Notation:
    W: (n, m) mixtures; Y: (n, k) metrics; scale: (n, 2) parameters N and tokens D
    scales: (r, 2) distinct; at: (n,) which of them a run is at; a, b: (r, k) per scale and metric
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixopt.laws import as_law, fitted_law
from mixopt.laws.base import (
    JSON,
    FittedLaw,
    Ints,
    Law,
    Prediction,
    Runs,
    check_runs,
    check_scale,
    mean_of,
    numbers,
    plain,
    several_scales,
)
from mixopt.laws.scales.affine import Affine, fit_affine, level_curve
from mixopt.laws.shown import Shown
from mixopt.space.simplex import Array

_FILLED = 0.25  # of the source's mixtures: from here on a scale helps to learn g


@dataclass(frozen=True)
class Correction:
    """A law without a scale term, with an affine map to every scale.

    Args:
        base: name of the law, or the law, that learns g.
        rounds: how often g is learned again from all well-filled scales.
    """

    base: "str | Law" = "gp"
    rounds: int = 2

    takes_scales: ClassVar[bool] = True

    def fit(
        self, W: Array, Y: Array, scale: Array | None = None, *, rng: np.random.Generator
    ) -> "FittedCorrection":
        """Fit g, then the maps; with one scale this is the base law.

        Raises:
            InputError: see `check_runs`, or what the base law raises.
        """
        runs = check_runs(W, Y, scale)
        base = plain(as_law(self.base)) if several_scales(runs.scale) else as_law(self.base)
        if runs.scale is None or not several_scales(runs.scale):
            scales = np.ones((1, 2)) if runs.scale is None else runs.scale[:1]
            return FittedCorrection(
                base.fit(runs.W, runs.Y, rng=rng), scales, 0, Affine.identity(1, runs.Y.shape[1])
            )
        scales, at = np.unique(runs.scale, axis=0, return_inverse=True)
        at = np.asarray(at, dtype=np.intp).reshape(-1)
        source = _source(runs, scales, at)
        pooled = _well_filled(runs, at, source)
        fitted = _fit_pooled(base, runs, at, [source], None, rng)
        maps = _maps(fitted, runs, at, source)
        for _ in range(self.rounds if len(pooled) > 1 else 0):
            fitted = _fit_pooled(base, runs, at, pooled, maps, rng)
            maps = _maps(fitted, runs, at, source)
        return FittedCorrection(fitted, scales, source, maps)


@dataclass(frozen=True, eq=False, repr=False)
class FittedCorrection(Shown):
    """The law g, the scales (r, 2) that were seen, which of them g is at, and the maps."""

    base: FittedLaw
    scales: Array
    source: int
    maps: Affine

    def predict(self, W: Array, scale: Array | None = None) -> Prediction:
        """Metrics at mixtures W (n, m) and scales (n, 2) or (2,).

        Without a scale, the largest one that was seen (by 6 N D) is meant.
        """
        predicted = self.base.predict(W)
        asked = self._asked(predicted.mean, scale)
        mean, variance = np.empty((2, *predicted.mean.shape))
        noise = np.zeros((1, predicted.mean.shape[1]))
        for target in np.unique(asked, axis=0):
            rows = (asked == target).all(axis=1)
            a, b, extra, spread = self._map(target)
            mean[rows] = a + b * predicted.mean[rows]
            off = predicted.mean[rows] - self.maps.center
            variance[rows] = (b * predicted.sd[rows]) ** 2 + extra[0] + extra[1] * off**2
            noise = np.maximum(noise, np.maximum(spread, b * predicted.noise * (spread == 0)))
        return Prediction(mean, np.sqrt(variance), noise[0])

    def mean(self, W: Array, scale: Array | None = None) -> Array:
        """(n, k) the mean of `predict`, without the work for the sd."""
        means = mean_of(self.base, W)
        asked = self._asked(means, scale)
        for target in np.unique(asked, axis=0):
            rows = (asked == target).all(axis=1)
            a, b, _, _ = self._map(target)
            means[rows] = a + b * means[rows]
        return means

    def _asked(self, means: Array, scale: Array | None) -> Array:
        """(n, 2) scales asked for; the largest that was seen without one."""
        asked = check_scale(scale, len(means))
        if asked is None:
            asked = np.tile(self.scales[int(np.argmax(self.scales.prod(axis=1)))], (len(means), 1))
        return asked

    def _map(self, target: Array) -> tuple[Array, Array, tuple[Array, Array], Array]:
        """a, b, (variance of level, variance of slope) and noise (k,) at a scale (2,)."""
        near = np.abs(np.log(self.scales / target)).max(axis=1)
        i = int(near.argmin())
        maps = self.maps
        if near[i] < 1e-6 or len(self.scales) == 1:
            return (
                maps.a[i],
                maps.b[i],
                (maps.level_variance[i], maps.slope_variance[i]),
                maps.noise[i],
            )
        level, b, doubt = level_curve(self.scales, maps, target)
        noise = maps.noise[i]
        return level - b * maps.center, b, (doubt[0], doubt[1]), noise

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "law": "correction",
            "base": self.base.to_dict(),
            "scales": self.scales.tolist(),
            "source": self.source,
            "maps": self.maps.to_dict(),
        }


def read(values: JSON) -> FittedCorrection:
    """The fitted law that `to_dict` wrote."""
    return FittedCorrection(
        fitted_law(values["base"]),
        numbers(values["scales"]),
        int(values["source"]),
        Affine.read(values["maps"]),
    )


def _mixtures(runs: Runs, rows: NDArray[np.bool_]) -> int:
    return int(np.unique(runs.groups[rows]).size)


def _source(runs: Runs, scales: Array, at: Ints) -> int:
    """The scale with most mixtures; of equals, the largest scale."""
    counts = [(_mixtures(runs, at == i), scales[i].prod()) for i in range(len(scales))]
    return max(range(len(scales)), key=counts.__getitem__)


def _well_filled(runs: Runs, at: Ints, source: int) -> list[int]:
    least = max(8.0, _FILLED * _mixtures(runs, at == source))
    return [i for i in range(int(at.max()) + 1) if i == source or _mixtures(runs, at == i) >= least]


def _fit_pooled(
    base: Law,
    runs: Runs,
    at: Ints,
    pooled: Sequence[int],
    maps: Affine | None,
    rng: np.random.Generator,
) -> FittedLaw:
    """The law g from the runs of some scales, mapped back to the source's units."""
    Y = runs.Y.copy()
    if maps is not None:
        slope = np.where(maps.b > 0.02, maps.b, np.nan)  # what does not follow g teaches nothing
        Y = (Y - maps.a[at]) / slope[at]
    rows = np.isin(at, pooled)
    return base.fit(runs.W[rows], Y[rows], rng=rng)


def _maps(fitted: FittedLaw, runs: Runs, at: Ints, source: int) -> Affine:
    predicted = fitted.predict(runs.W)
    return fit_affine(predicted, runs.Y, at, source)
