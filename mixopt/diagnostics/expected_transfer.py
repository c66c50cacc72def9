"""What rank correlation to expect between runs of proxies and of a scale with no or few runs.

Two runs of a mixture, one at each of two scales, correlate by t sqrt(rel_small rel_large): t is the
correlation of their expectations, and what seeds add lowers it (Spearman 1904). So reliability
alone says what it is at most. Two scales that share mixtures tell t between them; t at the target
is as much of it as the way there is long, in log compute (each scale changes something of its own:
a Markov chain along log(params x tokens)). A few mixtures that ran at the target weigh what is
expected by how likely it makes them.

Notation:
    S draws, n runs, k metrics; columns: the k metrics and, last, the objective
    rel: 1 - noise^2 / variance of runs over mixtures
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixopt.diagnostics.gates import Gate
from mixopt.diagnostics.noise import Noise
from mixopt.diagnostics.ranks import spearman
from mixopt.diagnostics.transfer import USELESS, Transfer
from mixopt.errors import InputError
from mixopt.runs.objective import Objective
from mixopt.runs.reach import named, seen_scales
from mixopt.runs.reliability import within
from mixopt.runs.run_table import RunTable
from mixopt.space.simplex import Array

Ints = NDArray[np.intp]
Source = Literal["reliability", "proxies", "pairs"]
_DRAWS = 2000
_INFERRED = 8.0  # degrees of freedom that noise is taken to have where a law infers it
_LEAST_REPEATS = 3  # of one scale, below which noise is that of all scales
_LEAST_PAIRS = 4  # mixtures at two scales that say anything of their correlation
_FOLLOWS, _UNKNOWN = 0.9, 0.5
"""Where one scale of proxies alone ran, before any pair: half of the draws have a t above .9, for
losses often follow; in the others it is anything."""
_UNEVEN = 0.7  # sd of the log of how long the way to the target is: correlation falls unevenly
_ASTRAY = 0.2  # of the draws: the target is not on the line of the proxies, and t is anything


@dataclass(frozen=True)
class Estimate:
    """One metric, or the objective.

    Attributes:
        name: of it.
        reliability, reliability_low, reliability_high: of the largest proxies, with 5 % and 95 %
            points; NaN where nothing tells their noise.
        most: the largest correlation that noise leaves, of runs of these proxies and of the target.
        rho, low, high: the correlation to expect with 5 % and 95 % points; NaN where nothing but
            `most` is known.
    """

    name: str
    reliability: float
    reliability_low: float
    reliability_high: float
    most: float
    rho: float
    low: float
    high: float

    @property
    def useless(self) -> bool:
        """Whether a rank correlation below 0.3 is to be expected."""
        return bool((self.rho if np.isfinite(self.rho) else self.most) < USELESS)

    @property
    def told(self) -> str:
        """In words, without the name."""
        if np.isfinite(self.rho):
            return f"{self.rho:.2f} ({self.low:.2f} to {self.high:.2f})"
        return f"at most {self.most:.2f}" if np.isfinite(self.most) else "unknown"


@dataclass(frozen=True)
class ExpectedTransfer:
    """What to expect at a scale with no or few runs.

    Attributes:
        proxy, target: parameters and tokens of the largest proxies and of what they are for.
        metrics: one estimate each. objective: of what is minimised.
        source: what says it: reliability alone (a largest correlation), `"proxies"` of two scales
            that share mixtures, or `"pairs"` of mixtures that ran at the target.
        pairs: of mixtures behind the source; 0 of reliability.
    """

    proxy: tuple[float, float]
    target: tuple[float, float]
    metrics: tuple[Estimate, ...]
    objective: Estimate
    source: Source
    pairs: int = 0

    @property
    def useless(self) -> bool:
        """Whether the objective is to be expected to carry over with a rho below 0.3."""
        return self.objective.useless

    @property
    def told(self) -> str:
        """The objective, in words."""
        verdict = "; do not trust these proxies for this target" if self.useless else ""
        two = f"{named(self.proxy)} and of {named(self.target)}"
        if self.source == "reliability":
            return (
                f"noise leaves single runs of {two} a rank correlation of "
                f"{self.objective.told}, and one scale does not tell how much of it there is"
                f"{verdict}"
            )
        where = "at two smaller scales" if self.source == "proxies" else "there"
        return (
            f"between runs of {two} a rank correlation of {self.objective.told} is to be expected, "
            f"by {self.pairs} mixtures that ran {where}{verdict}"
        )

    def lines(self) -> list[str]:
        """In plain words."""
        out = [self.told]
        poor = [f"{e.name} {e.told}" for e in self.metrics if e.useless]
        if poor:
            out.append(f"metrics not to be expected to carry over (below {USELESS}): "
                       f"{', '.join(poor)}")  # fmt: skip
        return out

    def gate(self, unmeasured: Gate) -> Gate:
        """A gate that could not be measured, in this light: it never trusts, and may refuse.

        That proxies rank alike does not show that the target does; that they do not shows that it
        is not to be expected.
        """
        estimate = self.objective
        gate = replace(unmeasured, told=f"{unmeasured.told}; {self.told}", threshold=USELESS)
        if np.isfinite(estimate.rho):
            gate = replace(gate, value=estimate.rho, low=estimate.low, high=estimate.high)
        return replace(gate, state="no", allows="do not trust") if self.useless else gate


def expected_transfer(
    runs: RunTable,
    target: tuple[float, float],
    objective: Objective | None = None,
    *,
    noise: Noise | None = None,
    measured: Transfer | None = None,
) -> ExpectedTransfer:
    """The rank correlation to expect between the largest proxies and a target.

    Args:
        runs: a table with `params` and `tokens`; runs at the target count by `measured` alone.
        target: parameters and tokens.
        objective: the mean of all metrics if left out.
        noise: of the metrics, for those that were not repeated; without, nothing is known of them.
        measured: of proxies and target, where any mixture ran at the target.

    Raises:
        InputError: no run below the target states its scale.
    """
    objective = objective or Objective.of(runs.metrics)
    known = [s for s in seen_scales(runs.scales) if np.prod(s) < np.prod(target) * (1 - 1e-6)]
    if not known:
        raise InputError(
            f"no run states a scale below {named(target)}; give columns params and tokens"
        )
    columns = _Columns.of(runs, objective, noise)
    proxy, rng = known[-1], np.random.default_rng(0)
    rel = columns.reliability(columns.at(proxy), rng)
    most = rel  # sqrt(rel_small rel_large), the target taken to be as reliable as the proxies
    t, shared = _between(columns, known, target, rng)
    rho = None if t is None else t * most
    source: Source = "reliability" if t is None else "proxies"
    there = None if measured is None or measured.large != target else measured
    if there is not None and there.pairs >= _LEAST_PAIRS:
        rho = _given_pairs(rho, most, there, rng)
        source, shared = "pairs", there.pairs
    made = [
        _estimate(
            name,
            rel[:, j] if np.isfinite(columns.noise[j]) else np.full(_DRAWS, np.nan),
            most[:, j],
            None if rho is None else rho[:, j],
        )
        for j, name in enumerate((*runs.metrics, "objective"))
    ]
    return ExpectedTransfer(proxy, target, tuple(made[:-1]), made[-1], source, shared)


def _estimate(name: str, rel: Array, most: Array, rho: Array | None) -> Estimate:
    low, middle, high = np.quantile(rel, (0.05, 0.5, 0.95))
    top = float(np.median(most))
    missing = (float("nan"),) * 3
    at = missing if rho is None else tuple(float(x) for x in np.quantile(rho, (0.5, 0.05, 0.95)))
    return Estimate(name, float(middle), float(low), float(high), top, *at)


@dataclass(frozen=True, eq=False)
class _Columns:
    """Metrics of all runs and the objective of them, with the noise of each.

    Attributes:
        Z: (n, k + 1). mixture: (n,) number of each run's. scales: (n, 2).
        noise: (k + 1,) sd of one run over all scales. freedom: (k + 1,) behind it.
    """

    Z: Array
    mixture: Ints
    scales: Array
    noise: Array
    freedom: Array

    @classmethod
    def of(cls, runs: RunTable, objective: Objective, noise: Noise | None) -> "_Columns":
        F = objective.value(runs.Y, runs.metrics)
        _, mixture = np.unique(np.round(runs.W, 9), axis=0, return_inverse=True)
        Z, mixture = np.column_stack([runs.Y, F]), np.asarray(mixture).reshape(-1)
        _, place = np.unique(np.nan_to_num(runs.scales), axis=0, return_inverse=True)
        sd, freedom = _repeats(Z, mixture * (place.max() + 1) + np.asarray(place).reshape(-1))
        if noise is not None:
            inferred = np.nan_to_num(noise.sd, nan=0.0)[None]
            level = np.nanmean(runs.Y, axis=0)[None]
            whole = objective.moments(level, inferred, runs.metrics)[1]
            other = np.append(noise.sd, whole if np.isfinite(noise.sd).all() else np.nan)
            sd = np.where(freedom > 0, sd, other)
        return cls(Z, mixture, runs.scales, sd, np.where(freedom > 0, freedom, _INFERRED))

    def at(self, scale: tuple[float, float]) -> Ints:
        """Rows of a scale."""
        return np.flatnonzero((self.scales == np.asarray(scale)).all(axis=1))

    def reliability(self, rows: Ints, rng: np.random.Generator, among: Ints | None = None) -> Array:
        """(S, k + 1) draws of the reliability of runs, or of means of some mixtures (`among`).

        Both variances are drawn as normal runs leave them known. Where nothing tells the noise,
        there is taken to be none.
        """
        sd, freedom = _repeats(self.Z[rows], self.mixture[rows])
        own = freedom >= _LEAST_REPEATS
        sd, freedom = np.where(own, sd, self.noise), np.where(own, freedom, self.freedom)
        values, share = self.Z[rows], 1.0
        if among is not None:
            values = self.means(rows, among)
            runs = np.bincount(self.mixture[rows], minlength=among.max() + 1)[among]
            share = float(np.mean(1.0 / runs))
        count = np.maximum(np.isfinite(values).sum(axis=0) - 1, 1)
        spread = pd.DataFrame(values).var().to_numpy()  # NaN of fewer than two
        noisy = np.nan_to_num(sd, nan=0.0) ** 2 * share
        ratio = np.divide(noisy, spread, out=np.ones_like(noisy), where=spread > 0)
        drawn = rng.chisquare(count, (_DRAWS, len(ratio))) / count
        drawn /= rng.chisquare(freedom, (_DRAWS, len(ratio))) / freedom
        return np.asarray(np.clip(1.0 - ratio * drawn, 0.0, 1.0))

    def means(self, rows: Ints, among: Ints) -> Array:
        """(p, k + 1) of the mixtures `among`, over their runs in `rows`."""
        return np.asarray(pd.DataFrame(self.Z[rows]).groupby(self.mixture[rows]).mean().loc[among])


def _repeats(Z: Array, cells: Ints) -> tuple[Array, Array]:
    """(k + 1,) sd of one run within cells, NaN without repeats, and its degrees of freedom."""
    squares, freedom = within(cells[:, None].astype(float), Z)
    return np.sqrt(squares / np.where(freedom > 0, freedom, np.nan)), freedom


def _between(
    columns: _Columns,
    known: list[tuple[float, float]],
    target: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Array | None, int]:
    """(S, k + 1) draws of t between the largest proxies and the target, and the pairs behind it.

    Of the two scales below the target that share most mixtures, the largest of equals.
    """
    best: tuple[int, tuple[float, float], tuple[float, float]] | None = None
    for i in range(len(known) - 1, 0, -1):
        for j in range(i - 1, -1, -1):
            a, b = (columns.at(s) for s in (known[j], known[i]))
            common = len(np.intersect1d(columns.mixture[a], columns.mixture[b]))
            if common >= _LEAST_PAIRS and (best is None or common > best[0]):
                best = (common, known[j], known[i])
    if best is None:
        return None, 0
    pairs, small, large = best
    both = [columns.at(scale) for scale in (small, large)]
    among = np.intersect1d(columns.mixture[both[0]], columns.mixture[both[1]])
    sides = [columns.means(rows, among) for rows in both]
    rel = [columns.reliability(rows, rng, among) for rows in both]
    t = np.empty_like(rel[0])
    for j in range(t.shape[1]):
        seen = _drawn_rho(spearman(sides[0][:, j], sides[1][:, j]), pairs, rng)
        t[:, j] = np.clip(seen / np.maximum(np.sqrt(rel[0][:, j] * rel[1][:, j]), 0.05), -1, 1)
    way = np.log(np.prod(target) / np.prod(known[-1])) / np.log(np.prod(large) / np.prod(small))
    uneven = way * np.exp(_UNEVEN * rng.standard_normal((len(t), 1)))
    return np.asarray(np.sign(t) * np.abs(t) ** uneven), pairs


def _drawn_rho(rho: float, pairs: int, rng: np.random.Generator) -> Array:
    """(S,) as Fisher's z with the variance of Bonett and Wright leaves it known."""
    rho = float(np.nan_to_num(rho))
    half = np.sqrt((1.0 + rho**2 / 2.0) / (pairs - 3))
    z = np.arctanh(np.clip(rho, -1 + 1e-9, 1 - 1e-9))
    return np.asarray(np.tanh(z + half * rng.standard_normal(_DRAWS)))


def _given_pairs(
    rho: Array | None, most: Array, there: Transfer, rng: np.random.Generator
) -> Array:
    """(S, k + 1) what is expected, drawn anew as likely as it makes the pairs at the target."""
    # Runs that share their seeds can correlate by more than noise leaves: that is not cut off.
    anything = rng.uniform(-1.0, 1.0, most.shape)
    follows = rng.uniform(_FOLLOWS, 1.0, most.shape) * most if rho is None else rho
    astray = _UNKNOWN if rho is None else _ASTRAY
    rho = np.where(rng.random(most.shape) < astray, anything, follows)
    out = np.empty_like(rho)
    for j, seen in enumerate((*there.rho, there.objective_rho)):
        if not np.isfinite(seen):
            out[:, j] = rho[:, j]
            continue
        z = np.arctanh(np.clip([seen], -0.999, 0.999)) - np.arctanh(
            np.clip(rho[:, j], -0.999, 0.999)
        )
        weight = np.exp(-0.5 * z**2 * (there.pairs - 3) / (1.0 + rho[:, j] ** 2 / 2.0))
        weight += 1e-12
        out[:, j] = rng.choice(rho[:, j], _DRAWS, p=weight / weight.sum())
    return out
