"""Is every mixture as noisy as the others? Seed noise of several groups of runs, partly pooled.

Two or three seeds of one mixture say little of its noise: two of them show a third of it or less in
one case of four. Pooled over groups it is known well, and is wrong for all where one is louder than
the rest. So the variances of the groups are taken to be draws from one distribution, as in limma
(Smyth 2004), whose width is not estimated (of four groups it cannot be) but averaged over.

Notation:
    s2: (g,) variance of each group's runs on d (g,) degrees of freedom
    true variances ~ S d0 / chi2(d0); d0 = infinity is one noise for all; S: (q,) on a grid
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from mixopt.space.simplex import Array

LIKELY = 0.5
"""Probability from which on noise counts as differing; below it is pooled as if there were no
question. With equal noise that happens by chance in one of six cases (five candidates of three
seeds), at no more wins that are none."""
_ALIKE = 0.5  # probability of one noise for all before the runs
_WIDTHS = (4.0, 2.0, 1.0)
"""d0: sds then typically differ by factors of 1.5, 2 and 4 between groups."""
_GRID = np.linspace(-6.0, 4.0, 81)  # log S around the pooled variance
_LEAST = 1e-6  # of the pooled variance: scores in steps can be equal by chance


@dataclass(frozen=True)
class PairNoise:
    """Noise of the difference of two means.

    Attributes:
        sd: of one run that makes the difference as uncertain as it is: the pooled one, were both
            groups as noisy.
        weights: (h,) of the hypotheses. errors: (h,) standard errors. freedom: (h,) of these.
    """

    sd: float
    weights: tuple[float, ...]
    errors: tuple[float, ...]
    freedom: tuple[float, ...]

    def below(self, difference: float) -> float:
        """Probability that the true difference is below zero, given the measured one."""
        if min(self.errors) <= 0:
            return 0.5 - 0.5 * float(np.sign(difference))
        errors, freedom = np.array(self.errors), np.array(self.freedom)
        return float(np.array(self.weights) @ special.stdtr(freedom, -difference / errors))

    def half(self, tail: float = 0.05) -> float:
        """Half of the interval that leaves `tail` on each side; NaN where noise is unknown."""
        if not np.isfinite(self.sd):
            return float("nan")
        each = [
            e * float(special.stdtrit(f, 1.0 - tail))
            for e, f in zip(self.errors, self.freedom, strict=True)
        ]
        if min(each) == max(each):
            return float(each[0])
        return float(optimize.brentq(lambda x: self.below(x) - tail, min(each), max(each)))


@dataclass(frozen=True, eq=False)
class GroupNoise:
    """Seed noise of groups of runs.

    Attributes:
        pooled: sd of one run over all groups; NaN where no group has two runs.
        freedom: behind it.
        differs: probability that the groups are not equally noisy.
        weights: (h,) of the hypotheses. variances, freedoms: (h, g) under each.
    """

    pooled: float
    freedom: int
    differs: float
    weights: Array
    variances: Array
    freedoms: Array

    @property
    def alike(self) -> bool:
        """Whether one noise is used for all groups."""
        return len(self.weights) == 1

    @property
    def sds(self) -> Array:
        """(g,) sd of one run of each group: the pooled one where they are alike."""
        if self.alike:
            return np.full(self.variances.shape[1], self.pooled)
        return np.asarray(np.exp(0.5 * self.weights @ np.log(np.maximum(self.variances, 1e-300))))

    def between(self, one: int, other: int, runs: Sequence[int]) -> PairNoise:
        """Noise of the difference of the means of two groups.

        Args:
            one: number of a group.
            other: of another.
            runs: (g,) of each group; both of these have one or more.
        """
        parts = [self.variances[:, i] / runs[i] for i in (one, other)]
        each = [self.freedoms[:, i] for i in (one, other)]
        error2 = parts[0] + parts[1]
        # Welch and Satterthwaite; one noise for all is known as well as all runs tell it.
        doubt = sum(p**2 / f for p, f in zip(parts, each, strict=True))
        freedom = np.clip(error2**2 / np.maximum(doubt, 1e-300), 1.0, max(self.freedom, 1))
        freedom[0] = max(self.freedom, 1)
        typical = float(np.exp(0.5 * self.weights @ np.log(np.maximum(error2, 1e-300))))
        sd = self.pooled if self.alike else typical / np.sqrt(1 / runs[one] + 1 / runs[other])
        return PairNoise(float(sd), tuple(self.weights), tuple(np.sqrt(error2)), tuple(freedom))


def group_noise(groups: Sequence[Sequence[float]]) -> GroupNoise:
    """Seed noise of groups of runs, each at its own mixture.

    Args:
        groups: values of the runs of each; groups of one run or none say nothing.
    """
    freedom = np.array([max(len(g) - 1, 0) for g in groups], dtype=float)
    squares = np.array([float(np.var(g)) * len(g) if len(g) else 0.0 for g in groups])
    return noise_of(squares, freedom)


def noise_of(squares: Array, freedom: Array) -> GroupNoise:
    """The same from sums of squares (g,) around the groups' means, on `freedom` (g,).

    >>> quiet, loud = [1.0, 1.1, 0.9, 1.0, 1.05], [1.0, 3.0, -1.0, 2.0, 0.0]
    >>> group_noise([quiet, loud]).alike
    False
    """
    total, g = freedom.sum(), len(freedom)
    pooled = squares.sum() / total if total > 0 else np.nan
    one = (np.ones(1), np.full((1, g), pooled), np.full((1, g), max(total, 1.0)))
    telling = freedom > 0
    if telling.sum() < 2 or not pooled > 0:
        return GroupNoise(float(np.sqrt(pooled)), int(total), 0.0, *one)
    own = np.divide(squares, freedom, where=telling, out=np.full(g, pooled))
    s2 = np.maximum(own, _LEAST * pooled)
    weights, variances, freedoms = _hypotheses(s2, freedom, float(pooled))
    differs = 1.0 - float(weights[0])
    if differs < LIKELY:
        return GroupNoise(float(np.sqrt(pooled)), int(total), differs, *one)
    return GroupNoise(float(np.sqrt(pooled)), int(total), differs, weights, variances, freedoms)


def _hypotheses(s2: Array, d: Array, pooled: float) -> tuple[Array, Array, Array]:
    """Weight (h,), variances (h, g) and degrees of freedom (h, g): one noise for all, then d0."""
    S, telling = pooled * np.exp(_GRID), d > 0
    t, r = d[telling], s2[telling] / S[:, None]
    chi = (t / 2 * np.log(t / 2 * r) - t / 2 * r - special.gammaln(t / 2)).sum(axis=1)
    logs = [np.logaddexp.reduce(chi) + np.log(_ALIKE)]
    variances, freedoms = [np.full(len(d), pooled)], [np.full(len(d), d.sum())]
    for d0 in _WIDTHS:
        # s2 / S ~ F(d, d0)
        constant = special.gammaln((t + d0) / 2) - special.gammaln(t / 2) - special.gammaln(d0 / 2)
        terms = t / 2 * np.log(t / d0 * r) - (t + d0) / 2 * np.log1p(t / d0 * r)
        fits = (constant + terms).sum(axis=1)
        most = np.logaddexp.reduce(fits)
        logs.append(most + np.log((1 - _ALIKE) / len(_WIDTHS)))
        drawn = (d0 * S[:, None] + d * s2) / (d0 + d)
        variances.append(np.exp(np.exp(fits - most) @ np.log(drawn)))
        freedoms.append(d0 + d)
    weights = np.exp(np.array(logs) - np.logaddexp.reduce(logs))
    return weights, np.stack(variances), np.stack(freedoms)
